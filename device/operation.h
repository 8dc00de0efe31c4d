/*
 * operation.h - a thermometer with an identity at work: it measures, publishes, takes commands, renews.
 */
#ifndef MOORING_OPERATION_H
#define MOORING_OPERATION_H

#include "identity.h"

/* As of all of Mooring's programs; 3 is mooringctl's. */
enum { EXIT_DONE = 0, EXIT_FAILED = 1, EXIT_USAGE = 2, EXIT_REFUSED = 4 };

struct operation_options {
	const char *host; /* of the broker; its certificate must be for this name or address */
	int port;
	const char *topic;   /* NULL: dt/<thing>/temperature */
	int64_t interval_ms; /* between readings; 0 = as fast as they are acknowledged */
	uint64_t count;	     /* readings, then it ends; 0 = endless */
};

/* Until `count` readings are acknowledged, a stop, or a refusal for good. Returns the exit code; `identity`
 * is replaced by renewals. */
MUST_USE int operation_run(struct device *d, struct identity *identity,
			   const struct operation_options *options);

#endif
