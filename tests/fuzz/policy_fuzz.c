/*
 * Bytes up to the first zero are a policy document, what follows is a target: whatever compiles must give the
 * same answers when it is minified and when it is explained, and a Deny of everything beside it must win. The
 * lint reads it too. Then the same two as wildcard and text, against a plain dynamic programme.
 */
#include "common/policy/policy_explain.h"
#include "common/policy/policy_internal.h"
#include "common/policy/policy_lint.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { GLOB_MAX = 128, NOW = 1800000000 };

static const char deny_all[] = "{\"Statement\":{\"Effect\":\"Deny\",\"Action\":\"*\",\"Resource\":\"*\"}}";

static const struct policy_attribute attributes[] = {{"a", "42"}, {"b", "2027-01-01"}};
static const struct policy_attribute fields[] = {
	{"Subject.CommonName", "lamp"}, {"Subject.CommonName", "a*"}, {"SerialNumber", "7"}};
static const struct policy_connection connections[] = {
	{.client_id = "client"},
	{.client_id = "*",
	 .certificate_id = "c",
	 .source_ip = "192.0.2.1",
	 .domain_name = "example.com",
	 .thing = {"*", "type", attributes, 2, .attached = true},
	 .certificate = fields,
	 .certificate_count = 3,
	 .region = "us-east-1",
	 .account = "1"},
};

static struct policy_binding *bound(const struct policy *const *list, size_t n,
				    const struct policy_connection *c)
{
	struct policy_binding *b;
	struct fault f;
	if (!policy_bind(list, n, c, &b, &f).ok)
		abort();
	return b;
}

/* What the statements say, put together. */
static void take(void *arg, const struct policy_account *a)
{
	enum policy_decision *told = arg;
	if (!*a->place)
		abort();
	if (a->step == POLICY_MATCHES && *told != POLICY_EXPLICIT_DENY)
		*told = a->deny ? POLICY_EXPLICIT_DENY : POLICY_ALLOWED;
}

static void take_key(void *arg, const char *name, const char *values)
{
	if (!*name || (values && !*values))
		abort();
	(void)arg;
}

static void explain(const struct policy *const *list, const struct policy_connection *c,
		    const struct policy_question *q, enum policy_decision expected)
{
	enum policy_decision decided, told = POLICY_IMPLICIT_DENY;
	struct fault f;
	if (!policy_explain(list, 1, c, q, take, &told, &decided, &f).ok || decided != expected ||
	    told != decided)
		abort();
	policy_explain_keys(*list, c, q, take_key, NULL);
}

static void take_finding(void *arg, const struct policy_finding *finding)
{
	if (!*finding->place || !*finding->text || !finding->rule->code)
		abort();
	(void)arg;
}

static void ask(const struct policy *const list[3], const char *target, const struct policy_connection *c)
{
	const struct policy_connect packet = {.persistent = true, .will_topic = target};
	struct policy_binding *b = bound(list, 1, c), *denied = bound(list, 2, c),
			      *small = bound(list + 2, 1, c);
	for (enum policy_action a = POLICY_CONNECT; a < POLICY_ACTIONS; a++) {
		const struct policy_question q = {.action = a,
						  .target = target,
						  .now_s = NOW,
						  .packet = a == POLICY_CONNECT ? &packet : NULL};
		enum policy_decision d = policy_check(b, &q);
		if (d != policy_check(small, &q))
			abort();
		explain(list, c, &q, d);
		if (strlen(target) <= POLICY_TARGET_MAX && policy_check(denied, &q) != POLICY_EXPLICIT_DENY)
			abort();
	}
	policy_check_connect(b, &packet, NOW);
	policy_check_publish(b, target, true, NOW);
	policy_check_subscribe(b, target, NOW);
	policy_binding_free(b);
	policy_binding_free(denied);
	policy_binding_free(small);
}

static struct policy *compiled(struct bytes json)
{
	struct policy *p = NULL;
	struct fault f = {0};
	if (!policy_compile(json, &p, &f).ok && f.reason != REASON_POLICY_SYNTAX)
		abort();
	return p;
}

static void ask_all(struct bytes json, const char *target)
{
	struct buf small = {0};
	struct policy *p = compiled(json), *deny = compiled(bytes_str(deny_all));
	policy_minify(json, &small);
	struct policy *minified = p ? compiled(buf_view(&small)) : NULL;
	if (p && (!minified || small.n > POLICY_BYTES_MAX))
		abort();
	const struct policy *const list[] = {p, deny, minified};
	struct fault f;
	if (policy_lint(json, take_finding, NULL, &f).ok != (p != NULL))
		abort();
	for (size_t i = 0; p && i < sizeof connections / sizeof *connections; i++)
		ask(list, target, &connections[i]);
	buf_free(&small);
	policy_free(p);
	policy_free(deny);
	policy_free(minified);
}

static bool continues(uint8_t c)
{
	return (c & 0xc0) == 0x80;
}

static size_t character_end(struct bytes text, size_t at)
{
	at++;
	while (at < text.n && continues(text.p[at]))
		at++;
	return at;
}

/* match[i][j]: the pattern's first i bytes match the text's first j. A '*' takes whole characters. */
static bool plain_match(struct bytes pattern, struct bytes text)
{
	static bool match[GLOB_MAX + 1][GLOB_MAX + 1];
	memset(match, 0, sizeof match);
	match[0][0] = true;
	for (size_t i = 0; i < pattern.n; i++) {
		for (size_t j = 0; j <= text.n; j++) {
			if (!match[i][j])
				continue;
			if (pattern.p[i] == '*') {
				for (size_t k = j; k <= text.n; k++)
					match[i + 1][k] = true;
			} else if (pattern.p[i] == '?' && j < text.n) {
				match[i + 1][character_end(text, j)] = true;
			} else if (j < text.n && pattern.p[i] == text.p[j]) {
				match[i + 1][j + 1] = true;
			}
		}
	}
	return match[pattern.n][text.n];
}

/* Both are UTF-8 wherever they come from: a document's strings, a broker's topics. */
static void compare(struct bytes pattern, struct bytes text)
{
	struct policy_builder b = {0};
	struct policy_glob g;
	struct fault f;
	if (pattern.n > GLOB_MAX || text.n > GLOB_MAX || !bytes_are_utf8(pattern) || !bytes_are_utf8(text))
		return;
	if (!policy_glob_compile(&b, pattern, true, "fuzz", &g, &f).ok)
		abort();
	if (policy_glob_match(policy_builder_texts(&b), g, NULL, text) != plain_match(pattern, text))
		abort();
	policy_builder_free(&b);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const uint8_t *zero = memchr(data, 0, size);
	size_t n = zero ? (size_t)(zero - data) : size;
	char *target = strndup(zero ? (const char *)zero + 1 : "", zero ? size - n - 1 : 0);
	if (!target)
		abort();
	ask_all(bytes_of(data, n), target);
	compare(bytes_of(data, n), bytes_str(target));
	free(target);
	return 0;
}
