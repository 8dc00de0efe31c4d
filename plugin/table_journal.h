/*
 * table_journal.h - the table on disk, so that a broker that starts without its gateway knows whom to admit.
 *
 * DIR/table is a snapshot, DIR/journal-ID what came after it, where ID is the head of the snapshot's chain: a
 * journal can only be read after its own snapshot. A damaged table is no table: the files protect against
 * accidents, and an accident must not admit anybody. (Who can write to DIR can admit whom he likes.)
 */
#ifndef MOORING_PLUGIN_TABLE_JOURNAL_H
#define MOORING_PLUGIN_TABLE_JOURNAL_H

#include "plugin/table.h"

struct table_journal;

/* Opens DIR, which must exist; REASON_CONFLICT where another broker has it open. */
MUST_USE outcome table_journal_open(const char *dir, struct table_journal **out, struct fault *f);
void table_journal_close(struct table_journal *j);

/* Once, after opening. *out is NULL where there is no table yet. REASON_JOURNAL: the
 * files are damaged; they stay as they are until table_journal_replace. The last
 * policy that does not compile is told in `refused`. */
MUST_USE outcome table_journal_load(struct table_journal *j, struct retire *retire, struct table **out,
				    struct table_position *position, struct fault *refused, struct fault *f);
/* Replaces the files by the table as it stands, without certificates that ended before `not_after`. Durable.
 * After a failure of this or of an append nothing can be appended until this has succeeded: what is missing
 * must not be followed by what came later. */
MUST_USE outcome table_journal_replace(struct table_journal *j, const struct table *table,
				       const struct table_position *position, int64_t not_after,
				       struct fault *f);
/* Appends what moved the table to `position`. Durable. */
MUST_USE outcome table_journal_append(struct table_journal *j, const struct table_position *position,
				      struct bytes records, size_t count, struct fault *f);
/* Bytes of an unfinished last entry that table_journal_load has cut off. */
size_t table_journal_cut_off(const struct table_journal *j);
/* Nothing can be appended, or the journal has outgrown its snapshot. */
bool table_journal_wants_replacing(const struct table_journal *j);

#endif
