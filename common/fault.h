/*
 * fault.h - how a function says no.
 *
 * A fallible function returns `outcome` and takes a `struct fault *` that it fills when it fails.
 * A fault is a reason from the one list (reasons.def) and a sentence that names the rule that was
 * broken ("RFC 2986 4.2: the signature does not verify"). The sentence is for operators: what a
 * caller outside the process may read is the reason's public text alone.
 */
#ifndef MOORING_FAULT_H
#define MOORING_FAULT_H

#include <stdbool.h>

#define MUST_USE __attribute__((warn_unused_result))

typedef struct outcome {
	bool ok;
} outcome;

#define DONE ((outcome){true})

enum reason {
	REASON_NONE = 0,
#define PUBLIC(id, code, status, retry, text)
#define REASON(id, code, public_id) REASON_##id,
#include "reasons.def"
#undef PUBLIC
#undef REASON
	REASON_COUNT
};

enum { FAULT_TEXT_MAX = 320 };

struct fault {
	enum reason reason;
	int retry_after_s; /* when the same may succeed, where this is known; 0: it is not */
	char text[FAULT_TEXT_MAX];
};

/* What may leave the process about a reason: RFC 9457 code, HTTP status, sentence with the remedy. */
struct reason_public {
	const char *code;
	int status;
	bool retryable;
	const char *text;
};

/* Fills `f` (may be NULL) and returns failure, so that a refusal is one line. Sets retry_after_s to 0. */
outcome refuse(struct fault *f, enum reason reason, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

/* Stable machine-readable code ("nonce-mismatch") of a reason; "none" for REASON_NONE. */
const char *reason_code(enum reason reason);
/* The reason with this code; REASON_NONE where there is none. */
enum reason reason_find(const char *code);
const struct reason_public *reason_public(enum reason reason);

#endif
