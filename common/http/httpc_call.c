#include "httpc_call.h"

#include "common/file.h"

#include <ctype.h>
#include <openssl/crypto.h>
#include <openssl/ssl.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum { PEM_MAX = 262144, CONNECT_TIMEOUT_MS = 5000, HTTPC_HEADERS_MAX = 65536 };

static void global_init(void)
{
	if (curl_global_init(CURL_GLOBAL_DEFAULT))
		abort();
	/* OpenSSL writes to sockets that the peer may have closed, and CURLOPT_NOSIGNAL leaves that to us. */
	signal(SIGPIPE, SIG_IGN);
}

void httpc_global(void)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;
	pthread_once(&once, global_init);
}

outcome httpc_pins_load(struct httpc_pins *p, const struct httpc_tls *tls, struct fault *f)
{
	*p = (struct httpc_pins){0};
	if (!tls->ca_file || !tls->cert_file != !tls->key_file)
		return refuse(f, REASON_CONFIG, "a pinned CA is needed, and a certificate goes with its key");
	outcome r = file_read(tls->ca_file, PEM_MAX, &p->ca, f);
	if (r.ok && tls->cert_file)
		r = file_read(tls->cert_file, PEM_MAX, &p->cert, f);
	if (r.ok && tls->key_file)
		r = file_read_secret(tls->key_file, PEM_MAX, &p->key, f);
	if (r.ok && tls->host_alias && !(p->alias = strdup(tls->host_alias)))
		r = refuse(f, REASON_NO_MEMORY, "no memory for the client");
	if (r.ok && tls->connect_to && !(p->connect_to = strdup(tls->connect_to)))
		r = refuse(f, REASON_NO_MEMORY, "no memory for the client");
	p->verify_time = tls->verify_time;
	if (!r.ok)
		httpc_pins_free(p);
	return r;
}

void httpc_pins_free(struct httpc_pins *p)
{
	if (p->key.p)
		OPENSSL_cleanse(p->key.p, p->key.n);
	buf_free(&p->ca);
	buf_free(&p->cert);
	buf_free(&p->key);
	free(p->alias);
	free(p->connect_to);
	*p = (struct httpc_pins){0};
}

static size_t on_body(char *data, size_t size, size_t count, void *arg)
{
	struct httpc_transfer *t = arg;
	size_t n = size * count;
	if (n > t->answer_max - t->answer.n) {
		t->too_long = true;
		return 0;
	}
	buf_add(&t->answer, data, n);
	return t->answer.failed ? 0 : n;
}

/* Room for headers is bounded as well; libcurl itself bounds one line. */
static size_t on_header(char *data, size_t size, size_t count, void *arg)
{
	size_t *seen = arg;
	(void)data;
	*seen += size * count;
	return *seen > HTTPC_HEADERS_MAX ? 0 : size * count;
}

static void blob(CURL *easy, CURLoption option, const struct buf *b)
{
	struct curl_blob view = {b->p, b->n, CURL_BLOB_NOCOPY};
	if (b->n)
		curl_easy_setopt(easy, option, &view);
}

/* For devices without a clock of their own. */
static CURLcode set_verify_time(CURL *easy, void *ssl_ctx, void *arg)
{
	const struct httpc_pins *pins = arg;
	(void)easy;
	X509_VERIFY_PARAM_set_time(SSL_CTX_get0_param(ssl_ctx), (time_t)pins->verify_time);
	return CURLE_OK;
}

