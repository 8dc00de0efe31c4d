/*
 * attestd.h - what the attestation service's process has once.
 *
 * The verifier of RFC 9334: it holds a record of every device that was made, appraises evidence against it
 * and signs the result. Made by main_attestd.c before the first request, read-only afterwards except
 * where a member says that it locks for itself.
 */
#ifndef MOORING_ATTESTD_H
#define MOORING_ATTESTD_H

#include "keys.h"
#include "common/config/config_common.h"
#include "common/scgi/scgi.h"

#include <stdatomic.h>

/* The configuration file, key for key: the table with the documentation is in config.c. */
struct attestd_config {
	struct config_edge edge;
	char *state_dir;
	char *ear_key;
	char *ear_key_next; /* "": none */
	char *verifier_id;
	char *relying_party_ca;
	bool allow_test_keys;
	int64_t session_ttl_s;
	struct config_process process;
};

/* Reads and checks the file; the strings are owned by `c`: attestd_config_free. */
MUST_USE outcome attestd_config_load(const char *path, struct attestd_config *c, struct fault *f);
void attestd_config_free(struct attestd_config *c);
/* The file that would give these values, with the documentation of every key. Caller frees. */
char *attestd_config_print(const struct attestd_config *c);

struct writer;
struct sessions;
struct withdrawals;
struct admin_auth;
struct worker;

struct attestd {
	struct attestd_config config;
	struct keys keys;
	char *db_path;
	char *discovery;		 /* the document, made once */
	struct writer *writer;		 /* the one thread that writes records; locks for itself */
	struct sessions *sessions;	 /* locks for itself */
	struct withdrawals *withdrawals; /* locks for itself */
	struct admin_auth *admin_auth;	 /* locks for itself */
	struct scgi_server *server;
	struct worker *workers; /* worker.h, one a loop; each is touched on its own loop only */
	unsigned worker_count;
};

/* With configuration and keys in place: opens the database and serves on the socket. Once every right that is
 * not needed is given up, since it starts threads. */
MUST_USE outcome attestd_start(struct attestd *a, struct fault *f);
/* Answers what waits, gives open requests ten seconds, and closes everything but configuration and keys. */
void attestd_stop(struct attestd *a);

#endif
