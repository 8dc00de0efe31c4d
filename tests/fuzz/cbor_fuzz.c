/* Any bytes: an item that is skipped is skipped within the input, and measured to the same length. */
#include "common/cbor/cbor.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static outcome walk(void *arg, struct cbor_label label, struct cbor_reader *value, struct fault *f)
{
	struct cbor_item item;
	struct cbor_reader again = *value;
	int64_t number;
	(void)arg, (void)label;
	if (cbor_next(&again, &item, f).ok && item.type == CBOR_MAP)
		return cbor_map(value, walk, NULL, f);
	again = *value;
	if (cbor_int(&again, &number, f).ok) {
		*value = again;
		return DONE;
	}
	return cbor_skip(value, NULL, f);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct bytes in = bytes_of(data, size), whole;
	struct cbor_reader r = cbor_reader(in), m = cbor_reader(in);
	struct fault f;
	bool skipped = cbor_skip(&r, &whole, &f).ok;
	if (skipped && (whole.n == 0 || whole.n > size || whole.p != data || r.p != data + whole.n))
		abort();
	if (cbor_map(&m, walk, NULL, &f).ok && (!skipped || m.p != r.p))
		abort();
	return 0;
}
