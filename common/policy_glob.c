#include "policy_internal.h"

#include <stdlib.h>
#include <string.h>

/* iot:Thing.ThingName is the spelling of some of AWS's own examples. */
static const struct {
	const char *name;
	enum policy_variable variable;
} variable_names[] = {
	{"iot:ClientId", VARIABLE_CLIENT_ID},
	{"iot:Connection.Thing.ThingName", VARIABLE_THING_NAME},
	{"iot:Thing.ThingName", VARIABLE_THING_NAME},
	{"iot:Connection.Thing.ThingTypeName", VARIABLE_THING_TYPE},
	{"iot:Connection.Thing.IsAttached", VARIABLE_IS_ATTACHED},
	{"iot:CertificateId", VARIABLE_CERTIFICATE_ID},
};

static const char *variable_value(const struct policy_principal *who, enum policy_variable v)
{
	switch (v) {
	case VARIABLE_CLIENT_ID:
		return who->client_id;
	case VARIABLE_THING_NAME:
		return who->thing_name;
	case VARIABLE_THING_TYPE:
		return who->thing_type;
	case VARIABLE_IS_ATTACHED:
		return who->is_attached ? "true" : "false";
	case VARIABLE_CERTIFICATE_ID:
		return who->certificate_id;
	}
	return NULL;
}

unsigned policy_resolved(const struct policy_principal *who)
{
	unsigned bits = 0;
	for (enum policy_variable v = VARIABLE_CLIENT_ID; v <= VARIABLE_CERTIFICATE_ID; v++)
		bits |= variable_value(who, v) ? 1u << v : 0;
	return bits;
}

/* A run of literal text is one token, whatever escapes it was written with. */
static void add_char(struct policy_glob *g, char **end, char c)
{
	struct policy_token *last = g->count ? &g->tokens[g->count - 1] : NULL;
	if (!last || last->kind != TOKEN_TEXT) {
		last = &g->tokens[g->count++];
		*last = (struct policy_token){.kind = TOKEN_TEXT, .text = {(const uint8_t *)*end, 0}};
	}
	*(*end)++ = c;
	last->text.n++;
}

static void add_wildcard(struct policy_glob *g, enum token_kind kind)
{
	bool repeated = kind == TOKEN_ANY && g->count && g->tokens[g->count - 1].kind == TOKEN_ANY;
	if (!repeated)
		g->tokens[g->count++] = (struct policy_token){.kind = kind};
}

static bool add_variable(struct policy_glob *g, struct bytes name)
{
	for (size_t i = 0; i < sizeof variable_names / sizeof *variable_names; i++) {
		if (!bytes_equal(name, bytes_str(variable_names[i].name)))
			continue;
		enum policy_variable v = variable_names[i].variable;
		g->tokens[g->count++] = (struct policy_token){.kind = TOKEN_VARIABLE, .variable = v};
		g->variables |= 1u << v;
		return true;
	}
	return false;
}

/* What follows a '$': an escape, a variable, or nothing special. Returns the bytes consumed with the '$'. */
static size_t dollar(struct policy_glob *g, char **end, struct bytes rest)
{
	bool brace = rest.n > 1 && rest.p[1] == '{';
	bool paren = rest.n > 1 && rest.p[1] == '(';
	if ((brace || paren) && rest.n > 3 && memchr("*?$", rest.p[2], 3) &&
	    rest.p[3] == (brace ? '}' : ')')) {
		add_char(g, end, (char)rest.p[2]);
		return 4;
	}
	if (!brace) {
		add_char(g, end, '$');
		return 1;
	}
	const uint8_t *close = memchr(rest.p, '}', rest.n);
	if (!close || !add_variable(g, bytes_of(rest.p + 2, (size_t)(close - rest.p) - 2)))
		return 0;
	return (size_t)(close - rest.p) + 1;
}

outcome policy_glob_compile(struct bytes source, bool variables, const char *place, struct policy_glob *out,
			    struct fault *f)
{
	struct policy_glob g = {.text = malloc(source.n + 1),
				.tokens = calloc(source.n + 1, sizeof *g.tokens)};
	char *end = g.text;
	if (!g.text || !g.tokens) {
		policy_glob_free(&g);
		return refuse(f, REASON_NO_MEMORY, "no memory for a policy");
	}
	for (size_t i = 0; i < source.n;) {
		size_t used = 1;
		if (source.p[i] == '*')
			add_wildcard(&g, TOKEN_ANY);
		else if (source.p[i] == '?')
			add_wildcard(&g, TOKEN_ONE);
		else if (source.p[i] == '$' && variables)
			used = dollar(&g, &end, bytes_of(source.p + i, source.n - i));
		else
			add_char(&g, &end, (char)source.p[i]);
		if (used == 0) {
			policy_glob_free(&g);
			return refuse(f, REASON_POLICY_SYNTAX,
				      "%s: unknown or unfinished variable at \"%.*s\"", place,
				      (int)(source.n - i < 48 ? source.n - i : 48), source.p + i);
		}
		i += used;
	}
	struct policy_token *fitting = realloc(g.tokens, (g.count ? g.count : 1) * sizeof *g.tokens);
	if (fitting)
		g.tokens = fitting;
	*out = g;
	return DONE;
}

void policy_glob_free(struct policy_glob *g)
{
	free(g->text);
	free(g->tokens);
	*g = (struct policy_glob){0};
}

/* '?' is one character, not one byte: the bytes of one UTF-8 sequence. */
static size_t character(struct bytes s, size_t at)
{
	size_t n = 1;
	while (at + n < s.n && (s.p[at + n] & 0xc0) == 0x80)
		n++;
	return n;
}

/* Bytes of `subject` at `at` that the token takes; false where it does not match there. */
static bool token_match(const struct policy_token *t, struct bytes subject, size_t at,
			const struct policy_principal *who, size_t *n)
{
	struct bytes text = t->text;
	if (t->kind == TOKEN_ONE) {
		*n = at < subject.n ? character(subject, at) : 0;
		return at < subject.n;
	}
	if (t->kind == TOKEN_VARIABLE)
		text = bytes_str(variable_value(who, t->variable));
	*n = text.n;
	return subject.n - at >= text.n && !memcmp(subject.p + at, text.p, text.n);
}

bool policy_glob_match(const struct policy_glob *g, struct bytes subject, const struct policy_principal *who)
{
	size_t token = 0, at = 0, n = 0;
	size_t retry_token = SIZE_MAX, retry_at = 0; /* after the last '*' */
	for (;;) {
		if (token == g->count && at == subject.n)
			return true;
		if (token < g->count && g->tokens[token].kind == TOKEN_ANY) {
			if (++token == g->count)
				return true;
			retry_token = token;
			retry_at = at;
		} else if (token < g->count && token_match(&g->tokens[token], subject, at, who, &n)) {
			token++;
			at += n;
		} else if (retry_token != SIZE_MAX && retry_at < subject.n) {
			token = retry_token;
			at = ++retry_at;
		} else {
			return false;
		}
	}
}
