#include "scgi_json.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

outcome scgi_json_expect(const struct scgi_request *r, struct fault *f)
{
	static const char json[] = "application/json";
	const char *type = scgi_header(r, "content-type");
	size_t n = strcspn(type, "; \t");
	if (n == strlen(json) && !strncasecmp(type, json, n))
		return DONE;
	return refuse(f, REASON_MEDIA_TYPE, "Content-Type must be %s", json);
}

void scgi_json_answer(struct scgi_request *r, int status, const char *content_type, json_t *body)
{
	struct fault f;
	char *text = body ? json_dumps(body, JSON_COMPACT) : NULL;
	json_decref(body);
	if (text) {
		scgi_answer(r, status, content_type, bytes_str(text));
	} else {
		refuse(&f, REASON_OVERLOADED, "no memory for an answer");
		scgi_answer_problem(r, &f);
	}
	free(text);
}
