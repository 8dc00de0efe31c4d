/* Texts with wildcards, variables and escapes: taken apart once, matched often. */
#include "policy_internal.h"

#include <string.h>

/* ---- compiling ---- */

/* A glob while its tokens are appended. */
struct writing {
	struct policy_builder *b;
	struct policy_glob *glob;
	bool wildcards;
	const char *place;
};

static struct policy_token *last_token(const struct writing *w)
{
	const struct buf *tokens = &w->b->tokens;
	if (w->glob->count == 0 || tokens->failed)
		return NULL;
	return (struct policy_token *)(void *)(tokens->p + tokens->n) - 1;
}

static void add_token(struct writing *w, enum policy_token_kind kind, uint8_t key)
{
	struct policy_token t = {.kind = (uint8_t)kind, .key = key, .at = (uint32_t)w->b->text.n};
	buf_add(&w->b->tokens, &t, sizeof t);
	w->glob->count++;
}

/* A run of literal text is one token, whatever escapes it was written with. */
static void add_byte(struct writing *w, uint8_t byte)
{
	struct policy_token *last = last_token(w);
	if (!last || last->kind != TOKEN_TEXT) {
		add_token(w, TOKEN_TEXT, 0);
		last = last_token(w);
	}
	buf_byte(&w->b->text, byte);
	if (last)
		last->n++;
}

static void add_wildcard(struct writing *w, enum policy_token_kind kind)
{
	const struct policy_token *last = last_token(w);
	if (kind != TOKEN_ANY || !last || last->kind != TOKEN_ANY)
		add_token(w, kind, 0);
}

static outcome add_variable(struct writing *w, struct bytes rest, size_t *used, struct fault *f)
{
	const uint8_t *close = memchr(rest.p, '}', rest.n);
	uint8_t number;
	if (!close)
		return policy_refuse(f, w->place,
				     "\"%.*s\" is not closed; end the variable with '}', or write ${$} for a "
				     "'$' that is meant",
				     (int)(rest.n < 48 ? rest.n : 48), rest.p);
	struct bytes name = bytes_of(rest.p + 2, (size_t)(close - rest.p) - 2);
	outcome o = policy_key_compile(w->b, name, w->place, &number, f);
	if (!o.ok)
		return o;
	const struct policy_key *k = (const struct policy_key *)(void *)w->b->keys.p + number;
	if (k->list || policy_key_is_of_question(k))
		return policy_refuse(f, w->place,
				     "${%.*s} has no text of its own; use it as a key of a Condition",
				     (int)name.n, name.p);
	add_token(w, TOKEN_VARIABLE, number);
	*used = name.n + 3;
	return DONE;
}

/* What follows a '$': an escape (${*}, and $(*) as the guide prints it), a variable, or nothing special. */
static outcome add_dollar(struct writing *w, struct bytes rest, size_t *used, struct fault *f)
{
	bool brace = rest.n > 1 && rest.p[1] == '{', paren = rest.n > 1 && rest.p[1] == '(';
	if ((brace || paren) && rest.n > 3 && memchr("*?$", rest.p[2], 3) &&
	    rest.p[3] == (brace ? '}' : ')')) {
		add_byte(w, rest.p[2]);
		*used = 4;
		return DONE;
	}
	if (brace)
		return add_variable(w, rest, used, f);
	add_byte(w, '$');
	return DONE;
}

outcome policy_glob_compile(struct policy_builder *b, struct bytes source, bool wildcards, const char *place,
			    struct policy_glob *out, struct fault *f)
{
	struct writing w = {.b = b, .glob = out, .wildcards = wildcards, .place = place};
	*out = (struct policy_glob){.first = (uint16_t)(b->tokens.n / sizeof(struct policy_token))};
	for (size_t i = 0, used; i < source.n; i += used) {
		outcome o = DONE;
		used = 1;
		if (source.p[i] == '$' && b->variables)
			o = add_dollar(&w, bytes_of(source.p + i, source.n - i), &used, f);
		else if (source.p[i] == '*' && wildcards)
			add_wildcard(&w, TOKEN_ANY);
		else if (source.p[i] == '?' && wildcards)
			add_wildcard(&w, TOKEN_ONE);
		else
			add_byte(&w, source.p[i]);
		if (!o.ok)
			return o;
	}
	return DONE;
}

/* ---- variables ---- */

static struct bytes literal(struct policy_texts t, const struct policy_token *token,
			    const struct bytes *values)
{
	if (token->kind == TOKEN_VARIABLE)
		return values[token->key];
	return bytes_of(t.text + token->at, token->n);
}

bool policy_glob_is_resolved(struct policy_texts t, struct policy_glob g, const struct bytes *values)
{
	const struct policy_token *token = t.tokens + g.first;
	for (size_t i = 0; i < g.count; i++)
		if (token[i].kind == TOKEN_VARIABLE && !values[token[i].key].p)
			return false;
	return true;
}

static bool is_literal(const struct policy_token *token)
{
	return token->kind == TOKEN_TEXT || token->kind == TOKEN_VARIABLE;
}

size_t policy_glob_length(struct policy_texts t, struct policy_glob g, const struct bytes *values)
{
	const struct policy_token *token = t.tokens + g.first;
	size_t n = 0;
	for (size_t i = 0; i < g.count; i++)
		n += is_literal(&token[i]) ? literal(t, &token[i], values).n : 0;
	return n;
}

struct policy_glob policy_glob_fill_in(struct policy_texts t, struct policy_glob g,
				       const struct bytes *values, struct policy_texts base,
				       struct policy_token **tokens, uint8_t **text)
{
	struct policy_glob out = {.first = (uint16_t)(*tokens - base.tokens)};
	struct policy_token *open = NULL; /* a text that what follows joins */
	for (const struct policy_token *from = t.tokens + g.first, *end = from + g.count; from < end;
	     from++) {
		if (!open || !is_literal(from)) {
			open = is_literal(from) ? *tokens : NULL;
			**tokens = (struct policy_token){
				.kind = open ? TOKEN_TEXT : from->kind,
				.at = (uint32_t)(*text - base.text),
			};
			++*tokens;
			out.count++;
		}
		struct bytes more = open ? literal(t, from, values) : bytes_of(NULL, 0);
		if (more.n)
			memcpy(*text, more.p, more.n);
		*text += more.n;
		if (open)
			open->n = (uint16_t)(open->n + more.n);
	}
	return out;
}
