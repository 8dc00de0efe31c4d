#include "register_walk.h"

#include <string.h>

bool register_item_read(struct bytes in, struct register_item *out, size_t *size)
{
	if (in.n < REGISTER_PREFIX)
		return false;
	size_t n = bytes_be32(in.p);
	*size = REGISTER_PREFIX + n + SHA256_SIZE;
	if (n == 0 || n > PROVENANCE_OBJECT_MAX || in.n < *size)
		return false;
	out->time = (int64_t)bytes_be64(in.p + 4);
	out->object = bytes_of(in.p + REGISTER_PREFIX, n);
	out->head = in.p + REGISTER_PREFIX + n;
	return out->time >= 0;
}

outcome register_walk(struct bytes in, const uint8_t programme[PROGRAMME_ID_SIZE], register_each *each,
		      void *arg, size_t *whole, struct fault *f)
{
	struct register_item item = {0};
	uint8_t head[SHA256_SIZE], next[SHA256_SIZE];
	int64_t last = 0;
	size_t size;
	outcome r = DONE;
	register_start(programme, head);
	*whole = 0;
	while (r.ok && *whole < in.n &&
	       register_item_read(bytes_of(in.p + *whole, in.n - *whole), &item, &size)) {
		struct register_entry e = {.index = item.index + 1, .time = item.time};
		sha256(item.object, e.object);
		register_next(head, &e, next);
		if (item.time < last || memcmp(next, item.head, sizeof next) != 0)
			break;
		item.index++;
		r = each(arg, &item, *whole, f);
		memcpy(head, next, sizeof head);
		last = item.time;
		*whole += r.ok ? size : 0;
	}
	return r;
}

void register_item_write(struct buf *out, int64_t index, int64_t time, struct bytes object,
			 uint8_t head[SHA256_SIZE])
{
	struct register_entry e = {.index = index, .time = time};
	sha256(object, e.object);
	uint8_t next[SHA256_SIZE];
	register_next(head, &e, next);
	memcpy(head, next, sizeof next);
	buf_be32(out, (uint32_t)object.n);
	buf_be64(out, (uint64_t)time);
	buf_bytes(out, object);
	buf_add(out, head, SHA256_SIZE);
}
