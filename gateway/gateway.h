/*
 * gateway.h - what the gateway's process has once: configuration, keys, store, and the services that
 * share them.
 *
 * Made by main_gateway.c before the first request, read-only afterwards except where a member says
 * that it is atomic or locks for itself. Pointers are owned by main_gateway.c.
 */
#ifndef MOORING_GATEWAY_H
#define MOORING_GATEWAY_H

#include "common/bytes.h"
#include "common/config/config_common.h"
#include "common/crypto/cert.h"
#include "common/scgi/scgi.h"

#include <stdatomic.h>

/* The configuration file, key for key: the table with the documentation is in gateway/config.c. */
struct gateway_config {
	struct config_edge edge;
	char *state_dir;
	struct config_issuing issuing;
	char *root_cert;
	char *issuing_cert;
	char *service_cert;
	char *attestation_url;
	char *attestation_ca;
	char *attestation_cert;
	char *attestation_key;
	char *signer_socket;
	char *feed_key;
	char *default_policy;
	struct config_strings provenance;
	int64_t certificate_lifetime_s;
	int64_t certificate_lifetime_min_s;
	int64_t challenge_ttl_s;
	int64_t rate_per_device;
	int64_t supersede_after_s;
	bool quarantine_clones;
	struct config_process process;
};

/* DER SubjectPublicKeyInfo: each worker builds the key anew in its own library context. */
struct ear_pin {
	uint8_t spki[SPKI_MAX];
	size_t n;
};

/* What the files named in the configuration hold, read once, before the sandbox closes. */
struct gateway_keys {
	struct buf root_pem;
	struct cert_issuers issuing; /* of device certificates; the first is the one that signs now */
	struct buf chain_pems[CERT_ISSUERS_MAX]; /* each of them as PEM: what devices send after their leaf */
	uint8_t salt[SALT_SIZE];		 /* of thing names */
	struct buf default_policy;		 /* JSON text, compiled once as a check */
	int64_t issuing_not_after;		 /* of the first */
	struct cert_issuers service;		 /* of service certificates */
	EVP_PKEY *feed_key;			 /* private; used by the feed's thread only */
	struct ear_pin *ear;			 /* pinned verification keys of attestation results */
	size_t ear_count;
};

/* Reads and checks the file; the strings are owned by `c`: gateway_config_free. */
MUST_USE outcome gateway_config_load(const char *path, struct gateway_config *c, struct fault *f);
void gateway_config_free(struct gateway_config *c);
/* The file that would give these values, with the documentation of every key. Caller frees. */
char *gateway_config_print(const struct gateway_config *c);
/* Reads every file that the configuration names; the fault names the key and the file. */
MUST_USE outcome gateway_keys_load(const struct gateway_config *c, struct gateway_keys *k, struct fault *f);
void gateway_keys_free(struct gateway_keys *k);
/* The PEM of the CA that issued this certificate (DER). */
struct bytes gateway_chain_of(const struct gateway_keys *k, struct bytes certificate);

struct worker;
struct store;
struct feed;
struct admin_auth;
struct challenge;
struct rate;
struct attest_health;
struct provenance;

struct gateway {
	struct gateway_config config;
	struct gateway_keys keys;
	struct scgi_server *server;
	struct store *store;
	struct feed *feed;	       /* gateway/feed/: brokers and their streams */
	struct admin_auth *admin_auth; /* common/admin/admin_auth.h: who may administer */
	struct challenge *challenge;
	struct rate *rate;
	struct provenance *provenance; /* gateway/provenance/: locks for itself */
	struct attest_health *attest;  /* what is known of the attestation service; locks for itself */
	struct worker *workers; /* gateway/worker.h, one a loop; each is touched on its own loop only */
	unsigned worker_count;
	atomic_bool recovered; /* every intent of an earlier run is finished or closed */
};

#endif
