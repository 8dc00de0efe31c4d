/*
 * feed_http.h - the HTTPS requests of the feed, over libcurl's easy handles.
 */
#ifndef MOORING_PLUGIN_FEED_HTTP_H
#define MOORING_PLUGIN_FEED_HTTP_H

#include "plugin/options.h"
#include "plugin/table.h"

#include <curl/curl.h>

typedef size_t feed_http_write(char *p, size_t size, size_t n, void *arg);

/* GET /v1/feed from this position on, endless. NULL when out of memory. */
CURL *feed_http_stream(const struct options *options, const struct table_position *position,
		       feed_http_write *write, void *arg);
#define FEED_HTTP_RECEIPTS "/v1/feed/receipts"
#define FEED_HTTP_SESSIONS "/v1/feed/sessions"

/* What is posted to one path, one at a time. */
struct feed_post {
	const char *path;
	CURL *easy; /* kept as long as the stream */
	struct buf body;
	bool busy;
};

/* Sends p->body; what is missing of *connections and p->easy is made. False without memory: there is no body then. */
bool feed_http_send(struct feed_post *p, CURLM *multi, CURLSH **connections, const struct options *options);
void feed_http_end(struct feed_post *p, CURLM *multi);

long feed_http_status(CURL *easy);
/* The name of the stream that the answer is, as receipts give it back; false where it has none. */
MUST_USE bool feed_http_stream_name(CURL *easy, char out[HEX_SIZE(FEED_STREAM_SIZE)]);

#endif
