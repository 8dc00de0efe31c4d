/*
 * site_fixture.h - store, feed and admin interface behind an SCGI socket; a broker and an admin as they come
 * through the edge.
 */
#ifndef SITE_FIXTURE_H
#define SITE_FIXTURE_H

#include "store_fixture.h"

#include "common/admin/admin_auth.h"
#include "common/feed/feed_format.h"
#include "common/peers.h"
#include "gateway/admin/admin.h"
#include "gateway/feed/feed.h"
#include "gateway/worker.h"
#include "tests/unit/attestation/certs.h"
#include "tests/unit/scgi_client.h"

#include <ctype.h>
#include <jansson.h>
#include <poll.h>
#include <time.h>

#define SITE_POLICY                                                                                          \
	"{\"Version\":\"2012-10-17\",\"Statement\":[{\"Effect\":\"Allow\",\"Action\":\"iot:Connect\","       \
	"\"Resource\":\"*\"}]}"

enum { SITE_WORKERS = 2 };

static struct {
	struct gateway gateway;
	struct worker workers[SITE_WORKERS];
	struct authority service_ca, other_ca;
	EVP_PKEY *feed_public;
	char socket[96];
	char viewer[96], operator[96], admin[96]; /* key files */
} site;

static UNUSED_OK void site_route(struct scgi_request *r, void *arg)
{
	struct gateway *g = arg;
	if (!strcmp(scgi_path(r), "/v1/feed"))
		feed_handle_stream(g, r);
	else if (!strcmp(scgi_path(r), "/v1/feed/receipts"))
		feed_handle_receipts(g, r);
	else if (!strcmp(scgi_path(r), "/v1/feed/sessions"))
		feed_handle_sessions(g, r);
	else
		admin_handle(g, r);
}

static UNUSED_OK void site_admin_key(enum admin_role role, char path[96], const char *name)
{
	char master[96], id[ACCESS_KEY_ID_MAX];
	struct fault f = {0};
	snprintf(path, 96, "%s/%s.json", fixture_dir, name);
	snprintf(master, sizeof master, "%s/master", fixture_dir);
	struct admin_key_request k = {.db_path = fixture_path,
				      .master_file = master,
				      .role = role,
				      .region = "mooring-1",
				      .key_file = path};
	if (!admin_key_create(&k, id, &f).ok)
		fail_msg("admin_key_create: %s", f.text);
}

static UNUSED_OK void site_start(void)
{
	char master[96];
	struct fault f = {0};
	struct gateway *g = &site.gateway;
	snprintf(master, sizeof master, "%s/master", fixture_dir);
	const struct scgi_options options = {
		.socket_path = site.socket, .workers = SITE_WORKERS, .connections_max = 64};
	g->store = fixture_store;
	g->workers = site.workers;
	for (size_t i = 0; i < SITE_WORKERS; i++)
		site.workers[i].peers = peers_new(&g->keys.service, g->config.issuing.trust_domain);
	if (!admin_auth_open(fixture_path, master, "mooring-1", &g->admin_auth, &f).ok ||
	    !feed_start(g, &g->feed, &f).ok || !scgi_start(&options, site_route, g, &g->server, &f).ok)
		fail_msg("%s", f.text);
}

static UNUSED_OK void site_stop(void)
{
	struct gateway *g = &site.gateway;
	scgi_drain(g->server, 5000);
	feed_quiesce(g->feed);
	store_close(fixture_store);
	fixture_store = NULL;
	scgi_stop(g->server, 0);
	feed_stop(g->feed);
	admin_auth_close(g->admin_auth);
	for (size_t i = 0; i < SITE_WORKERS; i++)
		peers_free(site.workers[i].peers);
}

static UNUSED_OK void site_restart(void)
{
	site_stop();
	fixture_open();
	site_start();
}

static UNUSED_OK int site_setup(void **state)
{
	static char domain[] = "example.com";
	fixture_setup(state);
	memset(&site.gateway, 0, sizeof site.gateway);
	snprintf(site.socket, sizeof site.socket, "%s/gateway.sock", fixture_dir);
	site.service_ca = authority_make("service CA");
	site.other_ca = authority_make("other CA");
	site.gateway.config.issuing.trust_domain = domain;
	site.gateway.keys.service = (struct cert_issuers){{site.service_ca.cert}, 1};
	site.gateway.keys.feed_key = p256_key_generate();
	site.feed_public = site.gateway.keys.feed_key;
	buf_str(&site.gateway.keys.default_policy, SITE_POLICY);
	site_admin_key(ADMIN_ROLE_VIEWER, site.viewer, "viewer");
	site_admin_key(ADMIN_ROLE_OPERATOR, site.operator, "operator");
	site_admin_key(ADMIN_ROLE_ADMIN, site.admin, "admin");
	site_start();
	return 0;
}

