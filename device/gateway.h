/*
 * gateway.h - how the device reaches its gateway: one POST at a time, over TLS that trusts the pinned root
 * alone.
 */
#ifndef MOORING_DEVICE_GATEWAY_H
#define MOORING_DEVICE_GATEWAY_H

#include "common/http/httpc.h"
#include "device_clock.h"

enum { GATEWAY_ANSWER_MAX = 65536, GATEWAY_TIMEOUT_MS = 30000 };

/* A transport. `call` posts JSON to a path; the answer's views live
 * until the next call. A fault = no answer. */
struct gateway {
	outcome (*call)(struct gateway *g, const char *path, struct bytes json, struct httpc_answer *answer,
			struct fault *f);
};

struct gateway_options {
	const char *origin;  /* https://host[:port]; its host is what the server's certificate must be for */
	const char *ca_file; /* the root, the only trust anchor */
	const char *connect_to; /* HOST:PORT to dial instead of the origin's; NULL: the origin's */
	const struct device_clock *clock;
};

/* The options are read at each call and must outlive it. */
MUST_USE outcome gateway_https_new(const struct gateway_options *options, struct gateway **out,
				   struct fault *f);
void gateway_https_free(struct gateway *g);

#endif
