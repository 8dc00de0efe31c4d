/*
 * factory.h - mooring-factory: its commands, and what all of them share.
 *
 * Three parties use it, each with a folder of its own: the OEM's programme (two keys, kept offline), a line (a
 * key, counters, an outbox), the register (a key, an append-only file). What they give each other are files.
 */
#ifndef MOORING_FACTORY_H
#define MOORING_FACTORY_H

#include "cli/ctl.h"
#include "common/crypto/crypto.h"

enum { EXIT_ORDER_USED_UP = 3 };

/* One array a file of commands, ended by a NULL name. */
extern const struct command make_commands[];
extern const struct command programme_commands[];
extern const struct command order_commands[];
extern const struct command line_commands[];
extern const struct command line_authority_commands[];
extern const struct command stage_commands[];
extern const struct command register_commands[];
extern const struct command register_reading_commands[];
extern const struct command shell_commands[];

/* "FOLDER/NAME"; REASON_IO where that is too long. */
enum { FACTORY_PATH_MAX = 4096 };
MUST_USE outcome factory_path(const char *folder, const char *name, char out[FACTORY_PATH_MAX],
			      struct fault *f);
/* Makes a folder; one that is there already is no failure. */
MUST_USE outcome factory_folder(const char *path, mode_t mode, struct fault *f);
/* Calls `each` with the path of whatever is in the folder and is not hidden, in the order of the names, until one
 * is refused. */
typedef outcome factory_entry(void *arg, const char *path, struct fault *f);
MUST_USE outcome factory_each(const char *folder, factory_entry *each, void *arg, struct fault *f);
/* The P-256 key in this PKCS#8 file (0600), made where there is none: a set-up that was interrupted goes on with
 * the keys that it has made. */
MUST_USE outcome factory_own_key(const char *path, EVP_PKEY **out, struct fault *f);
/* A P-256 key by path or URI: REASON_CRYPTO for any other. */
MUST_USE outcome factory_load_key(const char *uri, EVP_PKEY **out, struct fault *f);
/* The option's value, or a refusal that names it. */
MUST_USE outcome factory_need(const struct arguments *a, const char *name, const char **out, struct fault *f);
/* The path in --out, where nothing is yet: REASON_CONFLICT else. What was signed is never written over. */
MUST_USE outcome factory_new_file(const struct arguments *a, const char **out, struct fault *f);
/* Unix seconds of "now", of "+12h" or "+30d" from `now` on, or of what moment_read takes. */
MUST_USE outcome factory_time(const char *option, const char *text, int64_t now, int64_t *out,
			      struct fault *f);
/* What a command has come to: DONE, or the fault on standard error. */
int factory_end(outcome r, const struct fault *f);

/* On a terminal a line that is written over, at most five times a second and at the end. */
void factory_progress(bool last, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

#endif
