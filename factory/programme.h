/*
 * programme.h - the OEM's programme folder: the two keys that stay offline, and the public file.
 */
#ifndef MOORING_FACTORY_PROGRAMME_H
#define MOORING_FACTORY_PROGRAMME_H

#include "factory.h"
#include "objects.h"

#define PROGRAMME_KEY_FILE "programme.key"
#define LINE_AUTHORITY_KEY_FILE "line-authority.key"

/* The public file of --programme, which names the folder, and one of its keys; REASON_CONFIG where the key is not
 * the one that the public file names. Caller EVP_PKEY_free. */
MUST_USE outcome programme_open(const struct arguments *a, const char *key_file, struct programme *out,
				EVP_PKEY **key, struct fault *f);

#endif
