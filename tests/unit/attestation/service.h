/*
 * service.h - the whole service in this process, on a socket in a folder of its own, and its two kinds of callers.
 */
#ifndef MOORING_TEST_SERVICE_H
#define MOORING_TEST_SERVICE_H

#include "attestation/attestd.h"
#include "common/admin/admin_auth.h"
#include "common/clock.h"
#include "common/file.h"
#include "certs.h"
#include "chip.h"
#include "tests/unit/scgi_client.h"

#include <ctype.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

struct service {
	char folder[64], socket[96], db[96], master[96], ear[96], next[96], ca_path[96];
	char operator_key[96], viewer_key[96];
	struct attestd attestd;
	struct authority ca;
	struct buf gateway; /* certificate of a relying party */
	EVP_PKEY *ear_public;
};

struct answer {
	int status;
	char *text;   /* head and body */
	json_t *json; /* NULL where the body is none */
};

static inline void answer_free(struct answer *a)
{
	json_decref(a->json);
	free(a->text);
	*a = (struct answer){0};
}

static inline void service_die(const struct fault *f)
{
	fprintf(stderr, "%s\n", f->text);
	abort();
}

static inline void service_run(struct service *s)
{
	struct fault f;
	s->attestd = (struct attestd){0};
	s->attestd.config = (struct attestd_config){
		.edge = {.socket = s->socket, .admin_master = s->master, .region = "mooring-1", .workers = 2},
		.state_dir = s->folder,
		.verifier_id = "test-verifier",
		.session_ttl_s = 150};
	if (!keys_load(s->ear, s->next, s->ca_path, &s->attestd.keys, &f).ok ||
	    !attestd_start(&s->attestd, &f).ok)
		service_die(&f);
}

static inline void service_end(struct service *s)
{
	attestd_stop(&s->attestd);
	keys_free(&s->attestd.keys);
}

static inline void service_key(struct service *s, const char *path, enum admin_role role)
{
	char id[ACCESS_KEY_ID_MAX];
	struct fault f;
	const struct admin_key_request r = {.db_path = s->db,
					    .master_file = s->master,
					    .role = role,
					    .region = "mooring-1",
					    .key_file = path};
	if (!admin_key_create(&r, id, &f).ok)
		service_die(&f);
}

static inline void service_open(struct service *s)
{
	struct fault f;
	EVP_PKEY *ear = p256_key_generate(), *next = p256_key_generate();
	uint8_t spki[SPKI_MAX];
	*s = (struct service){.folder = "/tmp/attestd_test.XXXXXX", .ca = authority_make("Service CA")};
	if (!mkdtemp(s->folder))
		abort();
	const struct {
		const char *name;
		char *path;
	} files[] = {{"s", s->socket},
		     {"attestd.db", s->db},
		     {"master", s->master},
		     {"ear.key", s->ear},
		     {"next.key", s->next},
		     {"ca.pem", s->ca_path},
		     {"operator.json", s->operator_key},
		     {"viewer.json", s->viewer_key}};
	for (size_t i = 0; i < sizeof files / sizeof *files; i++)
		snprintf(files[i].path, 96, "%s/%s", s->folder, files[i].name);
	if (!key_save_private_pem(s->ear, ear, &f).ok || !key_save_private_pem(s->next, next, &f).ok ||
	    !file_replace(s->ca_path, buf_view(&s->ca.pem), 0644, &f).ok)
		service_die(&f);
	size_t n = ec_key_to_spki(ear, spki, sizeof spki);
	s->ear_public = ec_key_from_spki(bytes_of(spki, n));
	s->gateway = leaf_pem(&s->ca, &gateway_form);
	EVP_PKEY_free(ear);
	EVP_PKEY_free(next);
	service_key(s, s->operator_key, ADMIN_ROLE_OPERATOR);
	service_key(s, s->viewer_key, ADMIN_ROLE_VIEWER);
	service_run(s);
}

static inline void service_close(struct service *s)
{
	static const char *const names[] = {
		"attestd.db", "attestd.db-wal", "attestd.db-shm", "attestd.db.seen", "master",
		"ear.key",    "next.key",	"ca.pem",	  "operator.json",   "viewer.json"};
	char path[128];
	service_end(s);
	authority_free(&s->ca);
	buf_free(&s->gateway);
	EVP_PKEY_free(s->ear_public);
	for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
		snprintf(path, sizeof path, "%s/%s", s->folder, names[i]);
		unlink(path);
	}
	rmdir(s->folder);
}

