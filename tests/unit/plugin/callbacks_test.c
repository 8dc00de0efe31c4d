/* The whole plugin behind a broker that can be made to do what a real one does seldom, or in one version
 * only. */
#include "plugin/plugin.h"

#include "common/clock.h"
#include "common/crypto/crypto.h"
#include "plugin/table_journal.h"
#include "../counted_heap.h"
#include "broker_stub.h"

#include <dirent.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <setjmp.h>
#include <stdarg.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

enum { DEVICES = 3000, POOL = 3000 };

static struct {
	char dir[64], path[128];
	EVP_PKEY *key;
	X509 *certs[4];
	uint8_t fingerprints[4][SHA256_SIZE];
	struct mooring *m;
	struct retire retire;
	struct mosquitto pool[POOL];
} t;
static struct fault f;

static const char policy[] =
	"{\"Version\":\"2012-10-17\",\"Statement\":["
	"{\"Effect\":\"Allow\",\"Action\":\"iot:Connect\",\"Resource\":\"*\"},"
	"{\"Effect\":\"Allow\",\"Action\":[\"iot:Publish\",\"iot:Receive\"],"
	"\"Resource\":\"arn:aws:iot:*:*:topic/dt/${iot:Connection.Thing.ThingName}/*\"},"
	"{\"Effect\":\"Allow\",\"Action\":\"iot:Subscribe\",\"Resource\":"
	"[\"arn:aws:iot:*:*:topicfilter/cmd/*\",\"arn:aws:iot:*:*:topicfilter/$share/team/*\"]}]}";

static X509 *certificate(unsigned n, long ends_in_s)
{
	X509 *cert = X509_new();
	X509_set_version(cert, 2);
	ASN1_INTEGER_set(X509_get_serialNumber(cert), n);
	X509_gmtime_adj(X509_getm_notBefore(cert), -3600);
	X509_gmtime_adj(X509_getm_notAfter(cert), ends_in_s);
	X509_NAME_add_entry_by_txt(X509_get_subject_name(cert), "CN", MBSTRING_ASC, (const uint8_t *)"lamp",
				   -1, -1, 0);
	X509_set_pubkey(cert, t.key);
	assert_true(X509_sign(cert, t.key, EVP_sha256()) > 0);
	return cert;
}

static struct feed_record record_of(const uint8_t *fingerprint, enum feed_state state, unsigned flags)
{
	return (struct feed_record){.type = FEED_CERTIFICATE,
				    .fingerprint = {fingerprint, SHA256_SIZE},
				    .state = state,
				    .not_before = 1,
				    .not_after = 4000000000,
				    .name = bytes_str("thing"),
				    .policy = bytes_str("default"),
				    .flags = flags};
}

static void put(struct table *table, const struct feed_record *r)
{
	assert_true(table_put(table, r, &f, &f).ok);
}

/* A state folder whose table holds the first three certificates, the third one revoked. */
static void save_table(void)
{
	static const enum feed_state states[] = {FEED_ACTIVE, FEED_ACTIVE, FEED_REVOKED};
	struct table_journal *j;
	struct table *table = table_new(&t.retire);
	struct table_position position = {.epoch = 1, .seq = 1, .time_ms = clock_wall_ms()};
	struct feed_record p = {
		.type = FEED_POLICY, .policy = bytes_str("default"), .document = bytes_str(policy)};
	put(table, &p);
	for (unsigned n = 0; n < 3; n++) {
		struct feed_record r =
			record_of(t.fingerprints[n], states[n], n == 1 ? FEED_REPORT_CONNECT : 0);
		put(table, &r);
	}
	assert_true(table_journal_open(t.dir, &j, &f).ok);
	assert_true(table_journal_replace(j, table, &position, 0, &f).ok);
	table_journal_close(j);
	table_free(table);
}

static void start_plugin(void)
{
	static const char *const keys[] = {"gateway",  "ca_file",   "cert_file", "key_file",
					   "feed_key", "state_dir", "broker",	 "config_file"};
	const char *values[] = {"https://127.0.0.1:1", t.path, t.path, t.path, t.path, t.dir, "b", t.path};
	struct mosquitto_opt list[8];
	void *userdata = NULL;
	for (int i = 0; i < 8; i++)
		list[i] = (struct mosquitto_opt){(char *)(uintptr_t)keys[i], (char *)(uintptr_t)values[i]};
	if (mosquitto_plugin_init(NULL, &userdata, list, 8) != MOSQ_ERR_SUCCESS)
		fail_msg("%s", stub.log);
	t.m = userdata;
}