bool httpc_harden(CURL *easy)
{
	bool ok = !curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "https") &&
		  !curl_easy_setopt(easy, CURLOPT_PROXY, "") &&
		  !curl_easy_setopt(easy, CURLOPT_CAPATH, NULL) &&
		  !curl_easy_setopt(easy, CURLOPT_CAINFO, NULL);
	curl_easy_setopt(easy, CURLOPT_FOLLOWLOCATION, 0L);
	curl_easy_setopt(easy, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
	curl_easy_setopt(easy, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
	curl_easy_setopt(easy, CURLOPT_SSL_SESSIONID_CACHE, 0L);
	curl_easy_setopt(easy, CURLOPT_SSL_VERIFYPEER, 1L);
	curl_easy_setopt(easy, CURLOPT_SSL_VERIFYHOST, 2L);
	curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(easy, CURLOPT_TCP_NODELAY, 1L);
	return ok;
}

static void set_trust(CURL *easy, const struct httpc_pins *pins)
{
	blob(easy, CURLOPT_CAINFO_BLOB, &pins->ca);
	blob(easy, CURLOPT_SSLCERT_BLOB, &pins->cert);
	blob(easy, CURLOPT_SSLKEY_BLOB, &pins->key);
	if (pins->verify_time) {
		curl_easy_setopt(easy, CURLOPT_SSL_CTX_FUNCTION, set_verify_time);
		curl_easy_setopt(easy, CURLOPT_SSL_CTX_DATA, pins);
	}
}

static bool add_header(struct curl_slist **list, const char *line)
{
	struct curl_slist *longer = curl_slist_append(*list, line);
	if (longer)
		*list = longer;
	return longer != NULL;
}

/* libcurl's own Expect and form Content-Type are taken away: the caller says what is sent. */
static bool set_headers(struct httpc_transfer *t, const struct httpc_call *call)
{
	bool typed = false, ok = add_header(&t->headers, "Expect:");
	for (size_t i = 0; call->headers && call->headers[i]; i++) {
		typed = typed || !strncasecmp(call->headers[i], "Content-Type:", 13);
		ok = ok && add_header(&t->headers, call->headers[i]);
	}
	if (!typed)
		ok = ok && add_header(&t->headers, "Content-Type:");
	curl_easy_setopt(t->easy, CURLOPT_HTTPHEADER, t->headers);
	return ok;
}

static void set_method(struct httpc_transfer *t, const struct httpc_call *call)
{
	bool bodiless = !strcmp(call->method, "GET") || !strcmp(call->method, "DELETE");
	if (!strcmp(call->method, "HEAD")) {
		curl_easy_setopt(t->easy, CURLOPT_NOBODY, 1L);
		return;
	}
	if (!bodiless || t->body.n) {
		curl_easy_setopt(t->easy, CURLOPT_POST, 1L);
		curl_easy_setopt(t->easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)t->body.n);
		curl_easy_setopt(t->easy, CURLOPT_POSTFIELDS, t->body.n ? (char *)t->body.p : "");
	}
	curl_easy_setopt(t->easy, CURLOPT_CUSTOMREQUEST, call->method);
}

static void set_limits(struct httpc_transfer *t, const struct httpc_call *call, size_t *header_bytes)
{
	curl_easy_setopt(t->easy, CURLOPT_TIMEOUT_MS, call->timeout_ms);
	curl_easy_setopt(t->easy, CURLOPT_CONNECTTIMEOUT_MS,
			 call->connect_timeout_ms ? call->connect_timeout_ms : (long)CONNECT_TIMEOUT_MS);
	curl_easy_setopt(t->easy, CURLOPT_PATH_AS_IS, 1L);
	curl_easy_setopt(t->easy, CURLOPT_USERAGENT, "mooring");
	curl_easy_setopt(t->easy, CURLOPT_ERRORBUFFER, t->error);
	curl_easy_setopt(t->easy, CURLOPT_WRITEFUNCTION, on_body);
	curl_easy_setopt(t->easy, CURLOPT_WRITEDATA, t);
	curl_easy_setopt(t->easy, CURLOPT_HEADERFUNCTION, on_header);
	curl_easy_setopt(t->easy, CURLOPT_HEADERDATA, header_bytes);
}

/* The alias takes the host's place in the URL, and with it in SNI, verification and Host; the address that is
 * dialled stays the URL's. */
static bool set_address(struct httpc_transfer *t, const char *alias)
{
	char *host = NULL, *port = NULL, *url = NULL;
	bool ok = false;
	CURLU *u = curl_url();
	struct buf line = {0};
	if (!u || curl_url_set(u, CURLUPART_URL, t->url, 0) || curl_url_get(u, CURLUPART_HOST, &host, 0) ||
	    curl_url_get(u, CURLUPART_PORT, &port, CURLU_DEFAULT_PORT) ||
	    curl_url_set(u, CURLUPART_HOST, alias, 0) || curl_url_get(u, CURLUPART_URL, &url, 0))
		goto out;
	buf_printf(&line, "%s:%s:%s:%s", alias, port, host, port);
	buf_byte(&line, 0);
	ok = !line.failed && add_header(&t->connect_to, (const char *)line.p);
	curl_easy_setopt(t->easy, CURLOPT_CONNECT_TO, t->connect_to);
	curl_easy_setopt(t->easy, CURLOPT_URL, url);
out:
	buf_free(&line);
	curl_free(url);
	curl_free(port);
	curl_free(host);
	curl_url_cleanup(u);
	return ok;
}

