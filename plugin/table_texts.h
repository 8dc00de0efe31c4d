/*
 * table_texts.h - the texts of a table's entry: a name and, behind it, what is known of the thing (table_thing reads it).
 *
 *   NAME NUL, and for TABLE_HAS_THING: number of attributes (a byte), TYPE NUL, NAME NUL VALUE NUL ...
 *
 * They say themselves where they end.
 */
#ifndef MOORING_PLUGIN_TABLE_TEXTS_H
#define MOORING_PLUGIN_TABLE_TEXTS_H

#include "plugin/table.h"

/* Of a certificate's record. */
size_t table_texts_size(const struct feed_record *record);
void table_texts_put(char *to, const struct feed_record *record);

#endif
