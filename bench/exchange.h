/*
 * exchange.h - the load generator's HTTPS: one TLS context, one thread, sockets that never block, so that what is
 * measured is the server. (libcurl reads the trust anchor anew for each connection: that costs more than the handshake.)
 */
#ifndef MOORING_BENCH_EXCHANGE_H
#define MOORING_BENCH_EXCHANGE_H

#include "common/bytes.h"

enum { EXCHANGE_ANSWER_MAX = 65536 };

struct exchange_target; /* a server and whom to trust */
struct exchange;	/* one connection */

/* A target that could not be made whole is freed by exchange_target_free as well. */
MUST_USE outcome exchange_target_new(const char *origin, const char *ca_file, struct exchange_target **out,
				     struct fault *f);
void exchange_target_free(struct exchange_target *t);

/* Begins to connect. The same: exchange_close after a failure too. */
MUST_USE outcome exchange_open(const struct exchange_target *t, struct exchange **out, struct fault *f);
void exchange_close(struct exchange *x);

/* What is sent next: a POST of a JSON body, copied. After it, exchange_step. */
MUST_USE outcome exchange_post(struct exchange *x, const char *path, struct bytes body, struct fault *f);

struct exchange_answer {
	int status;
	struct bytes body; /* until the next exchange_post or exchange_close */
};

enum exchange_step { EXCHANGE_READS, EXCHANGE_WRITES, EXCHANGE_ANSWERED, EXCHANGE_FAILED };

/* Goes on as far as it can without waiting; READS and WRITES say what the socket must be ready for. */
enum exchange_step exchange_step(struct exchange *x, struct exchange_answer *out);
int exchange_socket(const struct exchange *x);

#endif
