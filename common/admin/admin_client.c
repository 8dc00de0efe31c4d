#include "admin_client.h"

#include "common/clock.h"
#include "common/file.h"
#include "common/json_read.h"

#include <errno.h>
#include <openssl/crypto.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { KEY_FILE_MAX = 4096, ENDPOINT_MAX = 255, URL_MAX = 4096, NONCE_BYTES = 16 };

struct admin_client {
	struct httpc_sync *http;
	char endpoint[ENDPOINT_MAX + 1];
	char host[ENDPOINT_MAX + 1]; /* as it stands in the Host header: without the scheme's own port */
	char key_id[ACCESS_KEY_ID_MAX];
	char secret[128];
	char region[32];
};

static outcome take_member(const json_t *key, const char *name, char *out, size_t room, const char *path,
			   struct fault *f)
{
	const char *value = json_string_value(json_object_get(key, name));
	if (!value || !*value || strlen(value) >= room)
		return refuse(f, REASON_BAD_FIELD, "%s: %s: not a text of 1 to %zu characters", path, name,
			      room - 1);
	snprintf(out, room, "%s", value);
	return DONE;
}

static outcome read_key(struct admin_client *c, const char *path, struct fault *f)
{
	struct buf text = {0};
	json_t *key = NULL;
	if (access(path, F_OK))
		return refuse(
			f, REASON_NOT_FOUND,
			"--key %s: %s; `mooringctl admin init` makes a key on the service's own machine",
			path, strerror(errno));
	outcome r = file_read_secret(path, KEY_FILE_MAX, &text, f);
	if (!r.ok)
		return r;
	r = json_read_object(buf_view(&text), path, &key, f);
	if (r.ok)
		r = take_member(key, "access_key_id", c->key_id, sizeof c->key_id, path, f);
	if (r.ok)
		r = take_member(key, "secret_access_key", c->secret, sizeof c->secret, path, f);
	if (r.ok)
		r = take_member(key, "region", c->region, sizeof c->region, path, f);
	json_decref(key);
	OPENSSL_cleanse(text.p, text.n);
	buf_free(&text);
	return r;
}

static outcome take_endpoint(struct admin_client *c, const char *endpoint, struct fault *f)
{
	static const char scheme[] = "https://", port[] = ":443";
	size_t n = strlen(endpoint);
	if (strncmp(endpoint, scheme, sizeof scheme - 1) || n > ENDPOINT_MAX ||
	    strpbrk(endpoint + sizeof scheme - 1, "/?#@ ") || n == sizeof scheme - 1)
		return refuse(f, REASON_CONFIG,
			      "--endpoint \"%s\": an endpoint is https://host[:port] and no more, such as "
			      "https://iot.example.com:8444",
			      endpoint);
	snprintf(c->endpoint, sizeof c->endpoint, "%s", endpoint);
	snprintf(c->host, sizeof c->host, "%s", endpoint + sizeof scheme - 1);
	n = strlen(c->host);
	if (n > sizeof port - 1 && !strcmp(c->host + n - (sizeof port - 1), port))
		c->host[n - (sizeof port - 1)] = '\0';
	return DONE;
}

outcome admin_client_new(const struct admin_client_options *options, struct admin_client **out,
			 struct fault *f)
{
	const struct httpc_tls tls = {.ca_file = options->ca_file};
	struct admin_client *c = calloc(1, sizeof *c);
	*out = NULL;
	if (!c)
		return refuse(f, REASON_NO_MEMORY, "no memory for the client");
	outcome r = take_endpoint(c, options->endpoint, f);
	if (r.ok && access(options->ca_file, F_OK))
		r = refuse(f, REASON_NOT_FOUND, "--ca %s: %s", options->ca_file, strerror(errno));
	if (r.ok)
		r = read_key(c, options->key_file, f);
	if (r.ok)
		r = httpc_sync_new(&tls, &c->http, f);
	if (r.ok)
		*out = c;
	else
		admin_client_free(c);
	return r;
}

const char *admin_client_remedy(const struct admin_client *c)
{
	static const char *const remedies[] = {
		[HTTPC_ANSWERED] = "",
		[HTTPC_NO_ADDRESS] = "is the host's name in --endpoint spelt right, and known here?",
		[HTTPC_NOT_THERE] =
			"is the service running, and --endpoint its admin interface, port included?",
		[HTTPC_NO_TLS] =
			"is --endpoint the admin interface? What listens there does not answer as one",
		[HTTPC_BAD_CA_FILE] = "--ca must name a PEM file with the CA's certificate",
		[HTTPC_UNTRUSTED] = "--ca names another authority than the one that this service's "
				    "certificate comes from: "
				    "root.pem of the OEM for the gateway, the RoT vendor's for the "
				    "attestation service. Else "
				    "somebody is in between",
		[HTTPC_WRONG_HOST] = "give --endpoint the name that the service's certificate is for",
		[HTTPC_WRONG_TIME] = "the service's certificate has expired or is not valid yet: `mooringctl "
				     "ca status` on its "
				     "machine tells which; or this machine's clock is wrong",
		[HTTPC_SLOW] =
			"the service is there but does not answer; the same command may be given again",
		[HTTPC_FAILED] = "",
	};
	return remedies[httpc_sync_failure(c->http)];
}

