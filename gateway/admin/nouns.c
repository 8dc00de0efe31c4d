#include "admin_internal.h"

#include <stdlib.h>

json_t *admin_json_hex(const void *p, size_t n)
{
	char text[HEX_SIZE(64)];
	hex_encode(bytes_of(p, n <= 64 ? n : 64), text);
	return json_string(text);
}

json_t *admin_json_entry(const struct log_entry *e)
{
	return json_pack("{s:I, s:I, s:s, s:s, s:s, s:o, s:s, s:o, s:s, s:s, s:o}", "seq", (json_int_t)e->seq,
			 "time_ms", (json_int_t)e->time_ms, "kind", e->kind, "actor", e->actor, "request_id",
			 e->request_id, "instance_id", admin_json_hex(e->instance_id.p, e->instance_id.n),
			 "thing", e->thing, "certificateId",
			 admin_json_hex(e->fingerprint.p, e->fingerprint.n), "reason", e->reason, "detail",
			 e->detail, "hash", admin_json_hex(e->hash, SHA256_SIZE));
}

json_t *admin_json_entries(const struct log_entry *entries, size_t count)
{
	json_t *list = json_array();
	for (size_t i = 0; list && i < count; i++) {
		if (json_array_append_new(list, admin_json_entry(&entries[i]))) {
			json_decref(list);
			return NULL;
		}
	}
	return list;
}

json_t *admin_json_device(const struct store_device *d)
{
	return json_pack("{s:s, s:o, s:s, s:b, s:b, s:b, s:b, s:I, s:I, s:I}", "thing", d->thing,
			 "instance_id", admin_json_hex(d->instance_id, INSTANCE_ID_SIZE), "state",
			 store_device_state(d), "on_hold", d->on_hold, "quarantined", d->quarantined,
			 "withdrawn", d->withdrawn, "reenrolment_allowed", d->granted, "generation",
			 (json_int_t)d->generation, "certificates", (json_int_t)d->certificates,
			 "first_seen_ms", (json_int_t)d->first_seen_ms);
}

static json_t *pem_json(struct bytes der)
{
	struct buf pem = {0};
	json_t *text = NULL;
	if (cert_to_pem(der, &pem))
		text = json_stringn((const char *)pem.p, pem.n);
	buf_free(&pem);
	return text;
}

json_t *admin_json_certificate(const struct store_certificate *c)
{
	static const char *const states[] = {"active", "inactive", "revoked", "expired"};
	return json_pack("{s:o, s:o, s:s, s:s, s:I, s:I, s:I, s:I, s:I, s:o, s:s, s:i, s:s, s:s, s:b, s:o}",
			 "certificateId", admin_json_hex(c->fingerprint, FINGERPRINT_SIZE), "serial",
			 admin_json_hex(c->serial, SERIAL_SIZE), "state", states[c->state],
			 "revocation_reason", c->revocation_reason, "not_before", (json_int_t)c->not_before,
			 "not_after", (json_int_t)c->not_after, "issued_at_ms", (json_int_t)c->issued_at_ms,
			 "revoked_at_ms", (json_int_t)c->revoked_at_ms, "generation",
			 (json_int_t)c->generation, "spki_sha256",
			 admin_json_hex(c->spki_sha256, SHA256_SIZE), "evidence", c->evidence, "assurance",
			 (int)c->assurance, "ear", c->ear, "request_id", c->request_id, "outgoing",
			 c->outgoing, "certificatePem", pem_json(c->der));
}
