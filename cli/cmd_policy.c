#include "cmd_policy.h"
#include "input.h"
#include "policy_scene.h"
#include "policy_vectors.h"
#include "text.h"
#include "common/policy/policy_explain.h"
#include "common/policy/policy_lint.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int print_json(json_t *out)
{
	json_dumpf(out, stdout, JSON_PRESERVE_ORDER);
	putchar('\n');
	json_decref(out);
	return EXIT_DONE;
}

/* ---- lint ---- */

static const char *const severities[] = {
	[POLICY_NOTE] = "note", [POLICY_WARNING] = "warning", [POLICY_DANGER] = "danger"};

static void take_finding(void *arg, const struct policy_finding *finding)
{
	json_t *findings = arg;
	json_array_append_new(findings,
			      json_pack("{s:s, s:s, s:s, s:s, s:s}", "code", finding->rule->code, "severity",
					severities[finding->rule->severity], "place", finding->place, "text",
					finding->text, "remedy", finding->rule->remedy));
}

void policy_print_finding(const struct ctl *c, const json_t *finding)
{
	const char *severity = json_string_value(json_object_get(finding, "severity"));
	enum colour colour = !strcmp(severity, "note") ? DIM : !strcmp(severity, "warning") ? YELLOW : RED;
	fputs("  ", stdout);
	text_print_colour(c->colour, colour, severity);
	printf("%*s %s at ", (int)(7 - strlen(severity)), "",
	       json_string_value(json_object_get(finding, "code")));
	text_print(json_string_value(json_object_get(finding, "place")));
	fputs("\n          ", stdout);
	text_print(json_string_value(json_object_get(finding, "text")));
	fputs("\n          remedy: ", stdout);
	text_print(json_string_value(json_object_get(finding, "remedy")));
	putchar('\n');
}

/* Notes alone are no reason to stop. */
static bool is_grave(const json_t *findings)
{
	for (size_t i = 0; i < json_array_size(findings); i++)
		if (strcmp(json_string_value(json_object_get(json_array_get(findings, i), "severity")),
			   "note") != 0)
			return true;
	return false;
}

static outcome lint_file(const char *path, json_t *findings, struct fault *f)
{
	struct buf text;
	struct fault why;
	outcome o = input_read_text(path, SCENE_FILE_MAX, &text, f);
	if (!o.ok)
		return o;
	o = policy_lint(buf_view(&text), take_finding, findings, &why);
	if (!o.ok)
		refuse(f, why.reason, "%s: %s", input_name(path), why.text);
	buf_free(&text);
	return o;
}

int policy_lint_files(struct ctl *c, const struct arguments *a)
{
	json_t *all = json_array(), *finding;
	int code = EXIT_DONE;
	for (size_t i = 0, n; i < a->word_count; i++) {
		json_t *findings = json_array();
		struct fault f = {0};
		if (!lint_file(a->words[i], findings, &f).ok) {
			code = ctl_fail(&f);
			json_decref(findings);
			continue;
		}
		code = is_grave(findings) ? EXIT_REFUSED : code;
		json_array_append_new(all,
				      json_pack("{s:s, s:O}", "file", a->words[i], "findings", findings));
		if (!c->json) {
			text_print(input_name(a->words[i]));
			puts(json_array_size(findings) ? ":" : ": nothing to say");
			json_array_foreach(findings, n, finding)
				policy_print_finding(c, finding);
		}
		json_decref(findings);
	}
	if (c->json)
		print_json(json_pack("{s:O}", "files", all));
	json_decref(all);
	return code;
}

/* ---- test ---- */

static json_t *question_json(const struct policy_question *q, enum policy_decision d)
{
	char resource[POLICY_TARGET_MAX + 32];
	snprintf(resource, sizeof resource, "%s%.1024s", scene_resource_type(q->action), q->target);
	return json_pack("{s:s, s:s, s:s}", "decision", scene_decision_name(d), "action",
			 scene_action_name(q->action), "resource", resource);
}

static void print_decision(const struct ctl *c, const struct policy_question *q, enum policy_decision d)
{
	text_print_colour(c->colour, d == POLICY_ALLOWED ? GREEN : RED, scene_decision_name(d));
	printf(": %s on %s", scene_action_name(q->action), scene_resource_type(q->action));
	text_print(q->target);
	putchar('\n');
}

static int test_scene(struct ctl *c, const struct arguments *a)
{
	struct scene s;
	struct fault f = {0};
	enum policy_decision d = POLICY_IMPLICIT_DENY;
	outcome o = scene_read(a, &s, &f);
	if (o.ok)
		o = scene_decide(&s, &d, &f);
	if (o.ok && c->json)
		print_json(question_json(&s.questions[0], d));
	else if (o.ok)
		print_decision(c, &s.questions[0], d);
	if (o.ok && !c->json && d != POLICY_ALLOWED)
		puts("policy explain with the same options says why");
	scene_free(&s);
	return !o.ok ? ctl_fail_given(&f) : d == POLICY_ALLOWED ? EXIT_DONE : EXIT_REFUSED;
}

int policy_test(struct ctl *c, const struct arguments *a)
{
	const char *vectors = argument(a, "vectors");
	if (vectors && (argument(a, "action") || a->repeat_count))
		return ctl_usage("--vectors says all that is asked: it stands alone");
	return vectors ? policy_vectors_run(c, vectors) : test_scene(c, a);
}

