/*
 * binding.h - the policy of a connection, with the connection's own values in its variables.
 *
 * Known of a connection: its client id, its certificate and the fields of it, its address, its thing with
 * type and attributes. A certificate is of one thing alone: whatever its client id, a connection speaks for
 * that thing. A service has no thing, and neither has a certificate that is detached from its own.
 */
#ifndef MOORING_PLUGIN_BINDING_H
#define MOORING_PLUGIN_BINDING_H

#include "plugin/fields.h"
#include "plugin/sessions.h"

/* Whom the broker asks about. */
struct connection {
	const struct mosquitto *client;
	const uint8_t *fingerprint; /* TABLE_FINGERPRINT_SIZE bytes */
	const char *username;	    /* the same in hex: the certificate's id */
	const char *client_id;
};

/* The policy must be there. What the connection no longer has (an offline session has no address) has no value. Caller
 * policy_binding_free. REASON_NO_MEMORY. */
MUST_USE outcome binding_make(struct fields *fields, const struct connection *of,
			      const struct table_standing *standing, struct policy_binding **out,
			      struct fault *f);
/* The session's own, made anew where its policy or its certificate's standing has changed. NULL denies
 * all. */
const struct policy_binding *binding_of(struct fields *fields, struct session *session,
					const struct table_standing *standing);

#endif
