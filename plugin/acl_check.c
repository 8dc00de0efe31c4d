/* Each publish, subscription and delivery: by the session's certificate, or by the user name where no session
 * is. */
#include "plugin/binding.h"
#include "plugin/plugin.h"

#include <openssl/err.h>
#include <openssl/x509.h>
#include <string.h>

/* By the user name that BASIC_AUTH has set; a connection with any other one has not passed it. Departed ones
 * are still there for their wills. */
static struct session *find_session(const struct mooring *m, const struct mosquitto *client,
				    const char *username)
{
	struct session *s = sessions_find(m->sessions, client);
	const struct table *table = atomic_load(&m->table);
	if (!s || !username || strcmp(s->username, username) != 0)
		return NULL;
	if (s->table != table)
		session_rebind(s, table);
	return s;
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

/* What a departed session publishes is its will: whether it may connect with that is asked only here, because
 * at CONNECT the broker tells of no will. */
static enum policy_decision check_publish(const struct policy_binding *b, const struct session *s,
					  const struct mosquitto_evt_acl_check *ed, int64_t now_s)
{
	if (!s || !s->departed)
		return policy_check_publish(b, ed->topic, ed->retain, now_s);
	const struct policy_connect packet = {
		.persistent = s->persistent, .will_topic = ed->topic, .will_retain = ed->retain};
	return policy_check_connect(b, &packet, now_s);
}

/* `s` is NULL where no session is left. */
static enum policy_decision decide(const struct policy_binding *b, const struct session *s,
				   const struct mosquitto_evt_acl_check *ed, int64_t now_s)
{
	switch (ed->access) {
	case MOSQ_ACL_WRITE:
		return check_publish(b, s, ed, now_s);
	case MOSQ_ACL_READ:
		return policy_check_receive(b, ed->topic, now_s);
	case MOSQ_ACL_SUBSCRIBE:
		return policy_check_subscribe(b, ed->topic, now_s);
	}
	return POLICY_IMPLICIT_DENY;
}

static bool is_in_force(const struct mooring *m, const struct table_standing *standing, int64_t not_after)
{
	return standing->registered && standing->state == FEED_ACTIVE &&
	       (m->clock.suspect || m->now_s <= not_after);
}

/* For every message: what is put together here stays in one place. */
static bool session_may(struct mooring *m, struct session *s, const struct mosquitto_evt_acl_check *ed)
{
	if (!s->entry)
		return false;
	const struct table_standing standing = table_standing(s->table, s->entry);
	if (!is_in_force(m, &standing, s->not_after))
		return false;
	const struct policy_binding *b = binding_of(m->fields, s, &standing);
	return b && decide(b, s, ed, m->now_s) == POLICY_ALLOWED;
}

/* An offline session, a delayed will, the publisher of a retained message: what they have is the name. */
static bool name_may(struct mooring *m, const char *username, const struct mosquitto_evt_acl_check *ed)
{
	uint8_t fingerprint[TABLE_FINGERPRINT_SIZE];
	size_t n = 0;
	const struct table *table = atomic_load(&m->table);
	if (!table || !username || strlen(username) != SESSION_USERNAME_SIZE - 1 ||
	    !hex_decode(username, SESSION_USERNAME_SIZE - 1, fingerprint, sizeof fingerprint, &n))
		return false;
	const struct table_entry *e = table_find(table, fingerprint);
	if (!e)
		return false;
	const struct table_standing standing = table_standing(table, e);
	if (!is_in_force(m, &standing, atomic_load(&e->not_after)) || !standing.policy)
		return false;
	const char *id = mosquitto_client_id(ed->client);
	const struct connection of = {ed->client, fingerprint, username, id ? id : ""};
	struct policy_binding *b = NULL;
	struct fault f;
	bool may = binding_make(m->fields, &of, &standing, &b, &f).ok &&
		   decide(b, NULL, ed, m->now_s) == POLICY_ALLOWED;
	policy_binding_free(b);
	return may;
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
	const char *username = mosquitto_client_username(ed->client);
	bool allowed = false;
	(void)event;
	/* Giving up a subscription harms nobody, and a session that may
	 * no longer subscribe must be able to. */
	if (ed->access == MOSQ_ACL_UNSUBSCRIBE)
		return MOSQ_ERR_SUCCESS;
	if (m->cutting && ed->access == MOSQ_ACL_SUBSCRIBE)
		return may_keep(ed->topic) ? MOSQ_ERR_SUCCESS : MOSQ_ERR_ACL_DENIED;
	struct session *s = find_session(m, ed->client, username);
	if (s)
		allowed = session_may(m, s, ed);
	else if (is_intruder(m, ed->client))
		expel(m, ed->client, username);
	else
		allowed = name_may(m, username, ed);
	if (!allowed)
		count_denial(&m->counters, ed->access);
	return allowed ? MOSQ_ERR_SUCCESS : MOSQ_ERR_ACL_DENIED;
}
