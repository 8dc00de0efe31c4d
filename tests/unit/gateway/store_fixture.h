/*
 * store_fixture.h - a store in a temporary folder, and its verbs as plain calls that wait for their answer.
 */
#ifndef STORE_FIXTURE_H
#define STORE_FIXTURE_H

#include "common/clock.h"
#include "gateway/store/store_feed.h"
#include "gateway/store/store_query.h"

#include <semaphore.h>
#include <sqlite3.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#define UNUSED_OK __attribute__((unused))

static char fixture_dir[64];
static char fixture_path[96];
static struct store *fixture_store;
static struct store_options fixture_options = {.supersede_after_s = 86400, .quarantine_clones = true};

static UNUSED_OK void fixture_open(void)
{
	struct fault f = {0};
	fixture_options.path = fixture_path;
	if (!store_open(&fixture_options, &fixture_store, &f).ok)
		fail_msg("store_open: %s", f.text);
}

static UNUSED_OK void fixture_reopen(void)
{
	store_close(fixture_store);
	fixture_open();
}

static UNUSED_OK int fixture_setup(void **state)
{
	(void)state;
	snprintf(fixture_dir, sizeof fixture_dir, "/tmp/mooring-store-XXXXXX");
	assert_non_null(mkdtemp(fixture_dir));
	snprintf(fixture_path, sizeof fixture_path, "%s/gateway.db", fixture_dir);
	fixture_options.supersede_after_s = 86400;
	fixture_options.quarantine_clones = true;
	fixture_open();
	return 0;
}

static UNUSED_OK int fixture_teardown(void **state)
{
	char command[128];
	(void)state;
	if (fixture_store)
		store_close(fixture_store);
	fixture_store = NULL;
	snprintf(command, sizeof command, "rm -rf %s", fixture_dir);
	return system(command);
}

/* ---- one answer ---- */

struct got {
	sem_t ready;
	bool refused;
	struct fault fault;
	struct store_reserved reserved;
	struct store_recorded recorded;
	bool settled; /* there was an answer about the intent */
	struct store_changed changed;
	uint8_t der[CERT_DER_MAX];
	size_t der_size;
	int64_t number;
	size_t count;
	struct store_commit *commit;
	void *rows; /* copied by the test's own callback */
};

static UNUSED_OK void got_init(struct got *g)
{
	memset(g, 0, sizeof *g);
	sem_init(&g->ready, 0, 0);
}

static UNUSED_OK void got_fault(struct got *g, const struct fault *f)
{
	g->refused = f != NULL;
	if (f)
		g->fault = *f;
}

static UNUSED_OK void got_wait(struct got *g)
{
	while (sem_wait(&g->ready))
		;
	sem_destroy(&g->ready);
}

static UNUSED_OK void on_reserved(const struct store_reserved *a, const struct fault *f, void *arg)
{
	struct got *g = arg;
	got_fault(g, f);
	if (a) {
		g->reserved = *a;
		g->der_size = a->certificate.n;
		if (a->certificate.n)
			memcpy(g->der, a->certificate.p, a->certificate.n);
	}
	sem_post(&g->ready);
}

static UNUSED_OK void on_recorded(const struct store_recorded *a, const struct fault *f, void *arg)
{
	struct got *g = arg;
	got_fault(g, f);
	g->settled = a != NULL;
	if (a)
		g->recorded = *a;
	sem_post(&g->ready);
}

static UNUSED_OK void on_changed(const struct store_changed *a, const struct fault *f, void *arg)
{
	struct got *g = arg;
	got_fault(g, f);
	if (a)
		g->changed = *a;
	sem_post(&g->ready);
}

static UNUSED_OK void on_void(const struct fault *f, void *arg)
{
	got_fault(arg, f);
	sem_post(&((struct got *)arg)->ready);
}

/* ---- devices and keys by number ---- */

struct ask {
	int device, key;
	int64_t lifetime_s; /* 0: a year */
	const uint8_t *renews;
	const char *request_id;
};

static UNUSED_OK void fixture_instance(int device, uint8_t out[INSTANCE_ID_SIZE])
{
	memset(out, 0, INSTANCE_ID_SIZE);
	out[0] = 1;
	memcpy(out + 1, &device, sizeof device);
}

static UNUSED_OK const char *fixture_thing(int device)
{
	static _Thread_local char thing[THING_NAME_SIZE];
	snprintf(thing, sizeof thing, "thing%019d", device);
	return thing;
}

static UNUSED_OK void fixture_reservation(const struct ask *a, struct store_reservation *r)
{
	int64_t now = clock_wall_s();
	*r = (struct store_reservation){.profile = "device",
					.evidence = EVIDENCE_COSE_CSR,
					.assurance = 1,
					.audience = "https://gw.example",
					.ear = "e.a.r",
					.renews = a->renews};
	crypto_random(r->intent.id, INTENT_ID_SIZE);
	crypto_random(r->intent.serial, SERIAL_SIZE);
	r->intent.not_before = now - 3600;
	r->intent.not_after = now + (a->lifetime_s ? a->lifetime_s : 31536000);
	memset(r->intent.spki_sha256, 0x5a, SHA256_SIZE);
	memcpy(r->intent.spki_sha256, &a->key, sizeof a->key);
	fixture_instance(a->device, r->intent.instance_id);
	snprintf(r->intent.thing, sizeof r->intent.thing, "%s", fixture_thing(a->device));
	snprintf(r->intent.request_id, sizeof r->intent.request_id, "%s",
		 a->request_id ? a->request_id : "REQ");
}

