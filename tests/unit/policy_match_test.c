/* The compiled matcher against a naive one, on random policies: whole documents are written, compiled, bound
 * and asked; the reference works on the symbols that they were written from. */
#include "policies.h"

enum { ROUNDS = 4000, QUESTIONS = 40, STATEMENTS_MAX = 5, PATTERNS_MAX = 3, SYMBOLS_MAX = 9, TOPIC_MAX = 14 };

/* A symbol is a character, a wildcard or a variable. */
enum { STAR = 1, ONE = 2, CLIENT = 3, MISSING = 4 };

struct pattern {
	int symbols[SYMBOLS_MAX];
	size_t count;
	const char *type; /* what is written before the symbols */
};

struct statement {
	bool deny, not ;
	struct pattern patterns[PATTERNS_MAX];
	size_t count;
};

static uint64_t random_state;

/* Knuth's MMIX constants; the same run every time. */
static unsigned draw(unsigned below)
{
	random_state = random_state * 6364136223846793005u + 1442695040888963407u;
	return (unsigned)(random_state >> 33) % below;
}

/* Few characters, so that much matches; the end of "topic/"; one of two bytes; and what the language would read as its
 * own. */
static const char *const alphabet[] = {"a", "b", "/", "c/", "\xc3\xa4", "*", "?", "$"};
static const char *const escaped[] = {"a", "b", "/", "c/", "\xc3\xa4", "${*}", "$(?)", "${$}"};
enum { LETTERS = 8, FIRST_LETTER = 10 };

static const char client_id[] = "ab*";

static struct pattern draw_pattern(void)
{
	static const char *const types[] = {"topic/", "topic/", "topic/", "", "topicfilter/"};
	struct pattern p = {.count = draw(SYMBOLS_MAX + 1), .type = types[draw(5)]};
	for (size_t i = 0; i < p.count; i++) {
		unsigned kind = draw(10);
		p.symbols[i] = kind < 2			   ? STAR
			       : kind == 2		   ? ONE
			       : kind == 3		   ? CLIENT
			       : kind == 4 && draw(4) == 0 ? MISSING
							   : FIRST_LETTER + (int)draw(LETTERS);
	}
	return p;
}

static struct statement draw_statement(void)
{
	struct statement s = {.deny = draw(3) == 0, .not = draw(6) == 0, .count = 1 + draw(PATTERNS_MAX)};
	for (size_t i = 0; i < s.count; i++)
		s.patterns[i] = draw_pattern();
	return s;
}

/* --- writing --- */

static void write_pattern(struct buf *out, const struct pattern *p)
{
	buf_printf(out, "\"" ARN "%s", p->type);
	for (size_t i = 0; i < p->count; i++)
		buf_str(out, p->symbols[i] == STAR	? "*"
			     : p->symbols[i] == ONE	? "?"
			     : p->symbols[i] == CLIENT	? "${iot:ClientId}"
			     : p->symbols[i] == MISSING ? THING
							: escaped[p->symbols[i] - FIRST_LETTER]);
	buf_str(out, "\"");
}

static char *write_document(const struct statement *statements, size_t count)
{
	struct buf out = {0};
	buf_str(&out, "{\"Version\":\"2012-10-17\",\"Statement\":[");
	for (size_t i = 0; i < count; i++) {
		buf_printf(&out, "%s{\"Effect\":\"%s\",\"Action\":\"iot:Publish\",\"%sResource\":[",
			   i ? "," : "", statements[i].deny ? "Deny" : "Allow",
			   statements[i].not ? "Not" : "");
		for (size_t j = 0; j < statements[i].count; j++) {
			buf_str(&out, j ? "," : "");
			write_pattern(&out, &statements[i].patterns[j]);
		}
		buf_str(&out, "]}");
	}
	buf_str(&out, "]}");
	return buf_take_str(&out);
}

/* --- the reference --- */

static size_t character_size(const char *s)
{
	return (unsigned char)*s >= 0xc0 ? 2 : 1;
}

static bool naive_match(const int *symbols, size_t count, const char *text)
{
	if (count == 0)
		return *text == '\0';
	if (*symbols == STAR)
		return naive_match(symbols + 1, count - 1, text) ||
		       (*text && naive_match(symbols, count, text + character_size(text)));
	if (*symbols == MISSING)
		return false;
	if (*symbols == ONE)
		return *text && naive_match(symbols + 1, count - 1, text + character_size(text));
	const char *literal = *symbols == CLIENT ? client_id : alphabet[*symbols - FIRST_LETTER];
	size_t n = strlen(literal);
	return !strncmp(text, literal, n) && naive_match(symbols + 1, count - 1, text + n);
}

