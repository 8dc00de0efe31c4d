/* CONNECT: is the certificate registered, active, within its dates,
 * and does its policy allow this client id? */
#include "plugin/plugin.h"

#include "common/clock.h"
#include "common/crypto/cert.h"
#include "plugin/binding.h"

#include <ctype.h>
#include <openssl/err.h>
#include <openssl/x509.h>
#include <string.h>

enum { CLIENT_ID_MAX = 128, CLIENT_ID_SHOWN = 64 };

/* A client id can stand in a policy where a topic level is meant: characters with a meaning there are
 * refused. */
static outcome check_client_id(const char *id, struct fault *f)
{
	size_t n = id ? strlen(id) : 0;
	if (n == 0 || n > CLIENT_ID_MAX)
		return refuse(f, REASON_CLIENT_ID, "a client id has 1 to %d bytes", CLIENT_ID_MAX);
	if (strpbrk(id, "+#/*?") || *id == '$')
		return refuse(f, REASON_CLIENT_ID,
			      "a client id holds none of + # / * ? and does not begin with $");
	for (size_t i = 0; i < n; i++)
		if (iscntrl((unsigned char)id[i]))
			return refuse(f, REASON_CLIENT_ID, "a client id holds no control characters");
	return DONE;
}

/* What does not depend on who it is. */
static outcome check_broker(const struct mooring *m, const struct table *table, int64_t monotonic_ms,
			    struct fault *f)
{
	if (!table)
		return refuse(f, REASON_NO_TABLE, "the gateway has not yet sent the table of certificates");
	if (m->clock.suspect)
		return refuse(f, REASON_CLOCK_SUSPECT,
			      "the clock has jumped, and the gateway has not confirmed it");
	int64_t silent_s = (monotonic_ms - atomic_load(&m->view.fresh_ms)) / 1000;
	if (silent_s > m->options.staleness_s)
		return refuse(f, REASON_FEED_STALE, "nothing from the gateway for %lld s",
			      (long long)silent_s);
	return DONE;
}

static outcome check_state(const struct table_standing *standing, struct fault *f)
{
	if (!standing->registered)
		return refuse(f, REASON_CERTIFICATE_UNREGISTERED, "the certificate is not registered");
	if (standing->state == FEED_REVOKED)
		return refuse(f, REASON_CERTIFICATE_REVOKED, "the certificate is revoked");
	if (standing->state != FEED_ACTIVE)
		return refuse(f, REASON_CERTIFICATE_INACTIVE, "the certificate is not active");
	return DONE;
}

/* The broker's TLS library checks dates in a full handshake alone, so not where a session is resumed. */
static outcome check_dates(X509 *cert, const struct table_entry *e, int64_t now_s, int64_t *ends,
			   struct fault *f)
{
	int64_t from, to;
	cert_dates(cert, &from, &to);
	if (from < atomic_load(&e->not_before))
		from = atomic_load(&e->not_before);
	if (to > atomic_load(&e->not_after))
		to = atomic_load(&e->not_after);
	*ends = to;
	if (now_s < from)
		return refuse(f, REASON_CERTIFICATE_EXPIRED, "the certificate is not valid yet");
	if (now_s > to)
		return refuse(f, REASON_CERTIFICATE_EXPIRED, "the certificate has expired");
	return DONE;
}

struct asked {
	struct mosquitto *client;
	X509 *cert;
	const char *client_id;
	bool persistent;
	uint8_t fingerprint[TABLE_FINGERPRINT_SIZE];
	char username[SESSION_USERNAME_SIZE];
	struct policy_binding *binding; /* the session's, once there is one */
};

/* The broker does not say whether there is a will: what the policy says to one is asked when it is
 * published. */
static outcome check_policy(struct mooring *m, struct asked *a, const struct table_standing *standing,
			    int64_t now_s, struct fault *f)
{
	const struct policy_connect packet = {.persistent = a->persistent};
	const struct connection of = {a->client, a->fingerprint, a->username, a->client_id};
	if (!standing->policy)
		return refuse(f, REASON_POLICY_DENIED,
			      "the certificate's policy is missing or not understood");
	outcome o = binding_make(m->fields, &of, standing, &a->binding, f);
	if (o.ok && policy_check_connect(a->binding, &packet, now_s) != POLICY_ALLOWED)
		return refuse(f, REASON_POLICY_DENIED,
			      "the policy does not allow iot:Connect to this connection");
	return o;
}

static outcome fingerprint_of(X509 *cert, uint8_t out[TABLE_FINGERPRINT_SIZE], struct fault *f)
{
	struct buf der = {0};
	bool ok = cert_to_der(cert, &der);
	if (ok)
		cert_fingerprint(buf_view(&der), out);
	buf_free(&der);
	return ok ? DONE : refuse(f, REASON_NO_MEMORY, "no memory for a certificate");
}

