#include "discovery.h"

#include "common/evidence/evidence.h"
#include "common/version.h"

char *discovery_document(const struct keys *k)
{
	char *text = NULL;
	json_t *o =
		json_pack("{ss so s[ss] ss s{ss}}", "service-state", "READY", "ear-verification-key",
			  key_jwk(k->ear), "media-types", evidence_media_type(EVIDENCE_PSA_TOKEN),
			  evidence_media_type(EVIDENCE_COSE_CSR), "version", MOORING_VERSION, "api-endpoints",
			  "newChallengeResponseSession", "/challenge-response/v1/newSession");
	if (o &&
	    (!k->ear_next || json_object_set_new(o, "ear-verification-key-next", key_jwk(k->ear_next)) == 0))
		text = json_dumps(o, JSON_COMPACT);
	json_decref(o);
	return text;
}
