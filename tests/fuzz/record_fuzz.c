/*
 * A device record from outside: what is taken says the same again when it is written and read once more.
 * links: attestation/record.c
 */
#include "attestation/record.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct record r, again;
	struct fault f;
	if (!record_parse(bytes_of(data, size), false, &r, &f).ok)
		return 0;
	json_t *o = record_json(&r);
	json_object_del(o, "state");
	json_object_del(o, "created");
	char *text = json_dumps(o, JSON_COMPACT);
	json_decref(o);
	if (!text || !record_parse(bytes_str(text), false, &again, &f).ok || !record_same(&r, &again))
		abort();
	free(text);
	return 0;
}