static int set_up(void **state)
{
	(void)state;
	memset(&t, 0, sizeof t);
	memset(&stub, 0, sizeof stub);
	strcpy(t.dir, "/tmp/mooring-plugin-XXXXXX");
	if (!mkdtemp(t.dir) || !(t.key = EVP_EC_gen("P-256")))
		return -1;
	snprintf(t.path, sizeof t.path, "%s/feed.pem", t.dir);
	for (unsigned n = 0; n < 4; n++) {
		unsigned size = SHA256_SIZE;
		t.certs[n] = certificate(n + 1, 86400);
		X509_digest(t.certs[n], EVP_sha256(), t.fingerprints[n], &size);
	}
	FILE *pem = fopen(t.path, "w");
	if (!pem || PEM_write_PUBKEY(pem, t.key) != 1 || fclose(pem))
		return -1;
	save_table();
	start_plugin();
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	mosquitto_plugin_cleanup(t.m, NULL, 0);
	for (unsigned n = 0; n < 4; n++)
		X509_free(t.certs[n]);
	EVP_PKEY_free(t.key);
	retire_all(&t.retire);
	DIR *d = opendir(t.dir);
	for (struct dirent *e; (e = readdir(d));)
		unlinkat(dirfd(d), e->d_name, 0);
	closedir(d);
	return rmdir(t.dir);
}

/* ---- what the broker does ---- */

static struct mosquitto *client(unsigned n, const char *id, X509 *cert)
{
	t.pool[n] = (struct mosquitto){.id = id, .address = "192.0.2.1", .cert = cert, .online = true};
	stub.clients[stub.client_count++] = &t.pool[n];
	return &t.pool[n];
}

static int auth(struct mosquitto *c)
{
	struct mosquitto_evt_basic_auth ed = {.client = c, .username = *c->username ? c->username : NULL};
	return stub_call(MOSQ_EVT_BASIC_AUTH, &ed);
}

static int acl(struct mosquitto *c, int access, const char *topic)
{
	struct mosquitto_evt_acl_check ed = {.client = c, .topic = topic, .access = access};
	return stub_call(MOSQ_EVT_ACL_CHECK, &ed);
}

static void disconnect(struct mosquitto *c)
{
	struct mosquitto_evt_disconnect ed = {.client = c, .reason = -1};
	c->online = false;
	stub_call(MOSQ_EVT_DISCONNECT, &ed);
}

static void tick(void)
{
	struct mosquitto_evt_tick ed = {0};
	assert_int_equal(stub_call(MOSQ_EVT_TICK, &ed), MOSQ_ERR_SUCCESS);
}

/* As the feed's thread does it. */
static void set_state(unsigned n, enum feed_state state)
{
	struct feed_record r = record_of(t.fingerprints[n], state, 0);
	put(atomic_load(&t.m->table), &r);
	receipts_cut_wanted(&t.m->receipts);
}

/* ---- tests ---- */

static void test_admission(void **state)
{
	(void)state;
	assert_int_equal(auth(client(0, "a", t.certs[0])), MOSQ_ERR_SUCCESS);
	assert_int_equal(strlen(t.pool[0].username), 64);
	assert_int_equal(auth(client(1, "b", t.certs[2])), MOSQ_ERR_AUTH);
	assert_non_null(strstr(stub.log, "certificate-revoked"));
	assert_int_equal(auth(client(2, "c", t.certs[3])), MOSQ_ERR_AUTH);
	assert_non_null(strstr(stub.log, "certificate-unregistered"));
	assert_int_equal(auth(client(3, "d", NULL)), MOSQ_ERR_AUTH);
	assert_non_null(strstr(stub.log, "certificate-missing"));
	assert_int_equal(auth(client(4, NULL, t.certs[0])), MOSQ_ERR_AUTH);
	assert_int_equal(auth(client(5, "x\ny", t.certs[0])), MOSQ_ERR_AUTH);
	assert_null(strstr(stub.log, "x\ny"));
}

/* The certificate's own dates count besides the feed's: both must hold. */
static void test_the_certificates_own_end_counts(void **state)
{
	(void)state;
	unsigned size = SHA256_SIZE;
	X509 *ended = certificate(9, -10);
	uint8_t fp[SHA256_SIZE];
	X509_digest(ended, EVP_sha256(), fp, &size);
	struct feed_record r = record_of(fp, FEED_ACTIVE, 0);
	put(atomic_load(&t.m->table), &r);
	assert_int_equal(auth(client(0, "a", ended)), MOSQ_ERR_AUTH);
	assert_non_null(strstr(stub.log, "certificate-expired"));
	X509_free(ended);
}

static void test_the_broker_finds_its_error_queue_as_it_was(void **state)
{
	(void)state;
	auth(client(0, "a", t.certs[0]));
	auth(client(1, "b", t.certs[3]));
	acl(client(2, "c", t.certs[0]), MOSQ_ACL_WRITE, "x");
	assert_int_equal(ERR_peek_error(), 0);
}

