/*
 * table.h - the registered certificates and the policies they are under, as the feed has told them.
 *
 * One thread writes (the feed's), one reads (the broker's), and the reader never waits: an entry is published
 * once it is whole, and what changes of it afterwards (state, flags, policy, name) is one atomic word.
 * Entries stay where they are, so a session may keep a pointer to its own for as long as the table lives.
 */
#ifndef MOORING_PLUGIN_TABLE_H
#define MOORING_PLUGIN_TABLE_H

#include "common/feed/feed_format.h"
#include "common/policy/policy.h"
#include "plugin/retire.h"

#include <stdatomic.h>

/* No registered certificate's. */
#define TABLE_WORD_NONE UINT64_MAX

enum { TABLE_FINGERPRINT_SIZE = SHA256_SIZE, TABLE_POLICIES_MAX = 65536 };
/* Beside the feed's flags: a type or attributes are known. */
enum { TABLE_HAS_THING = 0x80 };

struct table;

struct table_entry {
	uint8_t fingerprint[TABLE_FINGERPRINT_SIZE];
	_Atomic uint32_t not_before; /* Unix seconds; what lies beyond 2106 is held as that */
	_Atomic uint32_t not_after;
	_Atomic uint64_t standing; /* packed: table_standing */
};
/* With 6 to 12 bytes of index at most 60 bytes a certificate; names are beside it. */
_Static_assert(sizeof(struct table_entry) == 48, "a million entries are meant to fit");

/* Which log the table is of, and up to where. */
struct table_position {
	int64_t epoch;
	int64_t seq;
	int64_t time_ms; /* the gateway's, when it was last there */
	uint8_t head[SHA256_SIZE];
};

struct table_standing {
	bool registered;
	enum feed_state state;
	unsigned flags;	  /* enum feed_flags, TABLE_HAS_THING */
	const char *name; /* thing or service; what is known of the thing lies behind it: table_thing */
	uint64_t word;	  /* the same in one table: nothing here but the policy has changed */
	const struct policy *policy; /* NULL: none that this broker understands; denies all */
};

/* `retire` takes what is replaced while the reader may hold it. NULL when out of memory. */
struct table *table_new(struct retire *retire);
void table_free(void *table);

/* Writer. Views in the record are copied. A policy that does not compile is kept as one that denies all, with
 * its text, and reported: *refused is set (the rest of the record's frame still counts). REASON_NO_MEMORY,
 * REASON_TOO_LARGE. */
MUST_USE outcome table_put(struct table *t, const struct feed_record *record, struct fault *refused,
			   struct fault *f);
/* Writer. Calls with every policy and then every registered certificate that ends at or after `not_after`. */
MUST_USE outcome table_each(const struct table *t, int64_t not_after, feed_each *each, void *arg,
			    struct fault *f);

/* Reader or writer. */
const struct table_entry *table_find(const struct table *t,
				     const uint8_t fingerprint[TABLE_FINGERPRINT_SIZE]);
struct table_standing table_standing(const struct table *t, const struct table_entry *e);
/* What is known of the thing: its type ("" for none), and as many attributes as are returned. They live as long as the
 * table: what changes is put elsewhere, and the standing's word with it. */
size_t table_thing(const struct table_standing *standing, const char **type,
		   struct policy_attribute out[FEED_ATTRIBUTES_MAX]);
size_t table_count(const struct table *t); /* registered certificates, whatever their state */

#endif