static UNUSED_OK int site_teardown(void **state)
{
	site_stop();
	buf_free(&site.gateway.keys.default_policy);
	EVP_PKEY_free(site.gateway.keys.feed_key);
	authority_free(&site.service_ca);
	authority_free(&site.other_ca);
	return fixture_teardown(state);
}

/* ---- certificates of services ---- */

static UNUSED_OK struct buf site_leaf(const struct authority *ca, const char *role, const char *name)
{
	char san[128];
	snprintf(san, sizeof san, "URI:spiffe://example.com/service/%s/%s", role, name);
	const struct cert_form form = {.san = san,
				       .purpose = "clientAuth",
				       .basic = "critical,CA:FALSE",
				       .from_s = -3600,
				       .to_s = 3600};
	EVP_PKEY *key = p256_key_generate();
	X509 *cert = cert_make(name, key, ca, &form);
	struct buf pem = cert_pem(cert);
	X509_free(cert);
	EVP_PKEY_free(key);
	return pem;
}

/* As nginx's $ssl_client_escaped_cert; caller frees. */
static UNUSED_OK char *site_escape(struct bytes in)
{
	struct buf out = {0};
	for (size_t i = 0; i < in.n; i++)
		if (isalnum(in.p[i]))
			buf_byte(&out, in.p[i]);
		else
			buf_printf(&out, "%%%02X", in.p[i]);
	return buf_take_str(&out);
}

/* ---- answers ---- */

struct site_answer {
	int status;
	char *text;
	json_t *json;
};

static UNUSED_OK void site_answer_free(struct site_answer *a)
{
	json_decref(a->json);
	free(a->text);
}

static UNUSED_OK int site_send(const char *method, const char *uri, struct bytes body,
			       const char *const *params)
{
	struct buf request = scgi_client_request(method, uri, body, params);
	int fd = scgi_client_dial(site.socket);
	scgi_client_send(fd, buf_view(&request));
	buf_free(&request);
	return fd;
}

static UNUSED_OK struct site_answer site_receive(int fd)
{
	struct site_answer a = {.text = scgi_client_read(fd)};
	const char *body = strstr(a.text, "\r\n\r\n");
	assert_non_null(body);
	assert_int_equal(sscanf(a.text, "Status: %d", &a.status), 1);
	a.json = json_loads(body + 4, 0, NULL);
	return a;
}

static UNUSED_OK const char *site_code(const struct site_answer *a)
{
	const char *code = json_string_value(json_object_get(a->json, "code"));
	return code ? code : "";
}

/* ---- an admin ---- */

static UNUSED_OK int site_admin_send(const char *key_file, const char *method, const char *uri,
				     const char *body)
{
	static unsigned long count;
	char date[20], hash[HEX_SIZE(SHA256_SIZE)], once[24], path[512];
	uint8_t digest[SHA256_SIZE];
	struct fault f;
	struct buf authorization = {0};
	json_t *key = json_load_file(key_file, 0, NULL);
	time_t now = time(NULL);
	struct tm tm;
	strftime(date, sizeof date, "%Y%m%dT%H%M%SZ", gmtime_r(&now, &tm));
	sha256(bytes_str(body), digest);
	hex_encode(bytes_of(digest, sizeof digest), hash);
	snprintf(once, sizeof once, "%lu", ++count);
	snprintf(path, sizeof path, "%s", uri);
	char *query = strchr(path, '?');
	if (query)
		*query++ = '\0';
	const struct sigv4_header headers[] = {{"host", "gw.example"},
					       {"x-amz-content-sha256", hash},
					       {"x-amz-date", date},
					       {"x-once", once}};
	const struct sigv4_request r = {method, path, query ? query : "", headers, 4, bytes_str(body)};
	assert_true(sigv4_sign(&r, json_string_value(json_object_get(key, "access_key_id")),
			       json_string_value(json_object_get(key, "secret_access_key")), "mooring-1",
			       "mooring", &authorization, &f)
			    .ok);
	buf_byte(&authorization, 0);
	const char *const params[] = {"HTTP_HOST",
				      "gw.example",
				      "HTTP_X_AMZ_CONTENT_SHA256",
				      hash,
				      "HTTP_X_AMZ_DATE",
				      date,
				      "HTTP_X_ONCE",
				      once,
				      "HTTP_AUTHORIZATION",
				      (const char *)authorization.p,
				      "CONTENT_TYPE",
				      "application/json",
				      NULL};
	int fd = site_send(method, uri, bytes_str(body), params);
	buf_free(&authorization);
	json_decref(key);
	return fd;
}

