/* Each publish, subscription and delivery: by the session's certificate, or by the user name where no session
 * is. */
#include "plugin/plugin.h"

#include <openssl/err.h>
#include <openssl/x509.h>
#include <string.h>

/* Who is asked about. */
struct subject {
	const struct table *table;
	const struct table_entry *entry;
	const char *client_id;
	const char *username;
	int64_t not_after;
};

/* The user name that BASIC_AUTH has set; a connection with any other one has not passed it. */
static bool is_session_of(const struct session *s, const char *username)
{
	return s && !s->departed && username && !memcmp(s->username, username, SESSION_USERNAME_SIZE);
}

static bool find_session(struct mooring *m, const struct mosquitto *client, const char *username,
			 struct subject *out)
{
	struct session *s = sessions_find(m->sessions, client);
	const struct table *table = atomic_load(&m->table);
	if (!is_session_of(s, username))
		return false;
	if (s->table != table) {
		s->table = table;
		s->entry = table ? table_find(table, s->fingerprint) : NULL;
	}
	*out = (struct subject){table, s->entry, s->client_id, s->username, s->not_after};
	return true;
}

/* An offline session, a will after its connection, the publisher of a retained message: what they have is the
 * name. */
static bool find_username(struct mooring *m, const struct mosquitto *client, const char *username,
			  struct subject *out)
{
	uint8_t fingerprint[TABLE_FINGERPRINT_SIZE];
	size_t n = 0;
	const struct table *table = atomic_load(&m->table);
	if (!table || !username || strlen(username) != SESSION_USERNAME_SIZE - 1 ||
	    !hex_decode(username, SESSION_USERNAME_SIZE - 1, fingerprint, sizeof fingerprint, &n))
		return false;
	const struct table_entry *e = table_find(table, fingerprint);
	const char *id = mosquitto_client_id(client);
	*out = (struct subject){table, e, id ? id : "", username, e ? atomic_load(&e->not_after) : 0};
	return e != NULL;
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

/* A shared subscription is one to its filter: "$share/group/filter". */
static const char *filter_of(const char *topic)
{
	static const char share[] = "$share/";
	if (strncmp(topic, share, sizeof share - 1))
		return topic;
	const char *slash = strchr(topic + sizeof share - 1, '/');
	return slash ? slash + 1 : topic;
}

static bool is_allowed(const struct mooring *m, const struct subject *s,
		       const struct mosquitto_evt_acl_check *ed)
{
	struct table_standing standing = table_standing(s->table, s->entry);
	if (!standing.registered || standing.state != FEED_ACTIVE || !standing.policy)
		return false;
	if (!m->clock.suspect && m->now_s > s->not_after)
		return false;
	struct policy_principal who = principal_of(&standing, s->client_id, s->username);
	switch (ed->access) {
	case MOSQ_ACL_WRITE:
		return policy_check_publish(&standing.policy, 1, ed->topic, ed->retain, &who) ==
		       POLICY_ALLOWED;
	case MOSQ_ACL_READ:
		return policy_check(&standing.policy, 1, POLICY_RECEIVE, ed->topic, &who) == POLICY_ALLOWED;
	case MOSQ_ACL_SUBSCRIBE:
		return policy_check(&standing.policy, 1, POLICY_SUBSCRIBE, filter_of(ed->topic), &who) ==
		       POLICY_ALLOWED;
	}
	return false;
}

static void count_denial(struct counters *c, int access)
{
	c->denied_publish += access == MOSQ_ACL_WRITE;
	c->denied_receive += access == MOSQ_ACL_READ;
	c->denied_subscribe += access == MOSQ_ACL_SUBSCRIBE;
}

int on_acl_check(int event, void *event_data, void *userdata)
{
	const struct mosquitto_evt_acl_check *ed = event_data;
	struct mooring *m = userdata;
	struct subject subject;
	const char *username = mosquitto_client_username(ed->client);
	bool allowed = false;
	(void)event;
	/* Giving up a subscription harms nobody, and a session that may
	 * no longer subscribe must be able to. */
	if (ed->access == MOSQ_ACL_UNSUBSCRIBE)
		return MOSQ_ERR_SUCCESS;
	if (find_session(m, ed->client, username, &subject))
		allowed = subject.entry && is_allowed(m, &subject, ed);
	else if (is_intruder(m, ed->client))
		expel(m, ed->client, username);
	else if (find_username(m, ed->client, username, &subject))
		allowed = is_allowed(m, &subject, ed);
	if (!allowed)
		count_denial(&m->counters, ed->access);
	return allowed ? MOSQ_ERR_SUCCESS : MOSQ_ERR_ACL_DENIED;
}
