/* The SCGI head: what scgi_measure and scgi_split say must agree, and a split request must be what was sent. */
#include "common/scgi/scgi.h"
#include "common/scgi/scgi_parse.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_split(struct bytes in, size_t length)
{
	static struct scgi_head head;
	struct fault f;
	char decoded[512];
	size_t n;
	if (!scgi_split(in, &head, &f).ok)
		return;
	if (length != in.n || head.body.p + head.body.n != in.p + in.n)
		abort();
	if ((size_t)atoi(scgi_find(&head, "CONTENT_LENGTH")) != head.body.n)
		abort();
	for (size_t i = 0; i < head.count; i++)
		if (scgi_percent_decode(bytes_str(head.params[i].value), i & 1, decoded, sizeof decoded,
					&n) &&
		    strlen(decoded) != n)
			abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct bytes in = bytes_of(data, size);
	struct fault f;
	size_t length, earlier;
	if (!scgi_measure(in, &length, &f).ok)
		return 0;
	if (length && length < size)
		abort();
	/* A prefix never announces another length than the whole. */
	for (size_t n = 0; n < size && n < 64; n++)
		if (!scgi_measure(bytes_of(data, n), &earlier, &f).ok || (earlier && earlier != length))
			abort();
	check_split(in, length);
	return 0;
}
