/* Policies at the gateway. */
#include "api.h"
#include "cmd_policy.h"
#include "input.h"
#include "standing.h"
#include "text.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { POLICY_FILE_MAX = 65536 };

/* ---- looking ---- */

static void print_policies(const struct ctl *c, json_t *answer)
{
	static const char *const headings[] = {"POLICY", "THINGS", "EDITED"};
	struct table *t = table_new(headings, 3);
	json_t *p;
	size_t i;
	json_array_foreach(json_object_get(answer, "policies"), i, p) {
		char things[24] = "";
		if (!api_flag(p, "shipped"))
			snprintf(things, sizeof things, "%" PRId64, api_number(p, "things"));
		bool edited = api_flag(p, "edited");
		const char *cells[] = {api_text(p, "name"), things, edited ? "edited" : ""};
		table_row(t, cells, 2, edited ? YELLOW : PLAIN);
	}
	table_end(t, c->colour, "no policies");
	api_print_more(answer);
}

int policy_list(struct ctl *c, const struct arguments *a)
{
	struct buf target = {0};
	struct fault f = {0};
	long limit;
	if (!argument_number(a, "limit", 1, API_PAGE_MAX, 50, &limit, &f).ok)
		return ctl_usage("%s", f.text);
	buf_printf(&target, "/v1/admin/policies?limit=%ld", limit);
	api_query(&target, "after", argument(a, "after"));
	return api_show(c, buf_take_str(&target), print_policies);
}

/* As a person would write it; as it is where it is no JSON, which the gateway has none of. Caller frees. */
static char *indented(const json_t *policy)
{
	json_t *parsed = json_loads(api_text(policy, "document"), 0, NULL);
	char *text = parsed ? json_dumps(parsed, JSON_INDENT(2) | JSON_PRESERVE_ORDER)
			    : strdup(api_text(policy, "document"));
	json_decref(parsed);
	return text;
}

/* For a terminal: what cannot be printed is escaped. */
static void print_document(const json_t *policy)
{
	char *text = indented(policy), *rest = text, *line;
	while (rest && (line = strsep(&rest, "\n"))) {
		text_print(line);
		putchar('\n');
	}
	free(text);
}

/* For a file: every byte of it. */
static void print_document_alone(const struct ctl *c, json_t *answer)
{
	char *text = indented(json_object_get(answer, "policy"));
	(void)c;
	puts(text ? text : "");
	free(text);
}

static void print_policy(const struct ctl *c, json_t *answer)
{
	const json_t *p = json_object_get(answer, "policy");
	json_t *thing;
	size_t i;
	text_print_colour(c->colour, BOLD, api_text(p, "name"));
	puts(api_flag(p, "edited") ? ", edited: `policy reset` puts back what it came with" : "");
	print_document(p);
	if (api_number(p, "things"))
		printf("\nattached to %" PRId64 "\n", api_number(p, "things"));
	json_array_foreach(json_object_get(answer, "things"), i, thing) {
		fputs("  ", stdout);
		text_print(json_string_value(thing));
		putchar('\n');
	}
}

int policy_show(struct ctl *c, const struct arguments *a)
{
	return api_show(c, api_target("/v1/admin/policies/", a->words[0], ""),
			argument_flag(a, "document") ? print_document_alone : print_policy);
}

/* ---- changing ---- */

static struct standing_change change_of(const struct arguments *a, const char *suffix, const char *done)
{
	return (struct standing_change){.method = "POST",
					.prefix = "/v1/admin/policies/",
					.name = a->words[0],
					.suffix = suffix,
					.done = done};
}

static void print_findings(const struct ctl *c, const json_t *answer)
{
	json_t *finding;
	size_t i;
	json_array_foreach(json_object_get(answer, "findings"), i, finding)
		policy_print_finding(c, finding);
}

int policy_set(struct ctl *c, const struct arguments *a)
{
	struct standing_change what = change_of(a, "", "set policy");
	struct buf text = {0};
	struct fault f = {0};
	if (!input_read_text(a->words[1], POLICY_FILE_MAX, &text, &f).ok)
		return ctl_fail(&f);
	json_t *body = json_pack("{s:s%, s:b}", "document", (const char *)text.p, text.n, "accept_dangers",
				 argument_flag(a, "accept-dangers"));
	if (!body)
		refuse(&f, REASON_BAD_ENCODING, "%s: RFC 8259 8.1: JSON is UTF-8", input_name(a->words[1]));
	buf_free(&text);
	what.more = print_findings;
	return body ? standing_change(c, a, &what, body) : ctl_fail(&f);
}

int policy_reset(struct ctl *c, const struct arguments *a)
{
	struct standing_change what = change_of(a, "/reset", "reset policy");
	return standing_change(c, a, &what, json_object());
}

int policy_delete(struct ctl *c, const struct arguments *a)
{
	struct standing_change what = change_of(a, "", "deleted policy");
	what.method = "DELETE";
	return standing_change(c, a, &what, NULL);
}

static int attach_or_detach(struct ctl *c, const struct arguments *a, const char *suffix, const char *done)
{
	char text[192];
	snprintf(text, sizeof text, "%s %.136s", done, a->words[1]);
	struct standing_change what = change_of(a, suffix, text);
	return standing_change(c, a, &what, json_pack("{s:s}", "thing", a->words[1]));
}

int policy_attach(struct ctl *c, const struct arguments *a)
{
	return attach_or_detach(c, a, "/attach", "attached to");
}

int policy_detach(struct ctl *c, const struct arguments *a)
{
	return attach_or_detach(c, a, "/detach", "detached from");
}
