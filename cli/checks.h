/*
 * checks.h - what an offline check does, as a list: which steps were taken, which were not for want of an option, and
 * which one refused.
 */
#ifndef MOORING_CHECKS_H
#define MOORING_CHECKS_H

#include "common/fault.h"

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

struct check_step {
	const char *name;
	const char *needs;	      /* the options without which it is not taken */
	bool (*can)(const void *arg); /* NULL: always */
	outcome (*run)(void *arg, struct fault *f);
};

/* Takes the steps up to the first that refuses, whose outcome it is. *taken (json_decref) says what came of each:
 * [{"step", "result": "ok" | "not checked: no …" | "refused"}]. */
MUST_USE outcome checks_run(const struct check_step *steps, size_t count, void *arg, json_t **taken,
			    struct fault *f);
/* For people. */
void checks_print(const json_t *taken);
/* Prints `view`, and with it "checks", "result", "reason" and "rule"; `complete`: nothing was left out that an ACCEPT
 * rests on. */
void checks_print_json(json_t *view, json_t *taken, bool complete, outcome checked, const struct fault *f);

#endif
