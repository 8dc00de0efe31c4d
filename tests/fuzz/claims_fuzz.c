/* Evidence as `mooringctl evidence check` reads it for printing: the reading stops where the bytes stop
 * making sense. */
// links: cli/claims.c cli/text.c
#include "cli/claims.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	json_decref(claims_read(bytes_of(data, size)));
	return 0;
}
