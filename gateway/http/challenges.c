#include "http.h"

#include "clock.h"
#include "gateway/challenge.h"

#include <jansson.h>
#include <stdio.h>

/* No body, or an empty object for clients that must send one. */
static outcome check_body(struct bytes body, struct fault *f)
{
	json_error_t error;
	if (body.n == 0)
		return DONE;
	json_t *top = json_loadb((const char *)body.p, body.n, 0, &error);
	bool empty = json_is_object(top) && json_object_size(top) == 0;
	json_decref(top);
	return empty ? DONE : refuse(f, REASON_BAD_JSON, "the body is neither empty nor {}");
}

void http_challenges(struct gateway *g, struct scgi_request *r)
{
	uint8_t nonce[NONCE_SIZE];
	char text[BASE64_SIZE(NONCE_SIZE)], body[160];
	struct fault f;
	if (!check_body(scgi_body(r), &f).ok) {
		scgi_answer_problem(r, &f);
		return;
	}
	challenge_issue(g->challenge, clock_monotonic_ms(), nonce);
	base64url_encode(bytes_of(nonce, sizeof nonce), text);
	snprintf(body, sizeof body, "{\"nonce\":\"%s\",\"expires_in\":%lld}\n", text,
		 (long long)g->config.challenge_ttl_s);
	scgi_answer_header(r, "Cache-Control", "no-store");
	scgi_answer(r, 201, "application/json", bytes_str(body));
}
