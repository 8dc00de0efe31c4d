/* Each publish, subscription and delivery: by the session's certificate, or by the user name where no session
 * is. */
#include "plugin/binding.h"
#include "plugin/plugin.h"

#include <openssl/err.h>
#include <openssl/x509.h>
#include <string.h>

/* Who is asked about. */
struct subject {
	struct table_standing standing;
	int64_t not_after;
	struct session *session;	/* NULL: none is left */
	struct policy_binding *binding; /* made for this one question, where there is no session */
	struct connection connection;	/* of that one */
	uint8_t fingerprint[TABLE_FINGERPRINT_SIZE];
};

/* By the user name that BASIC_AUTH has set; a connection with any other one has not passed it. Departed ones
 * are still there for their wills. */
static bool find_session(struct mooring *m, const struct mosquitto *client, const char *username,
			 struct subject *out)
{
	struct session *s = sessions_find(m->sessions, client);
	const struct table *table = atomic_load(&m->table);
	if (!s || !username || strcmp(s->username, username) != 0)
		return false;
	if (s->table != table)
		session_rebind(s, table);
	out->session = s;
	out->not_after = s->not_after;
	if (s->entry)
		out->standing = table_standing(table, s->entry);
	return true;
}

/* An offline session, a delayed will, the publisher of a retained message: what they have is the name. */
static bool find_username(struct mooring *m, const struct mosquitto *client, const char *username,
			  struct subject *out)
{
	size_t n = 0;
	const struct table *table = atomic_load(&m->table);
	if (!table || !username || strlen(username) != SESSION_USERNAME_SIZE - 1 ||
	    !hex_decode(username, SESSION_USERNAME_SIZE - 1, out->fingerprint, sizeof out->fingerprint, &n))
		return false;
	const struct table_entry *e = table_find(table, out->fingerprint);
	const char *id = mosquitto_client_id(client);
	if (!e)
		return false;
	out->standing = table_standing(table, e);
	out->not_after = atomic_load(&e->not_after);
	out->connection = (struct connection){client, out->fingerprint, username, id ? id : ""};
	return true;
}

/* A live TLS connection without a session: the broker let it in without asking
 * (use_identity_as_username). The broker may ask once more about a connection that
 * has just ended: that one is departed, not an intruder. */
static bool is_intruder(struct mooring *m, const struct mosquitto *client)
{
	const struct session *s = sessions_find(m->sessions, client);
	if (s && s->departed)
		return false;
	ERR_set_mark();
	X509 *cert = mosquitto_client_certificate(client);
	X509_free(cert);
	ERR_pop_to_mark();
	return cert != NULL;
}

static void expel(struct mooring *m, const struct mosquitto *client, const char *username)
{
	struct intruders *in = &m->intruders;
	m->counters.refused[REASON_PLUGIN_BYPASSED]++;
	for (size_t i = 0; username && i < in->count; i++)
		if (!strcmp(in->names[i], username))
			return;
	if (!username)
		in->nameless = true;
	else if (in->count < INTRUDERS_MAX && strlen(username) < INTRUDER_NAME_MAX)
		strcpy(in->names[in->count++], username);
	mosquitto_log_printf(
		MOSQ_LOG_ERR,
		"mooring: %s: A CONNECTION FROM %s WAS ADMITTED WITHOUT ASKING THE PLUGIN and is cut; "
		"remove use_identity_as_username, use_subject_as_username and other plugins from "
		"mosquitto.conf",
		reason_code(REASON_PLUGIN_BYPASSED), mosquitto_client_address(client));
}

static const struct policy_binding *policy_of(struct mooring *m, struct subject *s)
{
	struct fault f;
	if (s->session)
		return binding_of(m->fields, s->session, &s->standing);
	if (!s->standing.policy || !binding_make(m->fields, &s->connection, &s->standing, &s->binding, &f).ok)
		return NULL;
	return s->binding;
}

/* What a departed session publishes is its will: whether it may connect with that is asked only here, because
 * at CONNECT the broker tells of no will. */
