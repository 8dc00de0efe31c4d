/* Questions and answers. Nothing here allocates or locks: it runs for every message. */
#include "policy_internal.h"

#include <string.h>

static const char share[] = "$share/", aws[] = "$aws/";

static bool begins(const char *s, const char *prefix)
{
	return !strncmp(s, prefix, strlen(prefix));
}

/* AWS knows two kinds of topics that begin with '$', and its wildcards reach them. The broker's own ($SYS and
 * others) are reached by name alone, as MQTT's wildcards have it. */
static bool is_reserved(const char *target)
{
	return target[0] == '$' && !begins(target, aws) && !begins(target, share);
}

bool policy_asked_set(struct policy_asked *a, const struct policy_question *q)
{
	struct bytes target = bytes_str(q->target);
	if (target.n > POLICY_TARGET_MAX)
		return false;
	a->question = q;
	a->actions = (uint8_t)(1u << q->action);
	a->reserved = is_reserved(q->target);
	policy_target_set(&a->target, policy_actions[q->action].resource, target);
	return true;
}

static struct policy_scope scope_of(const struct policy_binding *binding, const struct policy_bound *b)
{
	return (struct policy_scope){b->policy, b->values, binding->region, binding->account};
}

/* Those that wait for the question. */
static bool conditions_hold(const struct policy_binding *binding, const struct policy_bound *b,
			    size_t statement, const struct policy_asked *a)
{
	if (!(b->waiting >> statement & 1))
		return true;
	const struct policy_statement *s = &b->policy->statements[statement];
	const struct policy_scope scope = scope_of(binding, b);
	for (size_t i = s->first_condition, end = i + s->conditions; i < end; i++) {
		const struct policy_condition *c = &b->policy->conditions[i];
		const struct policy_key *k = &b->policy->keys[c->key];
		struct policy_fact facts[POLICY_FACTS_MAX];
		if (!policy_key_is_of_question(k))
			continue;
		size_t n = policy_key_of_question(k, a->question, facts);
		if (!policy_condition_holds(c, facts, n, s->deny, &scope))
			return false;
	}
	return true;
}

/* What a statement's conditions say of one of its names they say of all. */
static const struct policy_name *next_statement(const struct policy_name *name, const struct policy_name *end)
{
	const struct policy_name *next = name + 1;
	while (next < end && next->statement == name->statement)
		next++;
	return next;
}

static bool any_resource_matches(const struct policy_binding *binding, const struct policy_bound *b,
				 bool deny, struct policy_asked *a)
{
	const struct policy_name *name = b->names + (deny ? 0 : b->end[PART_DENIES]),
				 *end = b->names + b->end[deny ? PART_DENIES : PART_ALLOWS];
	while ((name = policy_find_name(b, name, end, a->reserved && !deny, a)) < end) {
		if (conditions_hold(binding, b, name->statement, a))
			return true;
		name = next_statement(name, end);
	}
	return false;
}

/* Statements that speak of all resources but those that they name. No such Allow reaches a topic of the broker's own. */
static bool any_not_resource_matches(const struct policy_binding *binding, const struct policy_bound *b,
				     bool deny, struct policy_asked *a)
{
	for (uint64_t bits = b->not_resources; bits; bits &= bits - 1) {
		size_t i = (size_t)__builtin_ctzll(bits);
		const struct policy_statement *s = &b->policy->statements[i];
		if (s->deny == deny && s->actions & a->actions && (deny || !a->reserved) &&
		    !policy_find_resource(b, i, a) && conditions_hold(binding, b, i, a))
			return true;
	}
	return false;
}

static bool any_policy_matches(const struct policy_binding *b, bool deny, struct policy_asked *a)
{
	for (size_t i = 0; i < b->count; i++)
		if (any_resource_matches(b, &b->bound[i], deny, a) ||
		    any_not_resource_matches(b, &b->bound[i], deny, a))
			return true;
	return false;
}

enum policy_decision policy_check(const struct policy_binding *b, const struct policy_question *q)
{
	struct policy_asked a; /* not initialised as a whole: it is large */
	if (!policy_asked_set(&a, q))
		return POLICY_IMPLICIT_DENY;
	if (any_policy_matches(b, true, &a))
		return POLICY_EXPLICIT_DENY;
	return any_policy_matches(b, false, &a) ? POLICY_ALLOWED : POLICY_IMPLICIT_DENY;
}

/* Both are needed; the answer is the one that hurts more. */
static enum policy_decision both(enum policy_decision a, enum policy_decision b)
{
	if (a == POLICY_EXPLICIT_DENY || b == POLICY_EXPLICIT_DENY)
		return POLICY_EXPLICIT_DENY;
	return a == POLICY_ALLOWED ? b : a;
}

enum policy_decision policy_check_connect(const struct policy_binding *b, const struct policy_connect *packet,
					  int64_t now_s)
{
	const struct policy_question q = {.action = POLICY_CONNECT,
					  .target = b->client_id ? b->client_id : "",
					  .now_s = now_s,
					  .packet = packet};
	enum policy_decision d = policy_check(b, &q);
	if (d != POLICY_ALLOWED || !packet->will_topic)
		return d;
	return policy_check_publish(b, packet->will_topic, packet->will_retain, now_s);
}

enum policy_decision policy_check_publish(const struct policy_binding *b, const char *topic, bool retain,
					  int64_t now_s)
{
	struct policy_question q = {.action = POLICY_PUBLISH, .target = topic, .now_s = now_s};
	enum policy_decision d = policy_check(b, &q);
	if (!retain || d == POLICY_EXPLICIT_DENY)
		return d;
	q.action = POLICY_RETAIN_PUBLISH;
	return both(d, policy_check(b, &q));
}

/* The filter inside "$share/GROUP/FILTER"; NULL where it is no shared subscription. */
static const char *shared_filter(const char *filter)
{
	if (!begins(filter, share))
		return NULL;
	const char *slash = strchr(filter + strlen(share), '/');
	return slash ? slash + 1 : NULL;
}

/* What is denied by its own name is denied to a group as well, and so are the broker's own topics. */
enum policy_decision policy_check_subscribe(const struct policy_binding *b, const char *filter, int64_t now_s)
{
	struct policy_question q = {.action = POLICY_SUBSCRIBE, .target = filter, .now_s = now_s};
	enum policy_decision d = policy_check(b, &q);
	const char *inner = shared_filter(filter);
	if (!inner)
		return d;
	q.target = inner;
	enum policy_decision own = policy_check(b, &q);
	return own == POLICY_EXPLICIT_DENY || is_reserved(inner) ? both(d, own) : d;
}

enum policy_decision policy_check_receive(const struct policy_binding *b, const char *topic, int64_t now_s)
{
	const struct policy_question q = {.action = POLICY_RECEIVE, .target = topic, .now_s = now_s};
	return policy_check(b, &q);
}
