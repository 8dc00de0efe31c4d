#include "http.h"

#include "common/clock.h"
#include "common/json_read.h"
#include "gateway/challenge.h"

#include <stdio.h>

/* No body, or an empty object for clients that must send one. */
static outcome check_body(struct bytes body, struct fault *f)
{
	static const char *const no_members[] = {NULL};
	json_t *top = NULL;
	if (body.n == 0)
		return DONE;
	outcome o = json_read_object(body, "the body", &top, f);
	if (o.ok)
		o = json_read_members(top, no_members, f);
	json_decref(top);
	return o;
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
