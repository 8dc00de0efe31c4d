/*
 * api.h - a command's calls to the admin interface, with what went wrong already said.
 */
#ifndef MOORING_API_H
#define MOORING_API_H

#include "ctl.h"

#include <jansson.h>

enum { API_PAGE_MAX = 500 }; /* that a service gives at once */

/* "/v1/admin/devices/" and the name, percent-encoded; caller frees. NULL without memory. */
char *api_target(const char *prefix, const char *name, const char *suffix);
/* "?name=value" or "&name=value", percent-encoded; nothing where `value` is NULL. */
void api_query(struct buf *target, const char *name, const char *value);

/* Makes c->client where there is none yet; EXIT_DONE, or what to exit with, the cause being said. */
int api_open(struct ctl *c);

/* After a call without an answer, what to look at, where that is known: on standard error. */
void api_say_remedy(const struct ctl *c);

/* One call. `body` is taken over, and may be NULL. EXIT_DONE with *answer (json_decref; an object, empty
 * where the service sent no body); else what went wrong stands on standard error: EXIT_REFUSED, or EXIT_USAGE
 * where no endpoint is given. */
int api_call(struct ctl *c, const char *method, const char *target, json_t *body, json_t **answer);
/* GETs `target`, which is freed (NULL: no memory), and shows the answer: as JSON for --json, else by
 * `print`. The exit code. */
typedef void api_print(const struct ctl *c, json_t *answer);
int api_show(struct ctl *c, char *target, api_print *print);
/* GETs a list page by page: `target` (taken over) goes on with "limit" and, from the second page on, with "after". `take`
 * gets one page after the other, and ends it with another code than EXIT_DONE. The exit code. */
typedef int api_take(void *arg, json_t *page);
int api_pages(struct ctl *c, struct buf *target, api_take *take, void *arg);
/* Under one page that people asked for: how to see the next, if there is one. */
void api_print_more(const json_t *page);
/* The answer as JSON, for --json; taken over. */
int api_print_json(json_t *answer);

/* Members of an answer: "" and 0 where they are missing or of another type. */
const char *api_text(const json_t *object, const char *key);
int64_t api_number(const json_t *object, const char *key);
bool api_flag(const json_t *object, const char *key);
/* NULL where it is missing, which jansson takes for an empty array; not owned. */
const json_t *api_array(const json_t *object, const char *key);

#endif
