#include "plugin/feed_http.h"

#include "common/http/httpc_call.h"

#include <stdio.h>
#include <string.h>

enum {
	URL_MAX = 2048,
	CONNECT_TIMEOUT_MS = 10000,
	POST_TIMEOUT_MS = 10000,
	SILENCE_S = 3 * FEED_HEARTBEAT_S,
	KEEPALIVE_S = 30,
};

/* Files are read anew for each connection, so a renewed certificate needs no restart. */
static CURL *request(const struct options *o, const char *path)
{
	char url[URL_MAX];
	CURL *easy = curl_easy_init();
	if (!easy)
		return NULL;
	snprintf(url, sizeof url, "%s%s", o->gateway, path);
	/* A path that did not fit into memory would leave libcurl its default: the system's anchors. */
	if (!httpc_harden(easy) || curl_easy_setopt(easy, CURLOPT_URL, url) ||
	    curl_easy_setopt(easy, CURLOPT_CAINFO, o->ca_file) ||
	    curl_easy_setopt(easy, CURLOPT_SSLCERT, o->cert_file) ||
	    curl_easy_setopt(easy, CURLOPT_SSLKEY, o->key_file)) {
		curl_easy_cleanup(easy);
		return NULL;
	}
	curl_easy_setopt(easy, CURLOPT_TCP_KEEPALIVE, 1L);
	curl_easy_setopt(easy, CURLOPT_TCP_KEEPIDLE, (long)KEEPALIVE_S);
	curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS, (long)CONNECT_TIMEOUT_MS);
	return easy;
}

CURL *feed_http_stream(const struct options *options, const struct table_position *position,
		       feed_http_write *write, void *arg)
{
	char head[HEX_SIZE(SHA256_SIZE)], path[256];
	hex_encode(bytes_of(position->head, SHA256_SIZE), head);
	snprintf(path, sizeof path, "/v1/feed?version=%d&epoch=%lld&after=%lld&head=%s", FEED_VERSION,
		 (long long)position->epoch, (long long)position->seq, head);
	CURL *easy = request(options, path);
	if (!easy)
		return NULL;
	curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, write);
	curl_easy_setopt(easy, CURLOPT_WRITEDATA, arg);
	curl_easy_setopt(easy, CURLOPT_FRESH_CONNECT, 1L);
	curl_easy_setopt(easy, CURLOPT_LOW_SPEED_LIMIT, 1L);
	curl_easy_setopt(easy, CURLOPT_LOW_SPEED_TIME, (long)SILENCE_S);
	return easy;
}

static size_t ignore(char *p, size_t size, size_t n, void *arg)
{
	(void)p;
	(void)arg;
	return size * n;
}

/* `connections` keeps the connection, and none but those of the stream's other posts. */
static CURL *post(const struct options *options, const char *path, CURLSH *connections)
{
	CURL *easy = request(options, path);
	if (!easy)
		return NULL;
	curl_share_setopt(connections, CURLSHOPT_SHARE, CURL_LOCK_DATA_CONNECT);
	curl_easy_setopt(easy, CURLOPT_SHARE, connections);
	curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, ignore);
	curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, (long)POST_TIMEOUT_MS);
	return easy;
}

static void set_body(CURL *easy, struct bytes body)
{
	curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)body.n);
	curl_easy_setopt(easy, CURLOPT_POSTFIELDS, (const char *)body.p);
}

static bool make_ready(struct feed_post *p, CURLSH **connections, const struct options *options)
{
	if (!*connections)
		*connections = curl_share_init();
	if (*connections && !p->easy)
		p->easy = post(options, p->path, *connections);
	return p->easy && !p->body.failed;
}

bool feed_http_send(struct feed_post *p, CURLM *multi, CURLSH **connections, const struct options *options)
{
	if (make_ready(p, connections, options)) {
		set_body(p->easy, buf_view(&p->body));
		p->busy = curl_multi_add_handle(multi, p->easy) == CURLM_OK;
	}
	if (!p->busy)
		buf_free(&p->body);
	return p->busy;
}

void feed_http_end(struct feed_post *p, CURLM *multi)
{
	curl_multi_remove_handle(multi, p->easy);
	p->busy = false;
}

long feed_http_status(CURL *easy)
{
	long status = 0;
	curl_easy_getinfo(easy, CURLINFO_RESPONSE_CODE, &status);
	return status;
}

bool feed_http_stream_name(CURL *easy, char out[HEX_SIZE(FEED_STREAM_SIZE)])
{
	struct curl_header *h;
	size_t n = HEX_SIZE(FEED_STREAM_SIZE) - 1;
	if (curl_easy_header(easy, FEED_STREAM_HEADER, 0, CURLH_HEADER, -1, &h) != CURLHE_OK ||
	    strlen(h->value) != n || strspn(h->value, "0123456789abcdef") != n)
		return false;
	memcpy(out, h->value, n + 1);
	return true;
}
