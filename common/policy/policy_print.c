/* A compiled policy for people: where in the document something stands, and what it says. */
#include "policy_internal.h"

#include <stdio.h>

void policy_place_statement(const struct policy *p, const struct policy_statement *s,
			    char out[POLICY_PLACE_MAX])
{
	if (p->is_list)
		snprintf(out, POLICY_PLACE_MAX, "Statement[%zu]", (size_t)(s - p->statements));
	else
		snprintf(out, POLICY_PLACE_MAX, "Statement");
}

void policy_place_arn(const struct policy *p, const struct policy_statement *s, size_t arn,
		      char out[POLICY_PLACE_MAX])
{
	char statement[POLICY_PLACE_MAX], index[24] = "";
	policy_place_statement(p, s, statement);
	if (s->is_list)
		snprintf(index, sizeof index, "[%zu]", arn - s->first_arn);
	snprintf(out, POLICY_PLACE_MAX, "%.32s.%s%s", statement, s->not_resource ? "NotResource" : "Resource",
		 index);
}

void policy_place_condition(const struct policy *p, const struct policy_statement *s, size_t condition,
			    char out[POLICY_PLACE_MAX])
{
	char statement[POLICY_PLACE_MAX], name[POLICY_PLACE_MAX];
	policy_place_statement(p, s, statement);
	policy_condition_name(p, &p->conditions[condition], name, sizeof name);
	snprintf(out, POLICY_PLACE_MAX, "%.32s.Condition.%.140s", statement, name);
}

/* What could be read as a wildcard, or as the beginning of a variable, is written with its escape. */
void policy_text_print(struct bytes text, struct buf *out)
{
	for (size_t i = 0; i < text.n; i++) {
		bool begins =
			text.p[i] == '$' && i + 1 < text.n && (text.p[i + 1] == '{' || text.p[i + 1] == '(');
		if (begins || text.p[i] == '*' || text.p[i] == '?')
			buf_printf(out, "${%c}", text.p[i]);
		else
			buf_byte(out, text.p[i]);
	}
}

void policy_glob_print(const struct policy *p, struct policy_texts t, struct policy_glob g, struct buf *out)
{
	const struct policy_token *token = t.tokens + g.first;
	for (size_t i = 0; i < g.count; i++) {
		char name[POLICY_PLACE_MAX];
		switch ((enum policy_token_kind)token[i].kind) {
		case TOKEN_TEXT:
			policy_text_print(bytes_of(t.text + token[i].at, token[i].n), out);
			break;
		case TOKEN_ANY:
			buf_byte(out, '*');
			break;
		case TOKEN_ONE:
			buf_byte(out, '?');
			break;
		case TOKEN_VARIABLE:
			policy_key_name(p, &p->keys[token[i].key], name, sizeof name);
			buf_printf(out, "${%s}", name);
			break;
		}
	}
}
