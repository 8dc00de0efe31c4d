/*
 * load.h - what provenance takes out of the store at start.
 */
#ifndef MOORING_PROVENANCE_LOAD_H
#define MOORING_PROVENANCE_LOAD_H

#include "book.h"
#include "classes.h"

/* The store's numbers for the programmes of the classes, and all lines and orders into the book, which nobody else sees
 * yet. Waits for the store. */
MUST_USE outcome load_from_store(struct store *s, struct provenance_classes *classes, struct book *book,
				 struct fault *f);

#endif
