/*
 * enrol.h - from a key to a certificate: challenge, request, answer; again until there is one or a no.
 */
#ifndef MOORING_DEVICE_ENROL_H
#define MOORING_DEVICE_ENROL_H

#include "device.h"
#include "request.h"

enum enrol_result {
	ENROL_CERTIFIED,
	ENROL_NEW_CHALLENGE, /* 409: this challenge is spent, another may do */
	ENROL_RETRY,	     /* 429, 5xx, no answer, an answer that cannot be used */
	ENROL_REFUSED,	     /* 403 */
	ENROL_FAILED,	     /* any other 4xx: the same request would fail again */
	ENROL_STOPPED	     /* the device was told to stop */
};

struct enrol_answer {
	enum enrol_result result;
	struct buf pem; /* ENROL_CERTIFIED: leaf and chain, verified against the root and the key */
	int status;	/* 0 = no answer */
	int retry_after_s;
	char code[64];		     /* of the problem document; "" where there is none */
	char request_id[64];	     /* "" where there is none */
	char detail[FAULT_TEXT_MAX]; /* of the problem document, or its title */
};

void enrol_answer_free(struct enrol_answer *a);

/* A fresh challenge: result ENROL_CERTIFIED means that `nonce` was filled. */
MUST_USE outcome enrol_challenge(const struct device *d, uint8_t nonce[NONCE_SIZE], struct enrol_answer *out,
				 struct fault *f);
/* One attempt for `key`: challenge, evidence, request. A fault is the device's own; what the network or the
 * gateway did is the result. `renews` NULL: enrolment. */
MUST_USE outcome enrol_attempt(const struct device *d, uint32_t key, const struct request_renews *renews,
			       struct enrol_answer *out, struct fault *f);
/* Prints "refused" or "retry" with what the gateway said. */
void enrol_report_no(const char *event, const struct enrol_answer *a, int64_t wait_ms);
/* Attempts until certified, refused or stopped, with waits in
 * between; reports each. Same key, new evidence. */
MUST_USE outcome enrol_run(const struct device *d, uint32_t key, const struct request_renews *renews,
			   struct enrol_answer *out, struct fault *f);

#endif
