#include "httpc_call.h"

#include <stdlib.h>

struct httpc_sync {
	struct httpc_pins pins;
	CURL *easy; /* keeps its connection from call to call */
	struct httpc_transfer last;
};

outcome httpc_sync_new(const struct httpc_tls *tls, struct httpc_sync **out, struct fault *f)
{
	httpc_global();
	struct httpc_sync *c = calloc(1, sizeof *c);
	*out = NULL;
	if (!c || !(c->easy = curl_easy_init())) {
		free(c);
		return refuse(f, REASON_NO_MEMORY, "no memory for the client");
	}
	outcome r = httpc_pins_load(&c->pins, tls, f);
	if (r.ok)
		*out = c;
	else
		httpc_sync_free(c);
	return r;
}

outcome httpc_sync_call(struct httpc_sync *c, const struct httpc_call *call, struct httpc_answer *answer,
			struct fault *f)
{
	httpc_transfer_free(&c->last);
	*answer = (struct httpc_answer){.content_type = "", .location = "", .retry_after_s = -1};
	outcome r = httpc_transfer_begin(&c->last, c->easy, &c->pins, call, f);
	if (!r.ok)
		return r;
	return httpc_transfer_result(&c->last, curl_easy_perform(c->easy), answer, f);
}

void httpc_sync_free(struct httpc_sync *c)
{
	if (!c)
		return;
	curl_easy_cleanup(c->easy);
	httpc_transfer_free(&c->last);
	httpc_pins_free(&c->pins);
	free(c);
}