static UNUSED_OK void reserve(struct ask a, struct got *g)
{
	struct store_reservation r;
	fixture_reservation(&a, &r);
	got_init(g);
	store_reserve(fixture_store, &r, on_reserved, g);
	got_wait(g);
}

/* What stands for the certificate: any bytes that the intent decides, as the signer's journal would. */
static UNUSED_OK struct bytes fixture_der(const uint8_t intent_id[INTENT_ID_SIZE])
{
	static _Thread_local uint8_t der[300];
	for (size_t i = 0; i < sizeof der; i++)
		der[i] = (uint8_t)(intent_id[i % INTENT_ID_SIZE] + i);
	return bytes_of(der, sizeof der);
}

static UNUSED_OK void record(const uint8_t intent_id[INTENT_ID_SIZE], struct got *g)
{
	uint8_t id[INTENT_ID_SIZE]; /* which may lie in *g */
	memcpy(id, intent_id, INTENT_ID_SIZE);
	got_init(g);
	store_record(fixture_store, id, fixture_der(id), on_recorded, g);
	got_wait(g);
}

/* Reserved, signed and recorded; the fingerprint. */
static UNUSED_OK void enrol(struct ask a, uint8_t fingerprint[FINGERPRINT_SIZE])
{
	struct got g;
	reserve(a, &g);
	if (g.refused)
		fail_msg("reserve: %s: %s", reason_code(g.fault.reason), g.fault.text);
	assert_int_equal(g.reserved.result, STORE_RESERVED);
	record(g.reserved.intent.id, &g);
	if (g.refused)
		fail_msg("record: %s: %s", reason_code(g.fault.reason), g.fault.text);
	memcpy(fingerprint, g.recorded.fingerprint, FINGERPRINT_SIZE);
}

static UNUSED_OK void assert_refused(const struct got *g, enum reason reason)
{
	assert_true(g->refused);
	assert_string_equal(reason_code(g->fault.reason), reason_code(reason));
}

static const struct store_caller fixture_admin = {.request_id = "ADMIN-REQ", .actor = "AKADMIN"};

static UNUSED_OK struct got revoke_device(int device, const char *reason)
{
	struct got g;
	got_init(&g);
	store_revoke(fixture_store, &fixture_admin, fixture_thing(device), reason, on_changed, &g);
	got_wait(&g);
	return g;
}

static UNUSED_OK struct got suspend(int device)
{
	struct got g;
	got_init(&g);
	store_suspend(fixture_store, &fixture_admin, fixture_thing(device), "lost", on_changed, &g);
	got_wait(&g);
	return g;
}

static UNUSED_OK struct got resume(int device)
{
	struct got g;
	got_init(&g);
	store_resume(fixture_store, &fixture_admin, fixture_thing(device), on_changed, &g);
	got_wait(&g);
	return g;
}

static UNUSED_OK struct got allow_reenrol(int device)
{
	struct got g;
	got_init(&g);
	store_allow_reenrol(fixture_store, &fixture_admin, fixture_thing(device), "board repaired",
			    on_changed, &g);
	got_wait(&g);
	return g;
}

static UNUSED_OK struct got withdraw(int device, bool suspended, int64_t seq)
{
	struct got g;
	struct store_withdrawal w = {.suspended = suspended, .seq = seq, .reason = "recall"};
	fixture_instance(device, w.instance_id);
	got_init(&g);
	store_withdrawals_apply(fixture_store, &w, 1, on_changed, &g);
	got_wait(&g);
	return g;
}

static UNUSED_OK void on_certificate(const struct store_certificate *c, const struct fault *f, void *arg)
{
	struct got *g = arg;
	got_fault(g, f);
	if (c) {
		g->number = c->state;
		g->count = (size_t)c->generation;
	}
	sem_post(&g->ready);
}

static UNUSED_OK enum store_state state_of(const uint8_t fingerprint[FINGERPRINT_SIZE])
{
	struct got g;
	got_init(&g);
	store_certificate(fixture_store, fingerprint, on_certificate, &g);
	got_wait(&g);
	assert_false(g.refused);
	return (enum store_state)g.number;
}

static UNUSED_OK int64_t generation_of(const uint8_t fingerprint[FINGERPRINT_SIZE])
{
	struct got g;
	got_init(&g);
	store_certificate(fixture_store, fingerprint, on_certificate, &g);
	got_wait(&g);
	assert_false(g.refused);
	return (int64_t)g.count;
}

/* ---- the log, read past the store ---- */

static UNUSED_OK int64_t count_rows(const char *sql)
{
	sqlite3 *db;
	sqlite3_stmt *q;
	assert_int_equal(sqlite3_open_v2(fixture_path, &db, SQLITE_OPEN_READONLY, NULL), SQLITE_OK);
	assert_int_equal(sqlite3_prepare_v2(db, sql, -1, &q, NULL), SQLITE_OK);
	assert_int_equal(sqlite3_step(q), SQLITE_ROW);
	int64_t n = sqlite3_column_int64(q, 0);
	sqlite3_finalize(q);
	sqlite3_close(db);
	return n;
}

#endif