static void test_topics(void **state)
{
	(void)state;
	struct mosquitto *c = client(0, "a", t.certs[0]);
	auth(c);
	assert_int_equal(acl(c, MOSQ_ACL_WRITE, "dt/thing/x"), MOSQ_ERR_SUCCESS);
	assert_int_equal(acl(c, MOSQ_ACL_WRITE, "dt/other/x"), MOSQ_ERR_ACL_DENIED);
	assert_int_equal(acl(c, MOSQ_ACL_READ, "dt/thing/x"), MOSQ_ERR_SUCCESS);
	assert_int_equal(acl(c, MOSQ_ACL_SUBSCRIBE, "cmd/#"), MOSQ_ERR_SUCCESS);
	assert_int_equal(acl(c, MOSQ_ACL_SUBSCRIBE, "$share/g/cmd/#"), MOSQ_ERR_ACL_DENIED);
	assert_int_equal(acl(c, MOSQ_ACL_SUBSCRIBE, "$share/team/cmd/x"), MOSQ_ERR_SUCCESS);
	assert_int_equal(acl(c, MOSQ_ACL_SUBSCRIBE, "#"), MOSQ_ERR_ACL_DENIED);
	assert_int_equal(acl(c, MOSQ_ACL_UNSUBSCRIBE, "#"), MOSQ_ERR_SUCCESS);
	assert_int_equal(acl(c, 99, "dt/thing/x"), MOSQ_ERR_ACL_DENIED);
	assert_int_equal(t.m->counters.denied_publish, 1);
}

/* As the feed's thread does it. */
static void set_policy(const char *document)
{
	struct fault refused = {0};
	struct feed_record p = {
		.type = FEED_POLICY, .policy = bytes_str("default"), .document = bytes_str(document)};
	assert_true(table_put(atomic_load(&t.m->table), &p, &refused, &f).ok);
	assert_int_equal(refused.reason, REASON_NONE);
}

#define POLICY(statements) "{\"Version\":\"2012-10-17\",\"Statement\":[" statements "]}"
#define ALLOW(action, resource, condition)                                                                   \
	"{\"Effect\":\"Allow\",\"Action\":\"iot:" action "\",\"Resource\":\"arn:aws:iot:*:*:" resource       \
	"\",\"Condition\":{" condition "}}"

static void test_a_connection_has_what_its_certificate_and_its_address_say(void **state)
{
	(void)state;
	set_policy(POLICY(
		ALLOW("Connect", "client/*", "\"IpAddress\":{\"aws:SourceIp\":\"192.0.2.0/24\"}") "," ALLOW(
			"Publish",
			"topic/${iot:Certificate.Subject.CommonName}/${iot:Certificate.SerialNumber}",
			"\"Bool\":{\"iot:Connection.Thing.IsAttached\":true}")));
	struct mosquitto *c = client(0, "a", t.certs[0]), *elsewhere = client(1, "b", t.certs[1]);
	assert_int_equal(auth(c), MOSQ_ERR_SUCCESS);
	assert_int_equal(acl(c, MOSQ_ACL_WRITE, "lamp/1"), MOSQ_ERR_SUCCESS);
	assert_int_equal(acl(c, MOSQ_ACL_WRITE, "lamp/2"), MOSQ_ERR_ACL_DENIED);
	elsewhere->address = "198.51.100.1";
	assert_int_equal(auth(elsewhere), MOSQ_ERR_AUTH);
	assert_non_null(strstr(stub.log, "policy-denied"));
	assert_int_equal(ERR_peek_error(), 0);
}

/* The broker has the certificate of a live connection alone. The address is that of a connection. */
static void test_an_offline_session_keeps_what_its_certificate_says(void **state)
{
	(void)state;
	set_policy(POLICY(ALLOW("Connect", "client/*",
				"") "," ALLOW("Receive", "topic/${iot:Certificate.Subject.CommonName}/*",
					      "") "," ALLOW("Receive", "topic/${aws:SourceIp}", "")));
	struct mosquitto *c = client(0, "a", t.certs[0]), *never_seen = client(1, "b", NULL);
	assert_int_equal(auth(c), MOSQ_ERR_SUCCESS);
	assert_int_equal(acl(c, MOSQ_ACL_READ, "192.0.2.1"), MOSQ_ERR_SUCCESS);
	disconnect(c);
	tick();
	c->cert = NULL;
	c->address = NULL;
	assert_null(sessions_find(t.m->sessions, c));
	assert_int_equal(acl(c, MOSQ_ACL_READ, "lamp/x"), MOSQ_ERR_SUCCESS);
	assert_int_equal(acl(c, MOSQ_ACL_READ, "192.0.2.1"), MOSQ_ERR_ACL_DENIED);
	hex_encode(bytes_of(t.fingerprints[1], SHA256_SIZE), never_seen->username);
	assert_int_equal(acl(never_seen, MOSQ_ACL_READ, "lamp/x"), MOSQ_ERR_ACL_DENIED);
}