/* Only the TCP address is another: SNI, verification and Host stay those of the URL. */
static bool set_dialled(struct httpc_transfer *t, const char *address)
{
	struct buf line = {0};
	buf_printf(&line, "::%s", address);
	buf_byte(&line, 0);
	bool ok = !line.failed && add_header(&t->connect_to, (const char *)line.p);
	curl_easy_setopt(t->easy, CURLOPT_CONNECT_TO, t->connect_to);
	buf_free(&line);
	return ok;
}

outcome httpc_transfer_begin(struct httpc_transfer *t, CURL *easy, const struct httpc_pins *pins,
			     const struct httpc_call *call, struct fault *f)
{
	*t = (struct httpc_transfer){.easy = easy, .answer_max = call->answer_max};
	curl_easy_reset(easy);
	t->url = strdup(call->url);
	buf_bytes(&t->body, call->body);
	if (!t->url || t->body.failed || !set_headers(t, call) || !httpc_harden(easy))
		goto fail;
	set_trust(easy, pins);
	set_method(t, call);
	set_limits(t, call, &t->header_bytes);
	curl_easy_setopt(easy, CURLOPT_URL, t->url);
	if (pins->connect_to && !set_dialled(t, pins->connect_to))
		goto fail;
	if (pins->alias && !set_address(t, pins->alias)) {
		httpc_transfer_free(t);
		return refuse(f, REASON_CONFIG, "%s is not an address under which %s can be dialled",
			      call->url, pins->alias);
	}
	return DONE;
fail:
	httpc_transfer_free(t);
	return refuse(f, REASON_NO_MEMORY, "no memory for a call to %s", call->url);
}

static const char *header_value(CURL *easy, const char *name)
{
	struct curl_header *h;
	return curl_easy_header(easy, name, 0, CURLH_HEADER, -1, &h) == CURLHE_OK ? h->value : NULL;
}

char *httpc_resolve(const char *url, const char *location)
{
	char *out = NULL, *copy = NULL;
	CURLU *u = curl_url();
	if (u && !curl_url_set(u, CURLUPART_URL, url, 0) && !curl_url_set(u, CURLUPART_URL, location, 0) &&
	    !curl_url_get(u, CURLUPART_URL, &out, 0))
		copy = strdup(out);
	curl_free(out);
	curl_url_cleanup(u);
	return copy;
}

/* Seconds; the date form of Retry-After is answered with a wait that suits any server. */
static int retry_after(CURL *easy)
{
	const char *v = header_value(easy, "Retry-After");
	if (!v)
		return -1;
	long s = isdigit((unsigned char)*v) ? strtol(v, NULL, 10) : 60;
	return s > 86400 ? 86400 : (int)s;
}

static outcome failure(const struct httpc_transfer *t, CURLcode code, struct fault *f)
{
	const char *why = t->error[0] ? t->error : curl_easy_strerror(code);
	if (t->too_long)
		return refuse(f, REASON_PEER_ANSWER, "%s answered more than %zu bytes", t->url,
			      t->answer_max);
	if (code == CURLE_OPERATION_TIMEDOUT)
		return refuse(f, REASON_DEADLINE, "%s: %s", t->url, why);
	return refuse(f, REASON_UNREACHABLE, "%s: %s", t->url, why);
}

outcome httpc_transfer_result(struct httpc_transfer *t, CURLcode code, struct httpc_answer *out,
			      struct fault *f)
{
	long status = 0;
	*out = (struct httpc_answer){.content_type = "", .location = "", .retry_after_s = -1};
	if (code != CURLE_OK || curl_easy_getinfo(t->easy, CURLINFO_RESPONSE_CODE, &status) || status < 200)
		return failure(t, code, f);
	const char *type = header_value(t->easy, "Content-Type"), *date = header_value(t->easy, "Date");
	const char *location = header_value(t->easy, "Location");
	out->status = (int)status;
	out->body = buf_view(&t->answer);
	out->content_type = type ? type : "";
	out->location = location ? location : "";
	out->retry_after_s = retry_after(t->easy);
	time_t when = date ? curl_getdate(date, NULL) : -1;
	out->date = when > 0 ? when : 0;
	return DONE;
}

void httpc_transfer_free(struct httpc_transfer *t)
{
	curl_slist_free_all(t->headers);
	curl_slist_free_all(t->connect_to);
	buf_free(&t->body);
	buf_free(&t->answer);
	free(t->url);
	*t = (struct httpc_transfer){0};
}
