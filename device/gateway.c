#include "gateway.h"

#include <stdio.h>
#include <stdlib.h>

struct gateway_https {
	struct gateway base;
	struct gateway_options options;
	/* NULL after a call that had no answer: the next one begins anew, at its own time. */
	struct httpc_sync *client;
};

static outcome connect_client(struct gateway_https *g, struct fault *f)
{
	const struct httpc_tls tls = {
		.ca_file = g->options.ca_file,
		.connect_to = g->options.connect_to,
		.verify_time = device_clock_s(g->options.clock),
	};
	return g->client ? DONE : httpc_sync_new(&tls, &g->client, f);
}

static outcome call(struct gateway *base, const char *path, struct bytes json, struct httpc_answer *answer,
		    struct fault *f)
{
	static const char *const headers[] = {"Content-Type: application/json", "Accept: application/json",
					      NULL};
	struct gateway_https *g = (struct gateway_https *)base;
	char url[512];
	outcome r = connect_client(g, f);
	if (!r.ok)
		return r;
	snprintf(url, sizeof url, "%s%s", g->options.origin, path);
	const struct httpc_call post = {
		.method = "POST",
		.url = url,
		.headers = headers,
		.body = json,
		.answer_max = GATEWAY_ANSWER_MAX,
		.timeout_ms = GATEWAY_TIMEOUT_MS,
	};
	r = httpc_sync_call(g->client, &post, answer, f);
	if (!r.ok) {
		httpc_sync_free(g->client);
		g->client = NULL;
	}
	return r;
}

outcome gateway_https_new(const struct gateway_options *options, struct gateway **out, struct fault *f)
{
	struct gateway_https *g = calloc(1, sizeof *g);
	if (!g)
		return refuse(f, REASON_NO_MEMORY, "no memory for the gateway's client");
	g->base.call = call;
	g->options = *options;
	*out = &g->base;
	return DONE;
}

void gateway_https_free(struct gateway *base)
{
	struct gateway_https *g = (struct gateway_https *)base;
	if (g)
		httpc_sync_free(g->client);
	free(g);
}