static void test_a_service_has_no_thing(void **state)
{
	(void)state;
	struct feed_record r = record_of(t.fingerprints[1], FEED_ACTIVE, FEED_SERVICE);
	put(atomic_load(&t.m->table), &r);
	set_policy(POLICY(ALLOW("Connect", "*", "") "," ALLOW(
		"Publish", "topic/${iot:Connection.Thing.ThingName}",
		"") "," ALLOW("Receive", "topic/*", "\"Bool\":{\"iot:Connection.Thing.IsAttached\":false}")));
	struct mosquitto *c = client(0, "thing", t.certs[1]);
	auth(c);
	assert_int_equal(acl(c, MOSQ_ACL_WRITE, "thing"), MOSQ_ERR_ACL_DENIED);
	assert_int_equal(acl(c, MOSQ_ACL_READ, "x"), MOSQ_ERR_SUCCESS);
}

static void test_a_changed_policy_is_in_force_at_the_next_check(void **state)
{
	(void)state;
	struct mosquitto *c = client(0, "a", t.certs[0]);
	auth(c);
	assert_int_equal(acl(c, MOSQ_ACL_WRITE, "dt/thing/x"), MOSQ_ERR_SUCCESS);
	set_policy(POLICY(ALLOW("Publish", "topic/${iot:Certificate.Subject.CommonName}", "")));
	assert_int_equal(acl(c, MOSQ_ACL_WRITE, "dt/thing/x"), MOSQ_ERR_ACL_DENIED);
	assert_int_equal(acl(c, MOSQ_ACL_WRITE, "lamp"), MOSQ_ERR_SUCCESS);
	/* Its name too: then the same policy says something else. */
	set_policy(policy);
	struct feed_record r = record_of(t.fingerprints[0], FEED_ACTIVE, 0);
	r.name = bytes_str("renamed");
	put(atomic_load(&t.m->table), &r);
	assert_int_equal(acl(c, MOSQ_ACL_WRITE, "dt/thing/x"), MOSQ_ERR_ACL_DENIED);
	assert_int_equal(acl(c, MOSQ_ACL_WRITE, "dt/renamed/x"), MOSQ_ERR_SUCCESS);
}

static void put_lamp(const char *room, unsigned flags)
{
	const struct feed_thing lamp = {
		.type = bytes_str("lamp"), .count = 1, .attributes = {{bytes_str("room"), bytes_str(room)}}};
	struct feed_record r = record_of(t.fingerprints[0], FEED_ACTIVE, flags);
	r.thing = &lamp;
	put(atomic_load(&t.m->table), &r);
}

static void test_a_things_type_and_attributes_are_bound_and_bound_anew_when_they_change(void **state)
{
	(void)state;
	set_policy(POLICY(ALLOW("Connect", "*", "") "," ALLOW(
		"Publish", "topic/${iot:Connection.Thing.Attributes[room]}/x",
		"\"StringEquals\":{\"iot:Connection.Thing.ThingTypeName\":\"lamp\"}")));
	struct mosquitto *c = client(0, "a", t.certs[0]);
	auth(c);
	assert_int_equal(acl(c, MOSQ_ACL_WRITE, "kitchen/x"), MOSQ_ERR_ACL_DENIED);
	put_lamp("kitchen", 0);
	assert_int_equal(acl(c, MOSQ_ACL_WRITE, "kitchen/x"), MOSQ_ERR_SUCCESS);
	put_lamp("bath", 0);
	assert_int_equal(acl(c, MOSQ_ACL_WRITE, "kitchen/x"), MOSQ_ERR_ACL_DENIED);
	assert_int_equal(acl(c, MOSQ_ACL_WRITE, "bath/x"), MOSQ_ERR_SUCCESS);
	/* Offline, by the user name. */
	disconnect(c);
	tick();
	c->cert = NULL;
	assert_null(sessions_find(t.m->sessions, c));
	assert_int_equal(acl(c, MOSQ_ACL_WRITE, "bath/x"), MOSQ_ERR_SUCCESS);
}

static void test_a_detached_certificate_has_no_thing(void **state)
{
	(void)state;
	set_policy(POLICY(ALLOW("Connect", "*", "") "," ALLOW(
		"Publish", "topic/${iot:Connection.Thing.ThingName}",
		"") "," ALLOW("Publish", "topic/${iot:Connection.Thing.Attributes[room]}",
			      "") "," ALLOW("Receive", "topic/*",
					    "\"Bool\":{\"iot:Connection.Thing.IsAttached\":false}")));
	struct mosquitto *c = client(0, "a", t.certs[0]);
	put_lamp("kitchen", 0);
	auth(c);
	assert_int_equal(acl(c, MOSQ_ACL_WRITE, "thing"), MOSQ_ERR_SUCCESS);
	assert_int_equal(acl(c, MOSQ_ACL_READ, "x"), MOSQ_ERR_ACL_DENIED);
	put_lamp("kitchen", FEED_DETACHED);
	assert_int_equal(acl(c, MOSQ_ACL_WRITE, "thing"), MOSQ_ERR_ACL_DENIED);
	assert_int_equal(acl(c, MOSQ_ACL_WRITE, "kitchen"), MOSQ_ERR_ACL_DENIED);
	assert_int_equal(acl(c, MOSQ_ACL_READ, "x"), MOSQ_ERR_SUCCESS);
	put_lamp("kitchen", 0);
	assert_int_equal(acl(c, MOSQ_ACL_WRITE, "kitchen"), MOSQ_ERR_SUCCESS);
}