static outcome enter(struct mooring *m, struct asked *a, const struct table *table,
		     const struct table_entry *e, const struct table_standing *standing, int64_t ends,
		     struct fault *f)
{
	struct session *session;
	bool report = standing->flags & FEED_REPORT_CONNECT;
	/* The user name follows the session where the certificate cannot: offline, into wills, over restarts. */
	if ((report && !receipts_connected(&m->receipts, e->fingerprint)) ||
	    mosquitto_set_username(a->client, a->username) != MOSQ_ERR_SUCCESS ||
	    !(session = sessions_add(m->sessions, a->client, table, e, a->client_id, ends)))
		return refuse(f, REASON_NO_MEMORY, "no memory for a session");
	const char *address = mosquitto_client_address(a->client);
	session->address = address ? strdup(address) : NULL;
	session->protocol = (uint8_t)mosquitto_client_protocol_version(a->client);
	session->persistent = a->persistent;
	session->bound_word = standing->word;
	session->binding = a->binding;
	a->binding = NULL;
	if (report)
		feed_poke(m->feed);
	return DONE;
}

static outcome admit(struct mooring *m, struct asked *a, struct fault *f)
{
	const struct table *table = atomic_load(&m->table);
	int64_t monotonic_ms = clock_monotonic_ms(), now_s = broker_clock_now_s(&m->clock, monotonic_ms),
		ends = 0;
	if (!a->cert)
		return refuse(f, REASON_CERTIFICATE_MISSING, "the client presented no certificate");
	outcome o = check_broker(m, table, monotonic_ms, f);
	if (o.ok)
		o = fingerprint_of(a->cert, a->fingerprint, f);
	if (!o.ok)
		return o;
	hex_encode(bytes_of(a->fingerprint, sizeof a->fingerprint), a->username);
	const struct table_entry *e = table_find(table, a->fingerprint);
	struct table_standing standing = {0};
	if (e)
		standing = table_standing(table, e);
	o = check_state(&standing, f);
	if (o.ok)
		o = check_dates(a->cert, e, now_s, &ends, f);
	if (o.ok)
		o = check_client_id(a->client_id, f);
	if (o.ok)
		o = check_policy(m, a, &standing, now_s, f);
	return o.ok ? enter(m, a, table, e, &standing, ends, f) : o;
}

/* A client id comes from outside: it must not be able to write lines of its own into the log. */
static void printable(const char *in, char out[CLIENT_ID_SHOWN + 1])
{
	size_t n = 0;
	for (; in && in[n] && n < CLIENT_ID_SHOWN; n++)
		out[n] = in[n] > ' ' && in[n] < 0x7f ? in[n] : '.';
	out[n] = '\0';
}

static void report(struct mooring *m, const struct asked *a, const struct fault *f)
{
	char id[CLIENT_ID_SHOWN + 1];
	const char *address = mosquitto_client_address(a->client);
	printable(a->client_id, id);
	m->counters.refused[f->reason]++;
	mosquitto_log_printf(MOSQ_LOG_NOTICE, "mooring: refused %s from %s, certificate %s: %s: %s", id,
			     address ? address : "?", *a->username ? a->username : "-",
			     reason_code(f->reason), f->text);
}

/* On SIGHUP the broker asks about every session anew. Refusing an offline one would free memory that it goes
 * on to use, so all pass here; who is unwanted by now is cut by TICK. */
static bool is_asked_again(const struct mooring *m, const struct asked *a)
{
	const struct session *known = sessions_find(m->sessions, a->client);
	return m->reloading && (!a->cert || (known && !known->departed));
}

int on_basic_auth(int event, void *event_data, void *userdata)
{
	struct mosquitto_evt_basic_auth *ed = event_data;
	struct mooring *m = userdata;
	struct fault f = {0};
	(void)event;
	/* An error left in the queue would make the broker drop another client. */
	ERR_set_mark();
	struct asked a = {.client = ed->client,
			  .cert = mosquitto_client_certificate(ed->client),
			  .client_id = mosquitto_client_id(ed->client),
			  .persistent = !mosquitto_client_clean_session(ed->client)};
	outcome o = DONE;
	if (!is_asked_again(m, &a)) {
		o = admit(m, &a, &f);
		if (o.ok)
			m->counters.admitted++;
		else
			report(m, &a, &f);
	}
	policy_binding_free(a.binding);
	X509_free(a.cert);
	ERR_pop_to_mark();
	return o.ok ? MOSQ_ERR_SUCCESS : MOSQ_ERR_AUTH;
}