static bool pattern_matches(const struct pattern *p, const char *topic)
{
	char full[80];
	if (!strcmp(p->type, "topicfilter/"))
		return false;
	snprintf(full, sizeof full, "topic/%s", topic);
	return naive_match(p->symbols, p->count, *p->type ? topic : full);
}

static bool names_missing(const struct pattern *p)
{
	for (size_t i = 0; i < p->count; i++)
		if (p->symbols[i] == MISSING)
			return true;
	return false;
}

static bool statement_matches(const struct statement *s, const char *topic)
{
	bool any = false, missing = false, reserved = topic[0] == '$' && !s->deny;
	for (size_t i = 0; i < s->count; i++) {
		const struct pattern *p = &s->patterns[i];
		bool spelled = *p->type && p->count && p->symbols[0] == FIRST_LETTER + LETTERS - 1;
		any = any || (pattern_matches(p, topic) && (spelled || !reserved));
		missing = missing || names_missing(p);
	}
	if (!s->not )
		return any;
	return !any && !reserved && (s->deny || !missing);
}

static enum policy_decision decide(const struct statement *statements, size_t count, const char *topic)
{
	bool allowed = false;
	for (size_t i = 0; i < count; i++) {
		if (!statement_matches(&statements[i], topic))
			continue;
		if (statements[i].deny)
			return POLICY_EXPLICIT_DENY;
		allowed = true;
	}
	return allowed ? POLICY_ALLOWED : POLICY_IMPLICIT_DENY;
}

/* --- the comparison --- */

static void draw_topic(char out[64])
{
	*out = '\0';
	for (unsigned n = draw(TOPIC_MAX); n; n--)
		strcat(out, draw(5) ? alphabet[draw(LETTERS)] : client_id);
}

static void test_random_policies_decide_as_the_reference(void **state)
{
	(void)state;
	const struct policy_connection c = {.client_id = client_id};
	size_t seen[3] = {0};
	random_state = 20270115;
	for (int round = 0; round < ROUNDS; round++) {
		struct statement statements[STATEMENTS_MAX];
		size_t count = 1 + draw(STATEMENTS_MAX);
		for (size_t i = 0; i < count; i++)
			statements[i] = draw_statement();
		char *json = write_document(statements, count);
		struct policy *p = compiled(json);
		struct policy_binding *b = bound(p, &c);
		for (int i = 0; i < QUESTIONS; i++) {
			char topic[64];
			draw_topic(topic);
			enum policy_decision d = policy_check_publish(b, topic, false, NOW);
			if (d != decide(statements, count, topic))
				fail_msg("%s: %s: %d", json, topic, d);
			seen[d]++;
		}
		policy_binding_free(b);
		policy_free(p);
		free(json);
	}
	/* A comparison of nothing but refusals would prove little. */
	assert_true(seen[POLICY_ALLOWED] > ROUNDS);
	assert_true(seen[POLICY_EXPLICIT_DENY] > ROUNDS);
	assert_true(seen[POLICY_IMPLICIT_DENY] > ROUNDS);
}

/* No pattern costs more than pattern times topic: the worst that is known of naive matchers. */
static void test_many_stars_end(void **state)
{
	(void)state;
	struct buf json = {0};
	char topic[POLICY_TARGET_MAX + 1];
	buf_str(&json, "{\"Statement\":{\"Effect\":\"Allow\",\"Action\":\"*\",\"Resource\":\"" ARN "topic/");
	for (int i = 0; i < 400; i++)
		buf_str(&json, "*a?");
	buf_str(&json, "*b\"}}");
	char *text = buf_take_str(&json);
	memset(topic, 'a', POLICY_TARGET_MAX);
	topic[POLICY_TARGET_MAX] = '\0';
	assert_int_equal(ask(text, POLICY_PUBLISH, topic, &nobody), POLICY_IMPLICIT_DENY);
	topic[POLICY_TARGET_MAX - 1] = 'b';
	assert_int_equal(ask(text, POLICY_PUBLISH, topic, &nobody), POLICY_ALLOWED);
	free(text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_random_policies_decide_as_the_reference),
		cmocka_unit_test(test_many_stars_end),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