/* Such an answer is kept for the message's other subscribers: of them all else is asked all the same. */
static void test_what_a_policy_says_to_all_is_asked_again_of_each(void **state)
{
	(void)state;
	static const char reads_dt[] =
		POLICY("{\"Effect\":\"Allow\",\"Action\":[\"iot:Connect\",\"iot:Receive\"],"
		       "\"Resource\":[\"arn:aws:iot:*:*:client/*\",\"arn:aws:iot:*:*:topic/dt/*\"]}");
	set_policy(reads_dt);
	struct mosquitto *a = client(0, "a", t.certs[0]), *b = client(1, "b", t.certs[1]);
	auth(a);
	auth(b);
	assert_int_equal(acl(a, MOSQ_ACL_READ, "dt/x"), MOSQ_ERR_SUCCESS);
	assert_int_equal(acl(b, MOSQ_ACL_READ, "dt/x"), MOSQ_ERR_SUCCESS);
	assert_int_equal(acl(b, MOSQ_ACL_WRITE, "dt/x"), MOSQ_ERR_ACL_DENIED);
	assert_int_equal(acl(b, MOSQ_ACL_READ, "dy/x"), MOSQ_ERR_ACL_DENIED);
	assert_int_equal(acl(a, MOSQ_ACL_READ, "dy/x"), MOSQ_ERR_ACL_DENIED);
	assert_int_equal(acl(a, MOSQ_ACL_READ, "dt/x"), MOSQ_ERR_SUCCESS);
	set_state(1, FEED_REVOKED);
	assert_int_equal(acl(b, MOSQ_ACL_READ, "dt/x"), MOSQ_ERR_ACL_DENIED);
	t.m->now_s = sessions_find(t.m->sessions, a)->not_after + 1;
	assert_int_equal(acl(a, MOSQ_ACL_READ, "dt/x"), MOSQ_ERR_ACL_DENIED);
	tick();
	assert_int_equal(acl(a, MOSQ_ACL_READ, "dt/x"), MOSQ_ERR_SUCCESS);
	set_policy(POLICY(ALLOW("Receive", "topic/cmd/*", "")));
	assert_int_equal(acl(a, MOSQ_ACL_READ, "dt/x"), MOSQ_ERR_ACL_DENIED);
	set_policy(reads_dt);
	assert_int_equal(acl(a, MOSQ_ACL_READ, "dt/x"), MOSQ_ERR_SUCCESS);
}

#define ATTRIBUTES "\"ForAllValues:StringEquals\":{\"iot:ConnectAttributes\":"

static void test_the_policy_may_want_clean_sessions(void **state)
{
	(void)state;
	set_policy(POLICY(ALLOW("Connect", "*", ATTRIBUTES "[\"LastWill\"]}")));
	struct mosquitto *clean = client(0, "a", t.certs[0]), *persistent = client(1, "b", t.certs[1]);
	clean->clean = true;
	assert_int_equal(auth(clean), MOSQ_ERR_SUCCESS);
	assert_int_equal(auth(persistent), MOSQ_ERR_AUTH);
}

/* At CONNECT the broker tells of no will: what the policy says to one counts when it is published. */
static void test_a_will_that_the_policy_does_not_want_is_not_published(void **state)
{
	(void)state;
	set_policy(POLICY(ALLOW("Connect", "*",
				ATTRIBUTES "[\"PersistentConnect\"]}") "," ALLOW("Publish", "topic/*", "")));
	struct mosquitto *c = client(0, "a", t.certs[0]);
	assert_int_equal(auth(c), MOSQ_ERR_SUCCESS);
	assert_int_equal(acl(c, MOSQ_ACL_WRITE, "x"), MOSQ_ERR_SUCCESS);
	disconnect(c);
	assert_int_equal(acl(c, MOSQ_ACL_WRITE, "x"), MOSQ_ERR_ACL_DENIED);
	set_policy(POLICY(ALLOW("Connect", "*", ATTRIBUTES "[\"PersistentConnect\",\"LastWill\"]}") "," ALLOW(
		"Publish", "topic/*", "")));
	assert_int_equal(acl(c, MOSQ_ACL_WRITE, "x"), MOSQ_ERR_SUCCESS);
}

