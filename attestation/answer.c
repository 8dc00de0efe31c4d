#include "answer.h"

#include <stdlib.h>

void answer_json(struct scgi_request *r, int status, const char *content_type, json_t *body)
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
