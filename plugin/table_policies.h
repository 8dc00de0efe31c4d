/*
 * table_policies.h - a table's policies, by number and, for the writer, by name.
 *
 * A slot stays once it is there: certificates go on to name it, and without a policy they are denied all. Otherwise as
 * table.h says.
 */
#ifndef MOORING_PLUGIN_TABLE_POLICIES_H
#define MOORING_PLUGIN_TABLE_POLICIES_H

#include "plugin/table.h"

struct table_policy {
	struct bytes name;     /* owned */
	struct bytes document; /* owned; writer's; p NULL: not there */
	_Atomic(struct policy *) policy;
};

struct table_policies {
	struct table_policy *slots[TABLE_POLICIES_MAX];
	uint32_t index[2 * TABLE_POLICIES_MAX]; /* the writer's, by name: number + 1; 0 is free */
	unsigned count;
	unsigned last; /* the one found last: most certificates share one */
};

void table_policies_free(struct table_policies *t);
/* The number of this name, which is new perhaps. */
MUST_USE outcome table_policies_slot(struct table_policies *t, struct bytes name, unsigned *out,
				     struct fault *f);
/* A FEED_POLICY record, as table_put. */
MUST_USE outcome table_policies_put(struct table_policies *t, const struct feed_record *record,
				    struct retire *retire, struct fault *refused, struct fault *f);
MUST_USE outcome table_policies_remove(struct table_policies *t, struct bytes name, struct retire *retire,
				       struct fault *f);

#endif
