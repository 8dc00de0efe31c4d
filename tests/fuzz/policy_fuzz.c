/*
 * Bytes up to the first zero are a policy document, what follows is a target: whatever compiles must give the
 * same answer twice, and a Deny of everything beside it must win. Then the same two as wildcard and text,
 * against a plain dynamic programme.
 */
#include "policy_internal.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { GLOB_MAX = 128 };

static const char deny_all[] = "{\"Statement\":{\"Effect\":\"Deny\",\"Action\":\"*\",\"Resource\":\"*\"}}";

static const struct policy_principal who = {.client_id = "client",
					    .thing_name = "*",
					    .certificate_id = "c",
					    .is_attached = true,
					    .region = "us-east-1"};
static const struct policy_principal nobody = {.client_id = "client", .reserved_by_name = true};

static void ask(const struct policy *p, const struct policy *deny, const char *target)
{
	const struct policy *list[] = {p, deny};
	for (enum policy_action a = POLICY_CONNECT; a <= POLICY_RECEIVE; a++) {
		enum policy_decision d = policy_check(list, 1, a, target, &who);
		if (d != policy_check(list, 1, a, target, &who))
			abort();
		policy_check(list, 1, a, target, &nobody);
		if (strlen(target) <= POLICY_TARGET_MAX &&
		    policy_check(list, 2, a, target, &who) != POLICY_EXPLICIT_DENY)
			abort();
	}
}

static bool continues(uint8_t c)
{
	return (c & 0xc0) == 0x80;
}

/* match[i][j]: the pattern's first i bytes match the text's first j. */
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
				size_t k = j + 1;
				while (k < text.n && continues(text.p[k]))
					k++;
				match[i + 1][k] = true;
			} else if (j < text.n && pattern.p[i] == text.p[j]) {
				match[i + 1][j + 1] = true;
			}
		}
	}
	return match[pattern.n][text.n];
}

/* With a '*' before it, '?' may start in the middle of a character in one of the two: only valid starts are
 * compared. */
static void compare(struct bytes pattern, struct bytes text)
{
	struct policy_glob g = {0};
	struct fault f;
	if (pattern.n > GLOB_MAX || text.n > GLOB_MAX)
		return;
	if (!policy_glob_compile(pattern, false, "fuzz", &g, &f).ok)
		abort();
	if (policy_glob_match(&g, text, NULL) != plain_match(pattern, text))
		abort();
	policy_glob_free(&g);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const uint8_t *zero = memchr(data, 0, size);
	size_t n = zero ? (size_t)(zero - data) : size;
	char *target = strndup(zero ? (const char *)zero + 1 : "", zero ? size - n - 1 : 0);
	struct policy *p = NULL, *deny = NULL;
	struct fault f = {0};
	if (!target || !policy_compile(bytes_str(deny_all), &deny, &f).ok)
		abort();
	if (policy_compile(bytes_of(data, n), &p, &f).ok)
		ask(p, deny, target);
	else if (f.reason != REASON_POLICY_SYNTAX)
		abort();
	compare(bytes_of(data, n), bytes_str(target));
	policy_free(p);
	policy_free(deny);
	free(target);
	return 0;
}
