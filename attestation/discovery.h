/*
 * discovery.h - GET /.well-known/veraison/verification: what this verifier takes, and with which keys it
 * signs.
 */
#ifndef MOORING_DISCOVERY_H
#define MOORING_DISCOVERY_H

#include "keys.h"

#define DISCOVERY_MEDIA_TYPE "application/vnd.veraison.discovery+json"

/* The document's text; NULL without memory. Caller frees. "ear-verification-key-next" is there while a
 * rotation is announced: relying parties pin both before the service is restarted with the new one. */
char *discovery_document(const struct keys *k);

#endif