static void test_memory_denies_at_once_and_the_next_tick_cuts(void **state)
{
	(void)state;
	struct mosquitto *c = client(0, "a", t.certs[0]), *other = client(1, "b", t.certs[1]);
	auth(c);
	auth(other);
	tick();
	set_state(0, FEED_REVOKED);
	assert_int_equal(acl(c, MOSQ_ACL_WRITE, "dt/thing/x"), MOSQ_ERR_ACL_DENIED);
	assert_true(c->online);
	assert_int_not_equal(atomic_load(&t.m->receipts.cuts_done), receipts_cuts_wanted(&t.m->receipts));
	tick();
	assert_false(c->online);
	assert_true(other->online);
	assert_int_equal(atomic_load(&t.m->receipts.cuts_done), receipts_cuts_wanted(&t.m->receipts));
	assert_int_equal(stub.kicks, 1);
	assert_int_equal(sessions_count(t.m->sessions), 1);
}

/* Naming an offline session would free memory that Mosquitto 2.0 goes on to use. */
static void test_an_offline_session_is_never_named_to_the_broker(void **state)
{
	(void)state;
	struct mosquitto *c = client(0, "a", t.certs[0]);
	auth(c);
	disconnect(c);
	c->cert = NULL;
	tick();
	set_state(0, FEED_REVOKED);
	tick();
	assert_int_equal(stub.kicks, 0);
	assert_int_equal(acl(c, MOSQ_ACL_READ, "dt/thing/x"), MOSQ_ERR_ACL_DENIED);
	set_state(0, FEED_ACTIVE);
	assert_int_equal(acl(c, MOSQ_ACL_READ, "dt/thing/x"), MOSQ_ERR_SUCCESS);
}

/* Mosquitto 2.0.21 asks about the will after DISCONNECT, with the certificate still there. */
static void test_the_will_of_an_ended_connection_is_no_intruder(void **state)
{
	(void)state;
	struct mosquitto *c = client(0, "a", t.certs[0]);
	auth(c);
	tick();
	disconnect(c);
	assert_int_equal(acl(c, MOSQ_ACL_WRITE, "dt/thing/will"), MOSQ_ERR_SUCCESS);
	assert_int_equal(acl(c, MOSQ_ACL_WRITE, "dt/other/will"), MOSQ_ERR_ACL_DENIED);
	tick();
	assert_int_equal(stub.kicks, 0);
	assert_null(strstr(stub.log, "plugin-bypassed"));
}

static void test_who_was_not_asked_about_is_cut(void **state)
{
	(void)state;
	struct mosquitto *named = client(0, "a", t.certs[0]), *nameless = client(1, "b", t.certs[1]);
	struct mosquitto *asked = client(2, "c", t.certs[1]);
	strcpy(named->username, "thing");
	auth(asked);
	assert_int_equal(acl(named, MOSQ_ACL_WRITE, "dt/thing/x"), MOSQ_ERR_ACL_DENIED);
	assert_int_equal(acl(named, MOSQ_ACL_WRITE, "dt/thing/x"), MOSQ_ERR_ACL_DENIED);
	assert_int_equal(acl(nameless, MOSQ_ACL_WRITE, "dt/thing/x"), MOSQ_ERR_ACL_DENIED);
	assert_non_null(strstr(stub.log, "plugin-bypassed"));
	tick();
	assert_false(named->online);
	assert_false(nameless->online);
	assert_true(asked->online);
	assert_int_equal(stub.kicks, 2);
}

/* A pointer is used again at once; the new connection has another
 * name than the session that had the pointer. */
static void test_a_reused_pointer_inherits_nothing(void **state)
{
	(void)state;
	struct mosquitto *c = client(0, "a", t.certs[0]);
	auth(c);
	strcpy(c->username, "somebody-else");
	assert_int_equal(acl(c, MOSQ_ACL_WRITE, "dt/thing/x"), MOSQ_ERR_ACL_DENIED);
	assert_non_null(strstr(stub.log, "plugin-bypassed"));
}

static void test_a_refused_impostor_ends_nobodys_session(void **state)
{
	(void)state;
	struct mosquitto *c = client(0, "a", t.certs[0]), *impostor = client(1, "a", t.certs[2]);
	auth(c);
	assert_int_equal(auth(impostor), MOSQ_ERR_AUTH);
	disconnect(impostor);
	tick();
	assert_int_equal(acl(c, MOSQ_ACL_WRITE, "dt/thing/x"), MOSQ_ERR_SUCCESS);
}

