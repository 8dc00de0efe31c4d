/*
 * withdrawals_json.h - the attestation service's list of withdrawals, read strictly.
 */
#ifndef MOORING_WITHDRAWALS_JSON_H
#define MOORING_WITHDRAWALS_JSON_H

#include "common/crypto/jws.h"
#include "gateway/store/store.h"

enum { WITHDRAWALS_MAX = 2048, WITHDRAWAL_REASON_SIZE = 128 };

struct withdrawal_list {
	struct store_withdrawal *entries; /* reasons point into `reasons` */
	char (*reasons)[WITHDRAWAL_REASON_SIZE];
	size_t count;
	int64_t last;
};

/* {"entries": [JWS...], "last": SEQ}: each entry's payload {"seq", "time", "instance_id", "state", "reason", "mark",
 * "superseded"}, the numbers one after the other from `after` + 1, the last of them `last`. VERIFIER_ANSWER, EAR_SIGNATURE. */
MUST_USE outcome withdrawal_list_parse(struct bytes json, int64_t after, EVP_PKEY *const *keys,
				       size_t key_count, struct withdrawal_list *out, struct fault *f);
void withdrawal_list_free(struct withdrawal_list *l);

#endif
