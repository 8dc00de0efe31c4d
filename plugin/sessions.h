/*
 * sessions.h - the connections that BASIC_AUTH has admitted, by the broker's pointer, and when each must end.
 *
 * Only the broker's thread comes here. A pointer is good from BASIC_AUTH to DISCONNECT; the broker reuses it
 * at once for somebody else. Between DISCONNECT and the next TICK a session is departed, and still there: the
 * broker may yet ask about its will.
 */
#ifndef MOORING_PLUGIN_SESSIONS_H
#define MOORING_PLUGIN_SESSIONS_H

#include "plugin/table.h"

#include <stddef.h>

struct mosquitto;
struct sessions;

enum { SESSION_USERNAME_SIZE = HEX_SIZE(TABLE_FINGERPRINT_SIZE) };

struct session {
	/* What a check looks at comes first, and fits into two lines of the processor's cache: a message that many
	 * receive looks at as many sessions, which the broker's own work on each has pushed out. */
	const struct mosquitto *client;
	const struct table *table;
	const struct table_entry *entry; /* of `table`; NULL: not registered in it */
	int64_t not_after;		 /* Unix seconds */
	struct policy_binding *binding;	 /* see binding.h; NULL: not made yet */
	uint64_t bound_word;		 /* the standing that it was made for */
	bool persistent;		 /* the session outlives the connection */
	bool departed;
	uint8_t protocol;		      /* MQTT version as the broker has it: 3, 4 (3.1.1) or 5 */
	char username[SESSION_USERNAME_SIZE]; /* the fingerprint's hex */
	/* and the rest */
	uint8_t fingerprint[TABLE_FINGERPRINT_SIZE];
	char *client_id;
	size_t heap_at;
	struct session *next_departed;
	/* for lists */
	int64_t since_us; /* see roll.h */
	size_t roll_at;
	char *address; /* where it comes from; NULL: not known */
};
enum { SESSION_ALIGNMENT = 64 };
_Static_assert(offsetof(struct session, username) + SESSION_USERNAME_SIZE <= 2 * SESSION_ALIGNMENT,
	       "two lines");

struct sessions *sessions_new(void);
void sessions_free(struct sessions *s);
size_t sessions_count(const struct sessions *s); /* without the departed */

/* NULL when out of memory. A session that had the same pointer is gone. */
struct session *sessions_add(struct sessions *s, const struct mosquitto *client, const struct table *table,
			     const struct table_entry *entry, const char *client_id, int64_t not_after);
struct session *sessions_find(const struct sessions *s, const struct mosquitto *client);
/* No effect on a pointer that is not there: a refused connection ends with a DISCONNECT too. */
void sessions_depart(struct sessions *s, const struct mosquitto *client);
void sessions_forget_departed(struct sessions *s);

/* Looks it, or all of them, up in another table. */
void session_rebind(struct session *session, const struct table *table);
void sessions_rebind(struct sessions *s, const struct table *table);
/* Live sessions whose certificate is not registered as active, at most `max`. */
size_t sessions_unwanted(const struct sessions *s, const struct session **out, size_t max);
/* Why a session is unwanted: REASON_CERTIFICATE_...; REASON_NONE where it is not. */
enum reason session_fault(const struct session *session);
/* The live session that came first after this time (since_us); NULL: none did. */
const struct session *sessions_next(const struct sessions *s, int64_t after_us);
/* The live session that ends first, if its certificate has ended by now_s; NULL otherwise. */
const struct session *sessions_expired(const struct sessions *s, int64_t now_s);

#endif
