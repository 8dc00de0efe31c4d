/*
 * ceiling - what the cryptography and the durable commits of one enrolment cost when nothing else is done.
 *
 * Each operation runs in a tight loop through OpenSSL's public API (SQLite's for the commits), and is counted as often as one
 * enrolment needs it. CPU time of this thread, microseconds. The answer is one JSON object.
 */
#include "common/bytes.h"
#include "common/crypto/crypto.h"
#include "common/db/db.h"

#include <fcntl.h>
#include <jansson.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { MESSAGE_SIZE = 400, GROUP = 16, BODY_SIZE = 1000 };

struct bench {
	EVP_PKEY *key;
	uint8_t message[MESSAGE_SIZE];
	uint8_t signature[ECDSA_SIGNATURE_MAX];
	uint8_t spki[SPKI_MAX];
	size_t spki_size;
	SSL_CTX *server, *client;
	SSL *kept_server, *kept_client; /* a connection that is there */
	sqlite3 *db;
	sqlite3_stmt *insert;
	int journal;
};

static void must(int ok, const char *what)
{
	if (ok)
		return;
	fprintf(stderr, "ceiling: %s failed\n", what);
	exit(1);
}

static double cpu_us(void)
{
	struct timespec t;
	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
	return (double)t.tv_sec * 1e6 + (double)t.tv_nsec / 1e3;
}

static double sign_once(struct bench *b)
{
	double start = cpu_us();
	must(ecdsa_sign_raw(b->key, bytes_of(b->message, MESSAGE_SIZE), b->signature) != 0, "sign");
	return cpu_us() - start;
}

static double verify_cached(struct bench *b)
{
	double start = cpu_us();
	must(ecdsa_verify_raw(b->key, bytes_of(b->message, MESSAGE_SIZE),
			      bytes_of(b->signature, P256_SIGNATURE_SIZE)),
	     "verify");
	return cpu_us() - start;
}

static double verify_new_key(struct bench *b)
{
	double start = cpu_us();
	EVP_PKEY *key = ec_key_from_spki(bytes_of(b->spki, b->spki_size));
	must(key && ecdsa_verify_raw(key, bytes_of(b->message, MESSAGE_SIZE),
				     bytes_of(b->signature, P256_SIGNATURE_SIZE)),
	     "verify with a new key");
	EVP_PKEY_free(key);
	return cpu_us() - start;
}

static double hash_once(struct bench *b)
{
	uint8_t out[SHA256_SIZE];
	double start = cpu_us();
	sha256(bytes_of(b->message, MESSAGE_SIZE), out);
	return cpu_us() - start;
}

/* The server's half alone is on the clock. */
static double shake_hands(struct bench *b, SSL **server_out, SSL **client_out)
{
	BIO *to_server, *to_client;
	double spent = 0;
	must(BIO_new_bio_pair(&to_server, 0, &to_client, 0), "bio pair");
	double start = cpu_us();
	SSL *server = SSL_new(b->server);
	spent += cpu_us() - start;
	SSL *client = SSL_new(b->client);
	SSL_set_bio(server, to_server, to_server);
	SSL_set_bio(client, to_client, to_client);
	SSL_set_accept_state(server);
	SSL_set_connect_state(client);
	for (int turn = 0; turn < 10 && !(SSL_is_init_finished(server) && SSL_is_init_finished(client));
	     turn++) {
		SSL_do_handshake(client);
		start = cpu_us();
		SSL_do_handshake(server);
		spent += cpu_us() - start;
	}
	must(SSL_is_init_finished(server) && SSL_is_init_finished(client), "handshake");
	*server_out = server;
	*client_out = client;
	return spent;
}

static double handshake_server(struct bench *b)
{
	SSL *server, *client;
	double spent = shake_hands(b, &server, &client), start = cpu_us();
	SSL_free(server);
	spent += cpu_us() - start;
	SSL_free(client);
	return spent;
}

/* A request is opened and an answer sealed, by one side of a connection that is kept. */
static double record_exchange(struct bench *b)
{
	uint8_t body[BODY_SIZE] = {1};
	must(SSL_write(b->kept_client, body, sizeof body) == sizeof body, "request");
	double start = cpu_us();
	must(SSL_read(b->kept_server, body, sizeof body) == sizeof body &&
		     SSL_write(b->kept_server, body, sizeof body) == sizeof body,
	     "answer");
	double spent = cpu_us() - start;
	must(SSL_read(b->kept_client, body, sizeof body) == sizeof body, "reading the answer");
	return spent;
}

/* A group is one write. */
static void append_durably(const struct bench *b, size_t each)
{
	static const uint8_t entries[GROUP * 700];
	must(write(b->journal, entries, GROUP * each) == (ssize_t)(GROUP * each), "write");
	must(fdatasync(b->journal) == 0, "fdatasync");
}

/* One enrolment's share of a group's frame: a broker admits the certificates that it has in its own journal. */
static double feed_share(struct bench *b)
{
	double spent = sign_once(b) + verify_cached(b), start = cpu_us();
	append_durably(b, 100);
	return (spent + cpu_us() - start) / GROUP;
}

/* One enrolment's share of a group: reserve and record in the store, the certificate in the signer's journal. What is
 * reserved is found again by device and by key, since neither may come twice; a certificate by its fingerprint. */