static enum policy_decision check_publish(const struct policy_binding *b, const struct subject *s,
					  const struct mosquitto_evt_acl_check *ed, int64_t now_s)
{
	if (!s->session || !s->session->departed)
		return policy_check_publish(b, ed->topic, ed->retain, now_s);
	const struct policy_connect packet = {
		.persistent = s->session->persistent, .will_topic = ed->topic, .will_retain = ed->retain};
	return policy_check_connect(b, &packet, now_s);
}

/* Memo or not, all else about the session has been asked by now. */
static enum policy_decision check_receive(struct mooring *m, struct subject *s, const char *topic)
{
	enum policy_decision d = POLICY_IMPLICIT_DENY;
	if (!s->standing.policy || memo_find(&m->memo, s->standing.policy, topic, &d))
		return d;
	const struct policy_binding *b = policy_of(m, s);
	if (!b)
		return d;
	d = policy_check_receive(b, topic, m->now_s);
	memo_keep(&m->memo, s->standing.policy, topic, d);
	return d;
}

static enum policy_decision decide(struct mooring *m, struct subject *s,
				   const struct mosquitto_evt_acl_check *ed)
{
	if (ed->access == MOSQ_ACL_READ)
		return check_receive(m, s, ed->topic);
	const struct policy_binding *b = policy_of(m, s);
	if (b && ed->access == MOSQ_ACL_WRITE)
		return check_publish(b, s, ed, m->now_s);
	if (b && ed->access == MOSQ_ACL_SUBSCRIBE)
		return policy_check_subscribe(b, ed->topic, m->now_s);
	return POLICY_IMPLICIT_DENY;
}

static bool is_allowed(struct mooring *m, struct subject *s, const struct mosquitto_evt_acl_check *ed)
{
	if (!s->standing.registered || s->standing.state != FEED_ACTIVE)
		return false;
	if (!m->clock.suspect && m->now_s > s->not_after)
		return false;
	return decide(m, s, ed) == POLICY_ALLOWED;
}

static void count_denial(struct counters *c, int access)
{
	c->denied_publish += access == MOSQ_ACL_WRITE;
	c->denied_receive += access == MOSQ_ACL_READ;
	c->denied_subscribe += access == MOSQ_ACL_SUBSCRIBE;
}

/* A device that is resumed, or comes back with another certificate, finds its session, and takes it that its
 * subscriptions are in it: each delivery is asked about anyway. Its part of a shared subscription, though,
 * would be lost to all. */
static bool may_keep(const char *filter)
{
	static const char share[] = "$share/";
	return strncmp(filter, share, sizeof share - 1) != 0;
}

int on_acl_check(int event, void *event_data, void *userdata)
{
	const struct mosquitto_evt_acl_check *ed = event_data;
	struct mooring *m = userdata;
	struct subject subject = {0};
	const char *username = mosquitto_client_username(ed->client);
	__builtin_prefetch(username); /* read only once the session has been found */
	bool allowed = false;
	(void)event;
	/* Giving up a subscription harms nobody, and a session that may
	 * no longer subscribe must be able to. */
	if (ed->access == MOSQ_ACL_UNSUBSCRIBE)
		return MOSQ_ERR_SUCCESS;
	if (m->cutting && ed->access == MOSQ_ACL_SUBSCRIBE)
		return may_keep(ed->topic) ? MOSQ_ERR_SUCCESS : MOSQ_ERR_ACL_DENIED;
	if (find_session(m, ed->client, username, &subject))
		allowed = is_allowed(m, &subject, ed);
	else if (is_intruder(m, ed->client))
		expel(m, ed->client, username);
	else if (find_username(m, ed->client, username, &subject))
		allowed = is_allowed(m, &subject, ed);
	policy_binding_free(subject.binding);
	if (!allowed)
		count_denial(&m->counters, ed->access);
	return allowed ? MOSQ_ERR_SUCCESS : MOSQ_ERR_ACL_DENIED;
}
