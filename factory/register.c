#include "register.h"

#include "common/clock.h"

#include <stdio.h>

static void say_repair(const struct register_log *l)
{
	if (l->torn)
		fprintf(stderr,
			"mooring-factory: %zu bytes at the end of register.log, which were never answered "
			"for, are cut "
			"off after entry %zu\n",
			l->torn, l->count);
}

static void set_time(struct factory_register *r)
{
	r->now = clock_wall_s();
	if (r->now >= r->log.last_time)
		return;
	fprintf(stderr,
		"mooring-factory: the clock is %lld s behind the last entry: that entry's time is used, for "
		"times never "
		"fall\n",
		(long long)(r->log.last_time - r->now));
	r->now = r->log.last_time;
}

outcome register_begin(struct factory_register *r, const struct arguments *a, bool append, struct fault *f)
{
	const char *folder;
	*r = (struct factory_register){.log.fd = -1};
	outcome o = factory_need(a, "dir", &folder, f);
	if (o.ok)
		o = register_log_open(folder, append, &r->log, f);
	if (o.ok)
		o = register_index_make(&r->log, &r->index, f);
	if (o.ok && append) {
		say_repair(&r->log);
		set_time(r);
	}
	return o;
}

void register_end(struct factory_register *r)
{
	register_index_free(&r->index);
	register_log_close(&r->log);
}
