/*
 * fields.h - fields of certificates, for policies that name them.
 *
 * The broker has the certificate of a live connection alone, and goes on to ask after it: may this be queued for
 * the offline session, may its delayed will be published. A certificate's fields do not change, so they are read
 * at its first connection and kept. After a restart of the broker they are known again at the next one.
 */
#ifndef MOORING_PLUGIN_FIELDS_H
#define MOORING_PLUGIN_FIELDS_H

#include "common/policy/policy_certificate.h"
#include "plugin/table.h"

struct mosquitto;
struct fields;

struct fields *fields_new(void); /* NULL when out of memory */
void fields_free(struct fields *f);

/* Those of this certificate; NULL where they are not known and the connection has none to read, or without memory.
 * Good until the next call. */
const struct policy_certificate *fields_of(struct fields *f,
					   const uint8_t fingerprint[TABLE_FINGERPRINT_SIZE],
					   const struct mosquitto *client);
/* Now and then: once they have doubled, forgets certificates that are not registered as active, or have ended by
 * now_s. */
void fields_sweep(struct fields *f, const struct table *table, int64_t now_s);

#endif