static UNUSED_OK struct site_answer site_admin_ask(const char *key_file, const char *method, const char *uri,
						   const char *body)
{
	return site_receive(site_admin_send(key_file, method, uri, body));
}

/* ---- a broker ---- */

struct site_broker {
	struct buf certificate; /* PEM */
	char *escaped;
	int fd;
	int version;	/* of the feed, that it says it understands; 0: it says nothing */
	bool head_read; /* of the answer */
	int status;
	char stream[HEX_SIZE(FEED_STREAM_SIZE)]; /* what its receipts name */
	struct buf received;
	struct feed_chain chain;
	/* what its table holds */
	struct {
		uint8_t fingerprint[FINGERPRINT_SIZE];
		enum feed_state state;
		unsigned flags;
		bool removed;
	} rows[4096];
	size_t row_count, policies;
	/* the frames read last */
	enum feed_kind kind;
	size_t records, frames;
	struct {
		uint8_t id[FEED_QUESTION_SIZE];
		int64_t after_us, limit;
		char name[FEED_NAME_MAX + 1];
	} asked; /* last */
};

static UNUSED_OK struct site_broker *site_broker_new(const char *name)
{
	struct site_broker *b = calloc(1, sizeof *b);
	b->certificate = site_leaf(&site.service_ca, "broker", name);
	b->escaped = site_escape(buf_view(&b->certificate));
	b->fd = -1;
	return b;
}

static UNUSED_OK void site_broker_hang_up(struct site_broker *b)
{
	if (b->fd >= 0)
		close(b->fd);
	b->fd = -1;
}

static UNUSED_OK void site_broker_free(struct site_broker *b)
{
	site_broker_hang_up(b);
	buf_free(&b->certificate);
	buf_free(&b->received);
	free(b->escaped);
	free(b);
}

static UNUSED_OK void site_read_more(struct site_broker *b)
{
	static uint8_t chunk[65536];
	struct pollfd p = {.fd = b->fd, .events = POLLIN};
	assert_int_equal(poll(&p, 1, 20000), 1);
	ssize_t n = read(b->fd, chunk, sizeof chunk);
	if (n <= 0)
		fail_msg("the stream ended");
	buf_add(&b->received, chunk, (size_t)n);
}

/* The head of the answer; its status. */
static UNUSED_OK int site_broker_status(struct site_broker *b)
{
	uint8_t *end;
	while (!b->head_read &&
	       !(end = b->received.n ? memmem(b->received.p, b->received.n, "\r\n\r\n", 4) : NULL))
		site_read_more(b);
	if (b->head_read)
		return b->status;
	b->head_read = true;
	*end = '\0';
	assert_int_equal(sscanf((char *)b->received.p, "Status: %d", &b->status), 1);
	const char *stream = strstr((char *)b->received.p, FEED_STREAM_HEADER ": ");
	if (stream)
		snprintf(b->stream, sizeof b->stream, "%s", stream + strlen(FEED_STREAM_HEADER ": "));
	buf_consume(&b->received, (size_t)(end + 4 - b->received.p));
	return b->status;
}

/* Asks for a stream at its table's position. */
static UNUSED_OK void site_broker_ask(struct site_broker *b)
{
	char uri[256], head[HEX_SIZE(SHA256_SIZE)], version[32] = "";
	const char *const params[] = {"CLIENT_CERT", b->escaped, NULL};
	hex_encode(bytes_of(b->chain.head, SHA256_SIZE), head);
	if (b->version)
		snprintf(version, sizeof version, "version=%d&", b->version);
	snprintf(uri, sizeof uri, "/v1/feed?%sepoch=%lld&after=%lld&head=%s", version,
		 (long long)b->chain.epoch, (long long)b->chain.seq, head);
	site_broker_hang_up(b);
	b->head_read = false;
	buf_free(&b->received);
	memset(b->chain.digest, 0, SHA256_SIZE);
	b->chain.started = b->chain.in_snapshot = false;
	b->fd = site_send("GET", uri, bytes_of(NULL, 0), params);
}