static void test_sighup_refuses_nobody_and_tick_cuts(void **state)
{
	(void)state;
	struct mosquitto *live = client(0, "a", t.certs[0]), *offline = client(1, "b", NULL);
	struct mosquitto_evt_reload ed = {0};
	auth(live);
	strcpy(offline->username, live->username);
	offline->online = false;
	set_state(0, FEED_REVOKED);
	stub_call(MOSQ_EVT_RELOAD, &ed);
	assert_int_equal(auth(live), MOSQ_ERR_SUCCESS);
	assert_int_equal(auth(offline), MOSQ_ERR_SUCCESS);
	assert_int_equal(auth(client(2, "c", t.certs[2])), MOSQ_ERR_AUTH); /* a CONNECT is one all the same */
	tick();
	assert_false(live->online);
	assert_int_equal(auth(offline), MOSQ_ERR_AUTH); /* the window has closed */
}

static struct table *another_table(void)
{
	struct table *table = table_new(&t.retire);
	struct feed_record p = {
		.type = FEED_POLICY, .policy = bytes_str("default"), .document = bytes_str(policy)};
	struct feed_record r = record_of(t.fingerprints[1], FEED_ACTIVE, 0);
	put(table, &p);
	put(table, &r);
	return table;
}

static void test_a_new_table_is_in_force_at_once(void **state)
{
	(void)state;
	struct mosquitto *gone = client(0, "a", t.certs[0]), *stays = client(1, "b", t.certs[1]);
	auth(gone);
	auth(stays);
	tick();
	struct table *old = atomic_exchange(&t.m->table, another_table());
	receipts_cut_wanted(&t.m->receipts);
	assert_int_equal(acl(gone, MOSQ_ACL_WRITE, "dt/thing/x"), MOSQ_ERR_ACL_DENIED);
	assert_int_equal(acl(stays, MOSQ_ACL_WRITE, "dt/thing/x"), MOSQ_ERR_SUCCESS);
	assert_int_equal(auth(client(2, "c", t.certs[0])), MOSQ_ERR_AUTH);
	tick();
	assert_false(gone->online);
	assert_true(stays->online);
	table_free(atomic_exchange(&t.m->table, old));
	disconnect(stays);
	tick();
}

/* Each has a certificate and a client id of its own: more than one turn's time. */
static void test_many_are_cut_in_turns(void **state)
{
	(void)state;
	static char ids[DEVICES][8];
	struct table *table = another_table(), *old = atomic_exchange(&t.m->table, table);
	for (unsigned n = 0; n < DEVICES; n++) {
		uint8_t fp[SHA256_SIZE];
		snprintf(ids[n], sizeof ids[n], "id-%u", n);
		sha256(bytes_of(&n, sizeof n), fp);
		struct feed_record r = record_of(fp, FEED_REVOKED, 0);
		put(table, &r);
		struct mosquitto *c = client(n, ids[n], t.certs[0]);
		hex_encode(bytes_of(fp, sizeof fp), c->username);
		assert_non_null(
			sessions_add(t.m->sessions, c, table, table_find(table, fp), ids[n], INT64_MAX));
	}
	receipts_cut_wanted(&t.m->receipts);
	tick();
	assert_in_range(sessions_count(t.m->sessions), 1, DEVICES - 1);
	assert_int_equal(atomic_load(&t.m->receipts.cuts_done), 0);
	for (int turn = 0; turn < 1000 && sessions_count(t.m->sessions); turn++)
		tick();
	tick();
	assert_int_equal(stub.kicks, DEVICES);
	assert_int_equal(atomic_load(&t.m->receipts.cuts_done), receipts_cuts_wanted(&t.m->receipts));
	atomic_store(&t.m->table, old);
	table_free(table);
}

static void test_a_session_the_broker_does_not_find_does_not_hold_up_tick(void **state)
{
	(void)state;
	struct mosquitto *c = client(0, "a", t.certs[0]);
	auth(c);
	stub.client_count = 0;
	set_state(0, FEED_REVOKED);
	tick();
	assert_int_equal(sessions_count(t.m->sessions), 0);
	tick();
	assert_int_equal(stub.kicks, 2); /* by client id and by user name, once */
}

static void test_a_first_connection_is_reported_where_asked_for(void **state)
{
	(void)state;
	auth(client(0, "a", t.certs[0]));
	assert_int_equal(t.m->receipts.connected.count, 0);
	auth(client(1, "b", t.certs[1]));
	assert_int_equal(t.m->receipts.connected.count, 1);
}

static void test_a_silent_gateway_refuses_new_connections(void **state)
{
	(void)state;
	struct mosquitto *c = client(0, "a", t.certs[0]);
	auth(c);
	atomic_store(&t.m->view.fresh_ms, clock_monotonic_ms() - 901000);
	assert_int_equal(auth(client(1, "b", t.certs[1])), MOSQ_ERR_AUTH);
	assert_non_null(strstr(stub.log, "feed-stale"));
	assert_int_equal(acl(c, MOSQ_ACL_WRITE, "dt/thing/x"), MOSQ_ERR_SUCCESS);
}