/* ---- callers ---- */

static inline int service_send(const struct service *s, const char *method, const char *uri,
			       struct bytes body, const char *const *params)
{
	struct buf request = scgi_client_request(method, uri, body, params);
	int fd = scgi_client_dial(s->socket);
	scgi_client_send(fd, buf_view(&request));
	buf_free(&request);
	return fd;
}

static inline struct answer service_receive(int fd)
{
	struct answer a = {.text = scgi_client_read(fd)};
	const char *body = strstr(a.text, "\r\n\r\n");
	if (!body || sscanf(a.text, "Status: %d", &a.status) != 1)
		return a;
	a.json = json_loads(body + 4, 0, NULL);
	return a;
}

static inline struct answer service_ask(const struct service *s, const char *method, const char *uri,
					struct bytes body, const char *const *params)
{
	return service_receive(service_send(s, method, uri, body, params));
}

/* As nginx's $ssl_client_escaped_cert; caller frees. */
static inline char *escape(struct bytes in)
{
	struct buf out = {0};
	for (size_t i = 0; i < in.n; i++)
		if (isalnum(in.p[i]) || strchr("-._~", in.p[i]))
			buf_byte(&out, in.p[i]);
		else
			buf_printf(&out, "%%%02X", in.p[i]);
	return buf_take_str(&out);
}

/* A relying party with this certificate. */
static inline int peer_send(const struct service *s, struct bytes certificate, const char *method,
			    const char *uri, struct bytes body, const char *type)
{
	char *escaped = escape(certificate);
	const char *const params[] = {"CLIENT_CERT", escaped, "CONTENT_TYPE", type ? type : "", NULL};
	int fd = service_send(s, method, uri, body, params);
	free(escaped);
	return fd;
}

static inline struct answer peer_ask(const struct service *s, const char *method, const char *uri,
				     struct bytes body, const char *type)
{
	return service_receive(peer_send(s, buf_view(&s->gateway), method, uri, body, type));
}

/* An admin with this key file. `uri` has at most one query parameter, or they are in order. */
static inline struct answer admin_ask(const struct service *s, const char *key_file, const char *method,
				      const char *uri, struct bytes body)
{
	static unsigned long count;
	char date[20], hash[HEX_SIZE(SHA256_SIZE)], once[24], path[512];
	uint8_t digest[SHA256_SIZE];
	struct fault f;
	json_t *key = json_load_file(key_file, 0, NULL);
	time_t now = time(NULL);
	struct tm tm;
	struct buf authorization = {0};
	strftime(date, sizeof date, "%Y%m%dT%H%M%SZ", gmtime_r(&now, &tm));
	sha256(body, digest);
	hex_encode(bytes_of(digest, sizeof digest), hash);
	snprintf(once, sizeof once, "%lu", ++count);
	snprintf(path, sizeof path, "%s", uri);
	char *query = strchr(path, '?');
	if (query)
		*query++ = '\0';
	const struct sigv4_header headers[] = {{"host", "a.example"},
					       {"x-amz-content-sha256", hash},
					       {"x-amz-date", date},
					       {"x-once", once}};
	const struct sigv4_request r = {method, path, query ? query : "", headers, 4, body};
	if (!sigv4_sign(&r, json_string_value(json_object_get(key, "access_key_id")),
			json_string_value(json_object_get(key, "secret_access_key")), "mooring-1", "mooring",
			&authorization, &f)
		     .ok)
		service_die(&f);
	buf_byte(&authorization, 0);
	const char *const params[] = {"HTTP_HOST",
				      "a.example",
				      "HTTP_X_AMZ_CONTENT_SHA256",
				      hash,
				      "HTTP_X_AMZ_DATE",
				      date,
				      "HTTP_X_ONCE",
				      once,
				      "HTTP_AUTHORIZATION",
				      (const char *)authorization.p,
				      NULL};
	struct answer a = service_ask(s, method, uri, body, params);
	buf_free(&authorization);
	json_decref(key);
	return a;
}

static inline const char *text_of(const struct answer *a, const char *name)
{
	const char *text = json_string_value(json_object_get(a->json, name));
	return text ? text : "";
}

static inline long long number_of(const struct answer *a, const char *name)
{
	return json_integer_value(json_object_get(a->json, name));
}

#endif
