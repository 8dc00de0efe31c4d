/*
 * journal.h - the signer's memory: every certificate ever signed, durable before it is handed out.
 *
 * One append-only file of frames:
 *
 *   length (4 bytes, big-endian) || length XOR first 4 bytes of the chain so far || CBOR record || chain
 *   chain = SHA-256(chain so far || length || CBOR record); before the first frame it is 32 zero bytes
 *
 * A frame that the end of the file cuts short was never synced, hence never answered: it is cut off when the
 * journal is opened. Anything else that does not verify refuses to open: it was answered once, and must come
 * back from a copy. The second word tells a frame cut short from a damaged length.
 *
 * Append, then commit: nothing is in the file before the commit. After a commit that the disk had no room for
 * nothing of it is in the file, and the next one may succeed. After one that could not be synced nobody knows
 * what is: kernels drop pages that they failed to write and call the next sync a success, so the journal is
 * lost to this process, and only one that reads it anew can go on.
 */
#ifndef MOORING_CA_JOURNAL_H
#define MOORING_CA_JOURNAL_H

#include "common/crypto/cert.h"
#include "common/signer_protocol.h"

struct journal;

enum journal_kind { JOURNAL_CERTIFICATE = 1, JOURNAL_VOID };

struct journal_record {
	enum journal_kind kind;
	int64_t time; /* Unix seconds */
	uint8_t intent[INTENT_ID_SIZE];
	/* JOURNAL_CERTIFICATE only */
	uint8_t serial[SERIAL_SIZE];
	bool attested;		       /* an attestation result was spent on it */
	uint8_t binding[BINDING_SIZE]; /* B of that; zero where not attested */
	uint8_t tbs_sha256[SHA256_SIZE];
	uint8_t request_sha256[SHA256_SIZE]; /* of the whole request: tells an exact repetition */
	struct bytes certificate;	     /* DER; a view */
};

/* Called once a record, in the order of the file, while it is opened. A refusal ends the opening. */
typedef outcome journal_visit(void *arg, const struct journal_record *record, uint64_t offset,
			      struct fault *f);

/* Creates the file where there is none, locks it against a second signer, verifies all of it. REASON_JOURNAL
 * names file, offset and remedy; REASON_IO, REASON_DISK_FULL. */
MUST_USE outcome journal_open(const char *path, journal_visit *visit, void *arg, struct journal **out,
			      struct fault *f);
void journal_close(struct journal *j);

/* Where the next appended record will be. */
uint64_t journal_end(const struct journal *j);
/* Adds a record to the next commit. */
MUST_USE outcome journal_append(struct journal *j, const struct journal_record *record, struct fault *f);
/* Writes and syncs what was appended: one fdatasync. REASON_DISK_FULL: none of it is in the journal.
 * REASON_JOURNAL_IO: the journal is lost, and so is every later commit. */
MUST_USE outcome journal_commit(struct journal *j, struct fault *f);
bool journal_is_lost(const struct journal *j);
/* Not committed yet? */
bool journal_is_pending(const struct journal *j, uint64_t offset);
/* The record at this offset, also one that is not committed. Its views point into `raw`, which the caller
 * frees. REASON_JOURNAL_IO, REASON_JOURNAL. */
MUST_USE outcome journal_read(struct journal *j, uint64_t offset, struct buf *raw, struct journal_record *out,
			      struct fault *f);

struct journal_facts {
	uint64_t bytes;	  /* committed */
	uint64_t records; /* committed, without the first frame */
	uint64_t cut;	  /* bytes of a torn last frame that opening cut off */
	bool created;
};
struct journal_facts journal_facts(const struct journal *j);

#endif
