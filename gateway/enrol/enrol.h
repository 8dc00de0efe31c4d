/*
 * enrol.h - the path of one enrolment or renewal, from the request to the certificate.
 *
 *   receive -> authenticate -> csr -> attest -> provenance -> policy -> issue -> record -> respond      (stages.c)
 *
 * An adapter of a transport fills `request` and gets the answer; between the two there is one path. A stage
 * reads everything, writes its own output, and says NEXT, WAIT or FAIL. A stage that WAITs has begun
 * something that calls enrol_wake when it is there; it is then called again, with its output as it left it.
 *
 * The request has ENROL_DEADLINE_MS in all. When they are over the caller is answered 503; a request
 * that holds an intent by then goes on all the same, so that the retry finds its certificate.
 */
#ifndef MOORING_GATEWAY_ENROL_H
#define MOORING_GATEWAY_ENROL_H

#include "common/crypto/csr.h"
#include "common/scgi/scgi.h"
#include "gateway/attest/attest.h"
#include "approval.h"
#include "gateway/provenance/judge.h"
#include "gateway/store/store_provenance.h"
#include "gateway/worker.h"

#include <event2/event_struct.h>

enum { ENROL_DEADLINE_MS = 15000, ENROL_SIGNATURE_MAX = 160 };

enum step { STEP_NEXT = 1, STEP_WAIT, STEP_FAIL };

/* What a transport's adapter fills; it owns its bytes, since the transport's request may end first. */
struct enrol_request {
	struct bytes csr; /* views into csr_room and evidence_room */
	struct bytes evidence;
	struct bytes chain; /* n = 0: none was sent */
	enum evidence_type type;
	uint8_t nonce[NONCE_SIZE];
	char audience[ORIGIN_MAX + 1];
	int64_t lifetime_s; /* 0: as configured */
	/* A renewal names the current certificate; its key signs "mooring-renew/1" 00 || B. */
	bool renews;
	uint8_t renews_fingerprint[FINGERPRINT_SIZE];
	uint8_t renews_signature[ENROL_SIGNATURE_MAX]; /* DER (RFC 3279 2.2.3), SHA-256 */
	size_t renews_signature_size;
	uint8_t csr_room[CSR_MAX];
	uint8_t evidence_room[EVIDENCE_MAX];
	uint8_t chain_room[CHAIN_MAX];
};

/* Resumes the request that a stage left waiting: `waker` is the `waker` of the enrolment that the stage was
 * shown. On its worker's loop, once a WAIT. */
void enrol_wake(void *waker);

/* ---- what each stage writes ---- */

struct receive_out {
	int64_t now; /* Unix time, seconds, for the whole request */
	int64_t lifetime_s;
};

struct authenticate_out {
	/* a renewal's current certificate */
	void *waker;
	bool asked;
	bool found;
	struct fault fault; /* where it was not found */
	bool active;
	uint8_t instance_id[INSTANCE_ID_SIZE];
	struct buf certificate; /* DER */
};

struct csr_out {
	struct csr csr;
	uint8_t binding[BINDING_SIZE]; /* B */
	bool has_chain;		       /* one was sent, and some class of devices is asked for it */
	struct chain chain;
};

struct attest_out {
	struct evidence evidence;
	bool parsed;
	bool asked;
	struct attest_call call;
};

enum provenance_verdict {
	PROVENANCE_UNSETTLED,
	PROVENANCE_NOT_ASKED, /* by the device's class */
	PROVENANCE_NOT_SHOWN, /* and it need not be */
	PROVENANCE_ON_RECORD, /* a renewal: it was shown before */
	PROVENANCE_SHOWN,     /* `use` is what is used up by it */
};

struct provenance_out {
	void *waker;
	bool asked;
	bool failed; /* to ask the store; `fault` says why */
	struct fault fault;
	const struct provenance_class *class;
	struct store_origin origin; /* without its chain */
	enum provenance_verdict verdict;
	struct store_chain use;
	struct provenance_story story; /* also of what is refused */
};

struct policy_out {
	struct approval *approval; /* the issue stage spends it */
};

enum issue_phase { ISSUE_START, ISSUE_RESERVING, ISSUE_SETTLING, ISSUE_SIGNING };

struct issue_out {
	enum issue_phase phase;
	void *waker;
	struct worker *worker;
	bool failed; /* what was waited for; `fault` says why */
	struct fault fault;
	bool fault_logged; /* the store refused, and logged it itself */
	bool settled;	   /* an intent past its dates was closed: once a request */
	struct enrol_terms terms;
	enum store_reserve_result reserved;
	struct store_intent intent; /* of the certificate below */
	struct buf certificate;	    /* DER */
};

struct record_out {
	void *waker;
	bool asked;
	bool failed;
	struct fault fault;
	bool fault_logged;
};

struct respond_out {
	uint8_t fingerprint[FINGERPRINT_SIZE];
	struct buf pem;
};

/* ---- the request ---- */

struct enrol;
struct stage;
typedef void enrol_answer(struct enrol *e, const struct fault *f, void *arg);

struct enrol {
	void *waker; /* for enrol_wake */
	struct gateway *gateway;
	struct worker *worker;
	char id[REQUEST_ID_SIZE];
	int64_t started_us; /* monotonic */

	struct enrol_request request;
	struct receive_out receive;
	struct authenticate_out authenticate;
	struct csr_out csr;
	struct attest_out attest;
	struct provenance_out provenance;
	struct policy_out policy;
	struct issue_out issue;
	struct record_out record;
	struct respond_out respond;

	/* the driver's */
	const struct stage *stages;
	size_t stage_count;
	size_t at; /* the stage that runs or waits */
	bool waiting, woken, running;
	enrol_answer *answer; /* NULL once the caller has its answer */
	void *answer_arg;
	struct event deadline;
};

/* `answer` is called once: with f NULL and everything filled up to `respond`, or with the refusal. NULL when
 * there is no memory. The adapter fills `request`, then calls enrol_run or enrol_refuse. */
struct enrol *enrol_new(struct worker *w, const char *request_id, enrol_answer *answer, void *arg);
/* Runs the path; `e` may be gone afterwards. */
void enrol_run(struct enrol *e);
/* Refuses before the path has begun, because the adapter could not read the request. `e` is gone
 * afterwards. */
void enrol_refuse(struct enrol *e, const struct fault *f);
/* What the path has counted, for /metrics. */
void enrol_metrics_write(struct buf *out);

#endif
