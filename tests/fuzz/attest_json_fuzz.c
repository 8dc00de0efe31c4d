/*
 * Any bytes as an answer of the attestation service: a session, the discovery document, the list of
 * withdrawals (whose entries no fuzzer can sign: none may get through).
 */
// links: gateway/attest/attest_json.c gateway/withdrawals_json.c
#include "gateway/attest/attest_json.h"
#include "gateway/withdrawals_json.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void parse_session(struct bytes json)
{
	static const uint8_t nonce[BINDING_SIZE];
	struct session s;
	struct fault f = {0};
	bool ok = session_parse(json, nonce, &s, &f).ok;
	if (!ok && (s.result || f.reason == REASON_NONE))
		abort();
	if (ok && (s.status == SESSION_COMPLETE) != (s.result != NULL))
		abort();
	free(s.result);
}

static void parse_discovery(struct bytes json)
{
	struct discovery d;
	struct fault f = {0};
	if (!discovery_parse(json, &d, &f).ok && f.reason != REASON_VERIFIER_ANSWER)
		abort();
}

static void parse_withdrawals(struct bytes json)
{
	static EVP_PKEY *key;
	struct withdrawal_list l;
	struct fault f = {0};
	if (!key)
		key = p256_key_generate();
	bool ok = withdrawal_list_parse(json, 5, &key, 1, &l, &f).ok;
	if (ok && (l.count || l.last < 5))
		abort();
	if (!ok && (l.entries || f.reason == REASON_NONE))
		abort();
	withdrawal_list_free(&l);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct bytes json = bytes_of(data, size);
	parse_session(json);
	parse_discovery(json);
	parse_withdrawals(json);
	return 0;
}
