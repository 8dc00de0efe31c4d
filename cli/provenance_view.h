/*
 * provenance_view.h - what provenance objects say, field by field: as JSON, and from it for people.
 */
#ifndef MOORING_PROVENANCE_VIEW_H
#define MOORING_PROVENANCE_VIEW_H

#include "common/provenance/chain.h"
#include "common/provenance/line_record.h"
#include "common/provenance/work_order.h"

#include <jansson.h>

/* New references; a hash or a key is text in hex, a time is Unix seconds. Members that begin with "time", and those
 * that are moments of a validity, are shown to people as dates. */
json_t *provenance_view_chain(const struct chain *c);
json_t *provenance_view_line(const struct line_record *r);
json_t *provenance_view_order(const struct work_order *o);

/* An object of the above under a heading; one level of objects and lists of them below it. */
void provenance_view_print(const char *heading, const json_t *object);

#endif