bool admin_client_may_recover(const struct admin_client *c)
{
	enum httpc_failure failure = httpc_sync_failure(c->http);
	return failure == HTTPC_NOT_THERE || failure == HTTPC_NO_TLS || failure == HTTPC_SLOW ||
	       failure == HTTPC_FAILED;
}

void admin_client_free(struct admin_client *c)
{
	if (!c)
		return;
	httpc_sync_free(c->http);
	OPENSSL_cleanse(c, sizeof *c);
	free(c);
}

enum { SIGNED_MAX = 5, HEADER_LINE_MAX = 512 };

/* The headers of one call: what is signed, and what goes on the wire. */
struct call_headers {
	char date[sizeof "20261122T150001Z"];
	char hash[HEX_SIZE(SHA256_SIZE)];
	char nonce[HEX_SIZE(NONCE_BYTES)];
	struct sigv4_header signed_ones[SIGNED_MAX];
	size_t count;
	char lines[SIGNED_MAX][HEADER_LINE_MAX];
	struct buf authorization;
	const char *wire[SIGNED_MAX + 2]; /* with Authorization and the NULL at the end */
};

/* A mutating request is taken once: the nonce makes the same call, made twice in a second, two requests. */
static void fill_headers(struct call_headers *h, const struct admin_client *c, struct bytes body)
{
	uint8_t hash[SHA256_SIZE], nonce[NONCE_BYTES];
	time_t now = (time_t)clock_wall_s();
	struct tm tm;
	strftime(h->date, sizeof h->date, "%Y%m%dT%H%M%SZ", gmtime_r(&now, &tm));
	sha256(body, hash);
	hex_encode(bytes_of(hash, sizeof hash), h->hash);
	crypto_random(nonce, sizeof nonce);
	hex_encode(bytes_of(nonce, sizeof nonce), h->nonce);
	h->signed_ones[h->count++] = (struct sigv4_header){"host", c->host};
	h->signed_ones[h->count++] = (struct sigv4_header){"x-amz-content-sha256", h->hash};
	h->signed_ones[h->count++] = (struct sigv4_header){"x-amz-date", h->date};
	h->signed_ones[h->count++] = (struct sigv4_header){"x-mooring-nonce", h->nonce};
	if (body.n)
		h->signed_ones[h->count++] = (struct sigv4_header){"content-type", "application/json"};
}

static outcome sign_call(const struct admin_client *c, const char *method, const char *target,
			 struct bytes body, struct call_headers *h, struct fault *f)
{
	char path[URL_MAX];
	const char *query = strchr(target, '?');
	size_t n = query ? (size_t)(query - target) : strlen(target);
	snprintf(path, sizeof path, "%.*s", (int)n, target);
	const struct sigv4_request request = {
		.method = method,
		.raw_path = path,
		.raw_query = query ? query + 1 : "",
		.headers = h->signed_ones,
		.header_count = h->count,
		.body = body,
	};
	buf_str(&h->authorization, "Authorization: ");
	outcome r = sigv4_sign(&request, c->key_id, c->secret, c->region, "mooring", &h->authorization, f);
	buf_byte(&h->authorization, 0);
	if (r.ok && h->authorization.failed)
		r = refuse(f, REASON_NO_MEMORY, "no memory for a call");
	return r;
}

static void write_lines(struct call_headers *h)
{
	for (size_t i = 0; i < h->count; i++) {
		snprintf(h->lines[i], HEADER_LINE_MAX, "%s: %s", h->signed_ones[i].name,
			 h->signed_ones[i].value);
		h->wire[i] = h->lines[i];
	}
	h->wire[h->count] = (const char *)h->authorization.p;
}

outcome admin_client_call(struct admin_client *c, const char *method, const char *target, struct bytes body,
			  struct httpc_answer *answer, struct fault *f)
{
	struct call_headers h = {0};
	char url[URL_MAX];
	if (target[0] != '/' || (size_t)snprintf(url, sizeof url, "%s%s", c->endpoint, target) >= sizeof url)
		return refuse(f, REASON_BAD_FIELD, "%s: not a path, or too long", target);
	fill_headers(&h, c, body);
	outcome r = sign_call(c, method, target, body, &h, f);
	if (r.ok) {
		write_lines(&h);
		const struct httpc_call call = {
			.method = method,
			.url = url,
			.headers = h.wire,
			.body = body,
			.answer_max = ADMIN_ANSWER_MAX,
			.timeout_ms = ADMIN_TIMEOUT_MS,
		};
		r = httpc_sync_call(c->http, &call, answer, f);
	}
	buf_free(&h.authorization);
	return r;
}