static void test_a_suspect_clock_refuses_new_connections_and_ends_none(void **state)
{
	(void)state;
	struct mosquitto *c = client(0, "a", t.certs[0]);
	auth(c);
	t.m->clock.offset_ms +=
		(int64_t)10 * 365 * 86400 * 1000; /* ten years on: every certificate has ended */
	tick();
	assert_true(t.m->clock.suspect);
	assert_true(c->online);
	assert_int_equal(acl(c, MOSQ_ACL_WRITE, "dt/thing/x"), MOSQ_ERR_SUCCESS);
	assert_int_equal(auth(client(1, "b", t.certs[1])), MOSQ_ERR_AUTH);
	assert_non_null(strstr(stub.log, "clock-suspect"));
	t.m->clock.suspect = false;
	t.m->clock.system_is_wrong = true; /* the gateway has confirmed the ten years */
	tick();
	assert_false(c->online);
}

static void test_state_is_published_every_few_seconds(void **state)
{
	(void)state;
	tick();
	int first = stub.published;
	assert_true(first >= 10);
	tick();
	assert_int_equal(stub.published, first);
	t.m->state_at_ms = 0;
	tick();
	assert_int_equal(stub.published, 2 * first);
}

static void test_a_check_of_a_live_session_allocates_nothing(void **state)
{
	(void)state;
	struct mosquitto *c = client(0, "a", t.certs[0]);
	auth(c);
	acl(c, MOSQ_ACL_WRITE, "dt/thing/temperature");
	size_t before = counted_heap.allocations;
	assert_int_equal(acl(c, MOSQ_ACL_WRITE, "dt/thing/temperature"), MOSQ_ERR_SUCCESS);
	assert_int_equal(acl(c, MOSQ_ACL_WRITE, "dt/other/temperature"), MOSQ_ERR_ACL_DENIED);
	assert_int_equal(acl(c, MOSQ_ACL_READ, "dt/thing/x"), MOSQ_ERR_SUCCESS);
	assert_int_equal(acl(c, MOSQ_ACL_SUBSCRIBE, "$share/team/cmd/x"), MOSQ_ERR_SUCCESS);
	assert_int_equal(counted_heap.allocations, before);
}

static void test_the_cost_of_an_acl_check(void **state)
{
	(void)state;
	enum { ROUNDS = 200000 };
	int denied = 0;
	struct mosquitto *c = client(0, "a", t.certs[0]);
	auth(c);
	clock_t start = clock();
	for (int i = 0; i < ROUNDS; i++)
		denied += acl(c, MOSQ_ACL_WRITE, "dt/thing/temperature") != MOSQ_ERR_SUCCESS;
	assert_int_equal(denied, 0);
	printf("%.0f ns a check of a live session\n",
	       (double)(clock() - start) * 1e9 / CLOCKS_PER_SEC / ROUNDS);
}

int main(void)
{
#define WITH(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		WITH(test_admission),
		WITH(test_the_certificates_own_end_counts),
		WITH(test_the_broker_finds_its_error_queue_as_it_was),
		WITH(test_topics),
		WITH(test_a_connection_has_what_its_certificate_and_its_address_say),
		WITH(test_an_offline_session_keeps_what_its_certificate_says),
		WITH(test_a_service_has_no_thing),
		WITH(test_a_changed_policy_is_in_force_at_the_next_check),
		WITH(test_a_things_type_and_attributes_are_bound_and_bound_anew_when_they_change),
		WITH(test_a_detached_certificate_has_no_thing),
		WITH(test_what_a_policy_says_to_all_is_asked_again_of_each),
		WITH(test_the_policy_may_want_clean_sessions),
		WITH(test_a_will_that_the_policy_does_not_want_is_not_published),
		WITH(test_memory_denies_at_once_and_the_next_tick_cuts),
		WITH(test_an_offline_session_is_never_named_to_the_broker),
		WITH(test_the_will_of_an_ended_connection_is_no_intruder),
		WITH(test_who_was_not_asked_about_is_cut),
		WITH(test_a_reused_pointer_inherits_nothing),
		WITH(test_a_refused_impostor_ends_nobodys_session),
		WITH(test_sighup_refuses_nobody_and_tick_cuts),
		WITH(test_a_new_table_is_in_force_at_once),
		WITH(test_many_are_cut_in_turns),
		WITH(test_a_session_the_broker_does_not_find_does_not_hold_up_tick),
		WITH(test_a_first_connection_is_reported_where_asked_for),
		WITH(test_a_silent_gateway_refuses_new_connections),
		WITH(test_a_suspect_clock_refuses_new_connections_and_ends_none),
		WITH(test_state_is_published_every_few_seconds),
		WITH(test_a_check_of_a_live_session_allocates_nothing),
		WITH(test_the_cost_of_an_acl_check),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