/* The same as a broker does it: again, until its own last stream has been noticed to be over. */
static UNUSED_OK void site_broker_dial(struct site_broker *b)
{
	int64_t began = clock_monotonic_ms();
	do
		site_broker_ask(b);
	while (site_broker_status(b) == 409 && clock_monotonic_ms() - began < 20000);
}

static UNUSED_OK outcome site_broker_apply(void *arg, const struct feed_record *r, struct fault *f)
{
	struct site_broker *b = arg;
	size_t i = 0;
	(void)f;
	b->records++;
	if (r->type == FEED_POLICY) {
		b->policies++;
		return DONE;
	}
	if (r->type == FEED_SESSIONS) {
		memcpy(b->asked.id, r->question.p, FEED_QUESTION_SIZE);
		b->asked.after_us = r->after_us;
		b->asked.limit = r->limit;
		snprintf(b->asked.name, sizeof b->asked.name, "%.*s", (int)r->name.n,
			 (const char *)r->name.p);
		return DONE;
	}
	while (i < b->row_count && memcmp(b->rows[i].fingerprint, r->fingerprint.p, FINGERPRINT_SIZE) != 0)
		i++;
	if (i == b->row_count)
		b->row_count++;
	memcpy(b->rows[i].fingerprint, r->fingerprint.p, FINGERPRINT_SIZE);
	b->rows[i].state = r->state;
	b->rows[i].flags = r->flags;
	b->rows[i].removed = r->type == FEED_REMOVED;
	return DONE;
}

/* The next frame, verified, in turn, and applied to the table. */
static UNUSED_OK void site_broker_frame(struct site_broker *b)
{
	struct bytes bytes;
	struct feed_frame frame;
	size_t used = 0;
	struct fault f = {0};
	if (site_broker_status(b) != 200)
		fail_msg("status %d", b->status);
	for (;;) {
		assert_true(feed_next(buf_view(&b->received), &bytes, &used, &f).ok);
		if (used)
			break;
		site_read_more(b);
	}
	if (!feed_open(bytes, site.feed_public, &frame, &f).ok)
		fail_msg("feed_open: %s", f.text);
	bool first = !b->chain.started;
	if (!feed_chain_take(&b->chain, &frame, &f).ok)
		fail_msg("feed_chain_take: %s", f.text);
	if (first && frame.kind <= FEED_SNAPSHOT_LAST)
		b->row_count = b->policies = 0; /* a snapshot replaces the table */
	b->kind = frame.kind;
	b->records = 0;
	b->frames++;
	assert_true(feed_records(&frame, site_broker_apply, b, &f).ok);
	buf_consume(&b->received, used);
}

/* Frames until the table stands at least there. */
static UNUSED_OK void site_broker_follow(struct site_broker *b, int64_t seq)
{
	do
		site_broker_frame(b);
	while (b->chain.in_snapshot || b->chain.seq < seq);
}

/* -1: the table does not have it. */
static UNUSED_OK int site_broker_state(const struct site_broker *b, const uint8_t fp[FINGERPRINT_SIZE])
{
	for (size_t i = 0; i < b->row_count; i++)
		if (!memcmp(b->rows[i].fingerprint, fp, FINGERPRINT_SIZE))
			return b->rows[i].removed ? -1 : (int)b->rows[i].state;
	return -1;
}

static UNUSED_OK struct site_answer site_broker_post_to(struct site_broker *b, const char *path,
							const char *body)
{
	const char *const params[] = {"CLIENT_CERT", b->escaped, "CONTENT_TYPE", "application/json", NULL};
	return site_receive(site_send("POST", path, bytes_str(body), params));
}

static UNUSED_OK struct site_answer site_broker_post(struct site_broker *b, const char *body)
{
	return site_broker_post_to(b, "/v1/feed/receipts", body);
}

static UNUSED_OK void site_broker_receipt(struct site_broker *b, const char *name, const char *connected)
{
	char body[1024];
	snprintf(body, sizeof body,
		 "{\"broker\":\"%s\",\"stream\":\"%s\",\"epoch\":%lld,\"seq\":%lld,\"connected\":[%s]}", name,
		 b->stream, (long long)b->chain.epoch, (long long)b->chain.seq, connected);
	struct site_answer a = site_broker_post(b, body);
	assert_int_equal(a.status, 204);
	site_answer_free(&a);
}

#endif