/* ---- explain ---- */

struct explaining {
	const struct ctl *c;
	const struct scene *scene;
	json_t *statements, *values;
};

static const struct {
	const char *code, *text;
} steps[] = {
	[POLICY_OTHER_ACTION] = {"other-action", "is about another action"},
	[POLICY_OTHER_RESOURCE] = {"other-resource", "is about another resource"},
	[POLICY_NO_VALUE] = {"no-value", "names a variable without a value"},
	[POLICY_CONDITION_FAILS] = {"condition-fails", "has a condition that fails"},
	[POLICY_MATCHES] = {"matches", "matches"},
};

/* "  Allow 1 OwnTopics matches: Statement[1].Resource, topic/dt/lamp" */
static void print_account(const struct explaining *e, const struct policy_account *a, const char *sid)
{
	char effect[32];
	bool matches = a->step == POLICY_MATCHES;
	if (a->statement == 0 && e->scene->policy_count > 1)
		printf("  %s\n", e->scene->files[a->policy].path);
	snprintf(effect, sizeof effect, "  %s%zu", a->deny ? "Deny  " : "Allow ", a->statement);
	text_print_colour(e->c->colour, !matches ? DIM : a->deny ? RED : GREEN, effect);
	printf("%s", *sid ? " " : "");
	text_print(sid);
	printf(" %s", steps[a->step].text);
	if (*a->detail || matches) {
		fputs(": ", stdout);
		text_print(a->place);
		fputs(*a->detail ? ", " : "", stdout);
		text_print(a->detail);
	}
	putchar('\n');
}

static void take_account(void *arg, const struct policy_account *a)
{
	struct explaining *e = arg;
	const char *sid = scene_sid(e->scene, a->policy, a->statement);
	json_array_append_new(e->statements,
			      json_pack("{s:s, s:I, s:s, s:s, s:s, s:s, s:s}", "file",
					e->scene->files[a->policy].path, "statement",
					(json_int_t)a->statement, "sid", sid, "effect",
					a->deny ? "Deny" : "Allow", "step", steps[a->step].code, "place",
					a->place, "detail", a->detail));
	if (!e->c->json)
		print_account(e, a, sid);
}

static void take_key(void *arg, const char *name, const char *values)
{
	struct explaining *e = arg;
	json_object_set_new(e->values, name, values ? json_string(values) : json_null());
}

static void print_values(const struct ctl *c, json_t *values)
{
	const char *name;
	json_t *value;
	if (json_object_size(values))
		puts("\nvalues");
	json_object_foreach(values, name, value) {
		printf("  %-40s ", name);
		text_print_colour(c->colour, json_is_null(value) ? YELLOW : PLAIN,
				  json_is_null(value) ? "has none" : json_string_value(value));
		putchar('\n');
	}
}

/* One of the scene's questions: what each statement says to it. */
static outcome explain_one(struct explaining *e, const struct policy_question *q, json_t *out,
			   struct fault *f)
{
	const struct scene *s = e->scene;
	enum policy_decision d = POLICY_IMPLICIT_DENY;
	if (!e->c->json) {
		if (!scene_ask(s, q, &d, f).ok)
			return (outcome){false};
		fputs(s->question_count > 1 ? "\n" : "", stdout);
		print_decision(e->c, q, d);
	}
	e->statements = json_array();
	outcome o = policy_explain(s->policies, s->policy_count, &s->connection, q, take_account, e, &d, f);
	json_t *told = question_json(q, d);
	json_object_set_new(told, "statements", e->statements);
	json_array_append_new(out, told);
	return o;
}

static outcome explain_all(struct explaining *e, json_t *questions, struct fault *f)
{
	const struct scene *s = e->scene;
	outcome o = DONE;
	for (size_t i = 0; o.ok && i < s->question_count; i++)
		o = explain_one(e, &s->questions[i], questions, f);
	for (size_t i = 0; i < s->policy_count; i++)
		policy_explain_keys(s->policies[i], &s->connection, &s->questions[0], take_key, e);
	return o;
}

/* More than one question has an answer of its own, above the answers to each. */
static outcome explain_scene(struct ctl *c, const struct scene *s, enum policy_decision d, struct fault *f)
{
	struct explaining e = {.c = c, .scene = s, .values = json_object()};
	json_t *questions = json_array();
	if (!c->json && s->question_count > 1)
		print_decision(c, &s->questions[0], d);
	outcome o = explain_all(&e, questions, f);
	if (o.ok && c->json) {
		json_t *out = question_json(&s->questions[0], d);
		json_object_set(out, "questions", questions);
		json_object_set(out, "values", e.values);
		print_json(out);
	} else if (o.ok) {
		print_values(c, e.values);
	}
	json_decref(questions);
	json_decref(e.values);
	return o;
}

int policy_explain_command(struct ctl *c, const struct arguments *a)
{
	struct scene s;
	struct fault f = {0};
	enum policy_decision d = POLICY_IMPLICIT_DENY;
	outcome o = scene_read(a, &s, &f);
	if (o.ok)
		o = scene_decide(&s, &d, &f);
	if (o.ok)
		o = explain_scene(c, &s, d, &f);
	scene_free(&s);
	return !o.ok ? ctl_fail_given(&f) : d == POLICY_ALLOWED ? EXIT_DONE : EXIT_REFUSED;
}
