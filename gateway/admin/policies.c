#include "admin_internal.h"

#include "common/policy/policy_lint.h"
#include "gateway/store/store_policy.h"

#include <stdlib.h>
#include <string.h>

/* ---- setting ---- */

/* What lint says to a document, and the gravest of it. */
struct judged {
	json_t *findings;
	const struct policy_rule *danger; /* NULL: none */
	char place[128], text[256];
};

static void take_finding(void *arg, const struct policy_finding *finding)
{
	static const char *const severities[] = {
		[POLICY_NOTE] = "note", [POLICY_WARNING] = "warning", [POLICY_DANGER] = "danger"};
	struct judged *j = arg;
	json_array_append_new(j->findings,
			      json_pack("{s:s, s:s, s:s, s:s, s:s}", "code", finding->rule->code, "severity",
					severities[finding->rule->severity], "place", finding->place, "text",
					finding->text, "remedy", finding->rule->remedy));
	if (finding->rule->severity != POLICY_DANGER || j->danger)
		return;
	j->danger = finding->rule;
	snprintf(j->place, sizeof j->place, "%s", finding->place);
	snprintf(j->text, sizeof j->text, "%s", finding->text);
}

/* Compiles it, and judges what it says. A danger has to be meant. */
static outcome judge(struct admin_request *a, struct bytes document, bool dangers_accepted, struct fault *f)
{
	struct judged j = {.findings = json_array()};
	outcome o = policy_lint(document, take_finding, &j, f);
	if (o.ok && j.danger && !dangers_accepted)
		o = refuse(f, REASON_POLICY_DANGER, "%s: %s: %s; %s. Where that is meant: --accept-dangers",
			   j.place, j.danger->code, j.text, j.danger->remedy);
	if (o.ok)
		a->findings = j.findings;
	else
		json_decref(j.findings);
	return o;
}

static outcome take_document(struct admin_request *a, const json_t *body, struct buf *out, struct fault *f)
{
	const json_t *document = json_object_get(body, "document"),
		     *accept = json_object_get(body, "accept_dangers");
	if (!json_is_string(document))
		return refuse(f, REASON_BAD_FIELD, "document: a policy document is required, as a text");
	if (accept && !json_is_boolean(accept))
		return refuse(f, REASON_BAD_FIELD, "accept_dangers: true or false is required");
	struct bytes text = bytes_of(json_string_value(document), json_string_length(document));
	outcome o = admin_take_common(a, body, false, f);
	if (o.ok)
		o = judge(a, text, json_is_true(accept), f);
	if (o.ok)
		policy_minify(text, out);
	if (o.ok)
		buf_byte(out, 0);
	return o.ok && out->failed ? refuse(f, REASON_NO_MEMORY, "no memory for a policy") : o;
}

void admin_policy_set(struct admin_request *a)
{
	static const char *const members[] = {"document", "accept_dangers", "wait_ms", NULL};
	struct buf document = {0};
	struct fault f;
	json_t *body;
	outcome o = admin_body(a, members, &body, &f);
	if (o.ok)
		o = take_document(a, body, &document, &f);
	if (o.ok)
		store_policy_set(a->gateway->store, &a->who, a->name, (const char *)document.p, admin_changed,
				 a);
	else
		admin_refuse(a, &f);
	buf_free(&document);
	json_decref(body);
}

void admin_policy_reset(struct admin_request *a)
{
	if (admin_take_nothing(a))
		store_policy_reset(a->gateway->store, &a->who, a->name, admin_changed, a);
}

void admin_policy_delete(struct admin_request *a)
{
	if (admin_take_wait(a))
		store_policy_delete(a->gateway->store, &a->who, a->name, admin_changed, a);
}

/* ---- attaching ---- */

typedef void attach(struct store *s, const struct store_caller *who, const char *name, const char *thing,
		    store_changed_done *done, void *arg);

static void attach_or_detach(struct admin_request *a, attach *verb)
{
	static const char *const members[] = {"thing", "wait_ms", NULL};
	struct fault f;
	json_t *body;
	outcome o = admin_body(a, members, &body, &f);
	const char *thing = json_string_value(json_object_get(body, "thing"));
	if (o.ok && !thing)
		o = refuse(&f, REASON_BAD_FIELD, "thing: a name is required");
	if (o.ok)
		o = admin_take_common(a, body, false, &f);
	if (o.ok)
		verb(a->gateway->store, &a->who, a->name, thing, admin_changed, a);
	else
		admin_refuse(a, &f);
	json_decref(body);
}

void admin_policy_attach(struct admin_request *a)
{
	attach_or_detach(a, store_policy_attach);
}

void admin_policy_detach(struct admin_request *a)
{
	attach_or_detach(a, store_policy_detach);
}

/* ---- looking ---- */

static json_t *policy_json(const struct store_policy *p)
{
	return json_pack("{s:s, s:s, s:b, s:b, s:I}", "name", p->name, "document", p->document, "shipped",
			 p->shipped, "edited", p->edited, "things", (json_int_t)p->devices);
}

static void on_policies(const struct store_policy *policies, size_t count, const struct fault *f, void *arg)
{
	struct admin_request *a = arg;
	if (f) {
		admin_refuse(a, f);
		return;
	}
	json_t *list = json_array();
	bool failed = false;
	for (size_t i = 0; i < count; i++)
		failed |= json_array_append_new(list, policy_json(&policies[i])) != 0;
	json_t *answer = json_pack("{s:o, s:s?}", "policies", list, "next",
				   (int64_t)count == a->page_limit ? policies[count - 1].name : NULL);
	if (failed) {
		json_decref(answer);
		answer = NULL;
	}
	admin_answer(a, answer);
}

void admin_policy_list(struct admin_request *a)
{
	char after[ROUTE_NAME_SIZE] = "";
	struct fault f;
	outcome o = scgi_query_number(a->request, "limit", STORE_PAGE_MAX, 100, &a->page_limit, &f);
	if (o.ok && scgi_query_has(a->request, "after") &&
	    !scgi_query_get(a->request, "after", after, sizeof after))
		o = refuse(&f, REASON_BAD_FIELD, "after: the name of a policy");
	if (!o.ok) {
		admin_refuse(a, &f);
		return;
	}
	a->page_limit = a->page_limit ? a->page_limit : 1;
	store_policies(a->gateway->store, after, (size_t)a->page_limit, on_policies, a);
}

static void on_policy(const struct store_policy *policy, const struct fault *f, void *arg)
{
	struct admin_request *a = arg;
	if (f) {
		admin_refuse(a, f);
		return;
	}
	json_t *things = json_array();
	for (size_t i = 0; i < policy->thing_count; i++)
		json_array_append_new(things, json_string(policy->things[i]));
	admin_answer(a, json_pack("{s:o, s:o}", "policy", policy_json(policy), "things", things));
}

void admin_policy(struct admin_request *a)
{
	store_policy(a->gateway->store, a->name, on_policy, a);
}
