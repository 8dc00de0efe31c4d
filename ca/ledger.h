/*
 * ledger.h - what the signer knows by heart of its journal: which intents, serials and attestation results
 * were used, and where their records are. About 80 bytes an entry.
 */
#ifndef MOORING_CA_LEDGER_H
#define MOORING_CA_LEDGER_H

#include "journal.h"

enum { BINDING_PREFIX = 16 };

struct ledger;

struct ledger_entry {
	uint8_t intent[INTENT_ID_SIZE];
	uint8_t serial[SERIAL_SIZE];
	uint8_t binding[BINDING_PREFIX]; /* first half of B: enough to find it, by accident never */
	uint64_t offset : 62;		 /* in the journal */
	uint64_t is_void : 1;		 /* has neither serial nor binding */
	uint64_t attested : 1;		 /* has a binding */
};

/* NULL when out of memory. */
struct ledger *ledger_new(void);
void ledger_free(struct ledger *l);

/* REASON_NO_MEMORY; REASON_CONFLICT where its intent, serial or binding is known already. */
MUST_USE outcome ledger_add(struct ledger *l, const struct journal_record *record, uint64_t offset,
			    struct fault *f);
/* Forgets the `count` entries added last: their commit failed. */
void ledger_drop_last(struct ledger *l, size_t count);

/* NULL where there is none. Valid until the next add. */
const struct ledger_entry *ledger_by_intent(const struct ledger *l, const uint8_t intent[INTENT_ID_SIZE]);
const struct ledger_entry *ledger_by_serial(const struct ledger *l, const uint8_t serial[SERIAL_SIZE]);
const struct ledger_entry *ledger_by_binding(const struct ledger *l, const uint8_t binding[BINDING_SIZE]);

#endif
