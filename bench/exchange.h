/*
 * exchange.h - the load generator's HTTPS: one TLS context for all connections, so that what is measured is the server.
 *
 * (libcurl reads the trust anchor anew for each connection, which costs more than the handshake.)
 */
#ifndef MOORING_BENCH_EXCHANGE_H
#define MOORING_BENCH_EXCHANGE_H

#include "bytes.h"

#include <openssl/ssl.h>

enum { EXCHANGE_ANSWER_MAX = 65536 };

struct exchange_target; /* a server and whom to trust; shared by threads */
struct exchange;	/* one connection */

struct exchange_answer {
	int status;
	struct bytes body; /* until the next exchange_post or exchange_close */
};

/* What was made so far is freed by exchange_target_free and exchange_close after a failure as well. */
MUST_USE outcome exchange_target_new(const char *origin, const char *ca_file, struct exchange_target **out, struct fault *f);
void exchange_target_free(struct exchange_target *t);
MUST_USE outcome exchange_open(const struct exchange_target *t, struct exchange **out, struct fault *f);
MUST_USE outcome exchange_post(struct exchange *x, const char *path, struct bytes body, struct exchange_answer *out,
			       struct fault *f);
void exchange_close(struct exchange *x);

#endif
