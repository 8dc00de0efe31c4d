/*
 * httpc_call.h - what the asynchronous and the blocking client share: one transfer and its options.
 */
#ifndef MOORING_HTTPC_CALL_H
#define MOORING_HTTPC_CALL_H

#include "httpc.h"

#include <curl/curl.h>

/* For every handle: HTTPS with TLS 1.2 or later and HTTP/1.1, no trust anchor but the one that the caller
 * then sets, no proxy from the environment, no redirect, no signal. No session is resumed, since that skips
 * the verification of certificates. False without memory: libcurl would go on with its defaults. */
MUST_USE bool httpc_harden(CURL *easy);

/* Trust anchor, certificate and key, read once: the files need not be there (or readable) later. */
struct httpc_pins {
	struct buf ca, cert, key;
	char *alias;
	char *connect_to;
	int64_t verify_time;
};

MUST_USE outcome httpc_pins_load(struct httpc_pins *p, const struct httpc_tls *tls, struct fault *f);
void httpc_pins_free(struct httpc_pins *p);

struct httpc_transfer {
	CURL *easy;
	struct curl_slist *headers, *connect_to;
	struct buf body, answer;
	size_t answer_max;
	size_t header_bytes;
	bool too_long;
	char *url; /* as the caller gave it */
	char error[CURL_ERROR_SIZE];
};

/* Sets every option of `easy` (kept by the caller) for this call. */
MUST_USE outcome httpc_transfer_begin(struct httpc_transfer *t, CURL *easy, const struct httpc_pins *pins,
				      const struct httpc_call *call, struct fault *f);
/* Reads the result; the answer's views live until httpc_transfer_free. */
MUST_USE outcome httpc_transfer_result(struct httpc_transfer *t, CURLcode code, struct httpc_answer *out,
				       struct fault *f);
/* Frees everything but `easy`. */
void httpc_transfer_free(struct httpc_transfer *t);

/* libcurl is initialised once a process. */
void httpc_global(void);

#endif