static double commits_share(struct bench *b)
{
	uint8_t record[700] = {1}, unique[2 * GROUP][2][SHA256_SIZE];
	struct fault f;
	crypto_random(&unique[0][0][0], sizeof unique);
	double start = cpu_us();
	for (int stage = 0; stage < 2; stage++) {
		must(db_exec(b->db, "BEGIN IMMEDIATE", &f).ok, "begin");
		for (int i = 0; i < GROUP; i++) {
			const uint8_t(*keys)[SHA256_SIZE] = unique[stage * GROUP + i];
			sqlite3_bind_blob(b->insert, 1, record, sizeof record, SQLITE_STATIC);
			sqlite3_bind_blob(b->insert, 2, keys[0], SHA256_SIZE, SQLITE_STATIC);
			sqlite3_bind_blob(b->insert, 3, stage ? NULL : keys[1], SHA256_SIZE, SQLITE_STATIC);
			must(sqlite3_step(b->insert) == SQLITE_DONE, "insert");
			sqlite3_reset(b->insert);
		}
		must(db_exec(b->db, "COMMIT", &f).ok, "commit");
	}
	append_durably(b, sizeof record);
	return (cpu_us() - start) / GROUP;
}

static X509 *self_signed(EVP_PKEY *key)
{
	X509 *x = X509_new();
	must(x && X509_set_version(x, X509_VERSION_3) && ASN1_INTEGER_set(X509_get_serialNumber(x), 1) &&
		     X509_gmtime_adj(X509_getm_notBefore(x), 0) &&
		     X509_gmtime_adj(X509_getm_notAfter(x), 3600) && X509_set_pubkey(x, key) &&
		     X509_sign(x, key, EVP_sha256()),
	     "certificate");
	return x;
}

static void prepare(struct bench *b, const char *folder)
{
	char path[512];
	struct fault f;
	memset(b, 0, sizeof *b);
	must((b->key = p256_key_generate()) != NULL, "key");
	crypto_random(b->message, sizeof b->message);
	must((b->spki_size = ec_key_to_spki(b->key, b->spki, sizeof b->spki)) != 0, "spki");
	sign_once(b);
	X509 *cert = self_signed(b->key);
	b->server = SSL_CTX_new(TLS_server_method());
	b->client = SSL_CTX_new(TLS_client_method());
	must(b->server && b->client && SSL_CTX_use_certificate(b->server, cert) == 1 &&
		     SSL_CTX_use_PrivateKey(b->server, b->key) == 1 &&
		     SSL_CTX_set1_groups_list(b->server, "X25519:P-256") &&
		     SSL_CTX_set1_groups_list(b->client, "X25519:P-256") &&
		     SSL_CTX_set_num_tickets(b->server, 0),
	     "TLS contexts");
	SSL_CTX_set_mode(b->server, SSL_MODE_NO_AUTO_CHAIN);
	SSL_CTX_set_verify(b->client, SSL_VERIFY_NONE, NULL);
	X509_free(cert);
	shake_hands(b, &b->kept_server, &b->kept_client);
	snprintf(path, sizeof path, "%s/ceiling.db", folder);
	must(db_open(path,
		     "CREATE TABLE t(id INTEGER PRIMARY KEY, record BLOB, one BLOB UNIQUE, two BLOB UNIQUE) "
		     "STRICT;",
		     1, &b->db, &f)
		     .ok,
	     "database");
	must(db_prepare(b->db, "INSERT INTO t(record, one, two) VALUES (?, ?, ?)", &b->insert, &f).ok,
	     "statement");
	snprintf(path, sizeof path, "%s/ceiling.journal", folder);
	must((b->journal = open(path, O_CREAT | O_WRONLY | O_APPEND | O_CLOEXEC, 0600)) >= 0, "journal");
}

static const struct operation {
	const char *name;
	int count; /* in one enrolment */
	double (*once)(struct bench *);
	int repeats;
} operations[] = {
	{"TLS 1.3 handshake, server side (device to edge)", 1, handshake_server, 400},
	{"TLS 1.3 request opened and answer sealed (two at the edge; both sides of gateway to attestation)",
	 4, record_exchange, 2000},
	{"ECDSA P-256 verify, key from parameters (CSR at gateway and signer, evidence)", 3, verify_new_key,
	 1000},
	{"ECDSA P-256 verify, key cached (EAR at gateway and signer)", 2, verify_cached, 1000},
	{"ECDSA P-256 sign (EAR, certificate)", 2, sign_once, 1000},
	{"SHA-256 of 400 bytes", 20, hash_once, 5000},
	{"durable commits: reserve, record, journal; groups of 16", 1, commits_share, 100},
	{"a broker's feed: frame signed, verified, durable; groups of 16", 1, feed_share, 100},
};

int main(int argc, char **argv)
{
	if (argc != 2) {
		fprintf(stderr, "usage: ceiling FOLDER   (scratch files are made there)\n");
		return 2;
	}
	struct bench b;
	prepare(&b, argv[1]);
	json_t *list = json_array();
	double total = 0;
	for (size_t i = 0; i < sizeof operations / sizeof *operations; i++) {
		const struct operation *o = &operations[i];
		double spent = 0;
		for (int n = 0; n < o->repeats; n++)
			spent += o->once(&b);
		double each = spent / o->repeats;
		total += each * o->count;
		json_array_append_new(
			list, json_pack("{s:s,s:i,s:f}", "name", o->name, "count", o->count, "us", each));
	}
	json_t *report = json_pack("{s:f,s:o}", "total_us", total, "operations", list);
	json_dumpf(report, stdout, 0);
	putchar('\n');
	json_decref(report);
	return 0;
}
