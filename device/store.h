/*
 * store.h - what the normal world remembers, in DIR/normal: certificate.pem, state.json, and chain.cbor, the
 * provenance chain that the lines have written (common/provenance/chain.h).
 *
 * Each file is replaced as a whole: after a power cut it is the old one or the new one. The certificate
 * names its key by its public key; the state names the key that was certified last. A renewal stores the
 * certificate before the state, so that a cut between the two is seen: the certificate is of the next key.
 */
#ifndef MOORING_DEVICE_STORE_H
#define MOORING_DEVICE_STORE_H

#include "common/bytes.h"

struct store {
	char folder[3072];
};

struct device_state {
	uint32_t key;	      /* id of the key in use; the next renewal's is one more */
	int64_t clock;	      /* a time that it certainly was, Unix seconds; 0 = none */
	int64_t certified_at; /* when the certificate came, Unix seconds; 0 = unknown */
	bool reenrolling;     /* the next key is there, and the gateway is being asked for its certificate */
};

/* Makes DIR/normal where it is missing (its owner is DIR's). To be called before the world is confined. */
MUST_USE outcome store_create(const char *device_folder, struct store *out, struct fault *f);
/* Removes what a power cut left half written. */
MUST_USE outcome store_clean(const struct store *s, struct fault *f);

/* A device that has none yet starts with key 1. REASON_BAD_JSON, REASON_BAD_FIELD. */
MUST_USE outcome store_load_state(const struct store *s, struct device_state *out, struct fault *f);
MUST_USE outcome store_save_state(const struct store *s, const struct device_state *state, struct fault *f);
/* Leaf and chain; out->n = 0 where there is none. Caller frees. */
MUST_USE outcome store_load_certificate(const struct store *s, struct buf *out, struct fault *f);
MUST_USE outcome store_save_certificate(const struct store *s, struct bytes pem, struct fault *f);
/* As it is on disk; out->n = 0 where there is none. Caller frees. */
MUST_USE outcome store_load_chain(const struct store *s, struct buf *out, struct fault *f);
MUST_USE outcome store_save_chain(const struct store *s, struct bytes chain, struct fault *f);

#endif
