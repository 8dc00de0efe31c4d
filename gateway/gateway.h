/*
 * gateway.h - what the gateway's process has once: configuration, keys, store, and the services that
 * share them.
 *
 * Made by main_gateway.c before the first request, read-only afterwards except where a member says
 * that it is atomic or locks for itself. Pointers are owned by main_gateway.c.
 */
#ifndef MOORING_GATEWAY_H
#define MOORING_GATEWAY_H

#include "bytes.h"
#include "config.h"
#include "crypto.h"
#include "scgi.h"

#include <openssl/x509.h>
#include <stdatomic.h>

/* The configuration file, key for key: the table with the documentation is in config.c. */
struct gateway_config {
	char *socket;
	struct config_strings peer_uids;
	char *state_dir;
	struct config_strings origins;
	char *trust_domain;
	char *root_cert;
	char *issuing_cert;
	char *service_cert;
	char *attestation_url;
	char *attestation_ca;
	char *attestation_cert;
	char *attestation_key;
	struct config_strings ear_keys;
	char *signer_socket;
	char *feed_key;
	char *admin_master;
	char *region;
	char *salt_file;
	char *default_policy;
	int64_t certificate_lifetime_s;
	int64_t certificate_lifetime_min_s;
	int64_t challenge_ttl_s;
	int64_t rate_per_device;
	int64_t workers;
	int64_t supersede_after_s;
	bool quarantine_clones;
	int64_t run_as_uid;
	int64_t run_as_gid;
	char *log_level;
};

/* What the files named in the configuration hold, read once, before the sandbox closes. */
struct gateway_keys {
	struct buf root_pem;
	struct buf chain_pem;      /* the device issuing CA: what devices send after their leaf */
	struct buf salt;           /* of thing names */
	struct buf default_policy; /* JSON text, compiled once as a check */
	X509 *issuing;
	int64_t issuing_not_after;
	X509 *service;      /* issuer of service certificates */
	EVP_PKEY *feed_key; /* private; used by the feed's thread only */
	uint8_t (*ear_spki)[SPKI_MAX]; /* pinned verification keys, built anew in each worker's library context */
	size_t *ear_spki_size;
	size_t ear_count;
};

struct store;
struct feed;
struct admin_auth;
struct challenge;
struct rate;
struct attest_state;
struct withdrawals;

struct gateway {
	struct gateway_config config;
	struct gateway_keys keys;
	struct scgi_server *server;
	struct store *store;
	struct feed *feed;             /* gateway/feed/: brokers and their streams */
	struct admin_auth *admin_auth; /* common/admin_auth.h: who may administer */
	struct challenge *challenge;
	struct rate *rate;
	struct attest_state *attest; /* what is known of the attestation service; atomic */
	struct withdrawals *withdrawals;
	atomic_bool recovered; /* every intent of an earlier run is finished or closed */
	atomic_bool stopping;
};

#endif
