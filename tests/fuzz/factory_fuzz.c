/*
 * What the factory's tools read that somebody else, or a failing disk, has written: a line's counter, a line's request,
 * a sequence of objects (an outbox), the register's log. The first byte chooses. What is understood has one form, or is
 * whole pieces from the beginning on.
 *
 * links: factory/counter.c factory/line_request.c factory/objects.c factory/register_walk.c
 */
#include "factory/counter.h"
#include "factory/line_request.h"
#include "factory/objects.h"
#include "factory/register_walk.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static const uint8_t programme[PROGRAMME_ID_SIZE] = {1};

static void check(bool right)
{
	if (!right)
		abort();
}

static void read_counter(struct bytes in)
{
	struct counter c;
	struct fault f;
	if (counter_parse(in, &c, &f).ok)
		check(provenance_batch_valid(c.batch) && c.stage >= 1 && c.stage <= STAGE_NUMBER_MAX &&
		      c.used >= 1 && c.used <= c.quota);
}

static void read_request(struct bytes in)
{
	struct line_request r;
	struct fault f;
	if (in.n <= LINE_REQUEST_MAX && line_request_read(in, "it", &r, &f).ok)
		check(provenance_point_on_curve(r.key));
}

static void read_objects(struct bytes in)
{
	struct bytes rest = in, object;
	while (objects_next(&rest, &object))
		check(object.n > 0 && object.p + object.n == rest.p && rest.p + rest.n == in.p + in.n);
}

struct seen {
	int64_t index;
	size_t end;
};

static outcome see(void *arg, const struct register_item *item, size_t offset, struct fault *f)
{
	struct seen *s = arg;
	(void)f;
	check(item->index == s->index + 1 && offset == s->end && item->object.n > 0);
	s->index = item->index;
	s->end = offset + REGISTER_PREFIX + item->object.n + SHA256_SIZE;
	return DONE;
}

static void read_log(struct bytes in)
{
	struct seen s = {0};
	size_t whole;
	struct fault f;
	check(register_walk(in, programme, see, &s, &whole, &f).ok && whole == s.end && whole <= in.n);
}

/* The same bytes as objects, with a right chain around them, and torn at the end. */
static void read_chained_log(struct bytes in)
{
	struct buf log = {0};
	uint8_t head[SHA256_SIZE];
	struct seen s = {0};
	size_t whole, entries = 0;
	struct fault f;
	register_start(programme, head);
	while (in.n > 1) {
		size_t take = 1 + in.p[0] % (in.n - 1);
		register_item_write(&log, (int64_t)entries + 1, (int64_t)entries, bytes_of(in.p + 1, take),
				    head);
		in = bytes_of(in.p + 1 + take, in.n - 1 - take);
		entries++;
	}
	size_t torn = in.n ? in.p[0] % (log.n + 1) : 0;
	check(register_walk(bytes_of(log.p, log.n - torn), programme, see, &s, &whole, &f).ok);
	check(torn || (size_t)s.index == entries);
	buf_free(&log);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	static void (*const readers[])(struct bytes in) = {read_counter, read_request, read_objects, read_log,
							   read_chained_log};
	if (n)
		readers[data[0] % 5](bytes_of(data + 1, n - 1));
	return 0;
}
