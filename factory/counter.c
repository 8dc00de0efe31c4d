#include "counter.h"

#include "common/file.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static void write_text(char out[COUNTER_FILE_MAX], const char *batch, int64_t stage, int64_t used)
{
	uint8_t hash[SHA256_SIZE];
	char check[HEX_SIZE(4)];
	int n = snprintf(out, COUNTER_FILE_MAX, "mooring-counter/1 %s %lld %lld ", batch, (long long)stage,
			 (long long)used);
	sha256(bytes_of(out, (size_t)n), hash);
	hex_encode(bytes_of(hash, 4), check);
	snprintf(out + n, COUNTER_FILE_MAX - (size_t)n, "%s\n", check);
}

/* There is one form: what is read is written again and must be the same. */
outcome counter_parse(struct bytes in, char batch[BATCH_SIZE], int64_t *stage, int64_t *used, struct fault *f)
{
	char text[COUNTER_FILE_MAX], again[COUNTER_FILE_MAX];
	long long s, u;
	if (!in.n || in.n >= sizeof text || memchr(in.p, 0, in.n))
		return refuse(f, REASON_BAD_FIELD, "it is no counter of a line");
	memcpy(text, in.p, in.n);
	text[in.n] = '\0';
	_Static_assert(BATCH_SIZE == 17, "the width in the format");
	if (sscanf(text, "mooring-counter/1 %16[A-Za-z0-9._-] %3lld %10lld ", batch, &s, &u) != 3 || s < 1 ||
	    s > STAGE_NUMBER_MAX || u < 1 || u > UINT32_MAX)
		return refuse(f, REASON_BAD_FIELD, "it is no counter of a line");
	write_text(again, batch, s, u);
	if (strcmp(text, again) != 0)
		return refuse(f, REASON_BAD_FIELD, "it is damaged: the check does not match");
	*stage = s;
	*used = u;
	return DONE;
}

static outcome read_file(struct counter *c, struct fault *f)
{
	struct buf text = {0};
	struct fault own;
	char batch[BATCH_SIZE];
	int64_t stage;
	outcome r = file_read(c->path, COUNTER_FILE_MAX, &text, f);
	if (!r.ok)
		return r;
	r = counter_parse(buf_view(&text), batch, &stage, &c->used, &own);
	buf_free(&text);
	if (r.ok && (strcmp(batch, c->batch) != 0 || stage != c->stage))
		r = refuse(&own, REASON_BAD_FIELD, "it is of batch %s, stage %lld", batch, (long long)stage);
	return r.ok ? DONE : refuse(f, own.reason, "%.200s: %s", c->path, own.text);
}

outcome counter_open(const char *folder, const struct work_order *order, int64_t least, struct counter *out,
		     struct fault *f)
{
	*out = (struct counter){.stage = order->stage, .quota = order->quota, .used = least};
	memcpy(out->batch, order->batch, sizeof out->batch);
	if ((size_t)snprintf(out->path, sizeof out->path, "%s/%s.%lld", folder, order->batch,
			     (long long)order->stage) >= sizeof out->path)
		return file_fault(f, ENAMETOOLONG, "open", folder);
	if (access(out->path, F_OK))
		return errno == ENOENT ? DONE : file_fault(f, errno, "open", out->path);
	outcome r = read_file(out, f);
	if (r.ok && out->used < least)
		r = refuse(f, REASON_CONFLICT,
			   "%.120s counts %lld, but number %lld is signed in the outbox: an old copy was put "
			   "back; a "
			   "line that was restored begins again with another key",
			   out->path, (long long)out->used, (long long)least);
	return r;
}

outcome counter_has_room(const struct counter *c, struct fault *f)
{
	if (c->used < c->quota)
		return DONE;
	return refuse(f, REASON_ORDER_QUOTA,
		      "the order for stage %lld of batch %s is used up: %lld of %lld; ask the OEM for "
		      "another order, "
		      "for a further batch",
		      (long long)c->stage, c->batch, (long long)c->used, (long long)c->quota);
}

outcome counter_take(struct counter *c, int64_t *seq, struct fault *f)
{
	char text[COUNTER_FILE_MAX];
	outcome r = counter_has_room(c, f);
	if (!r.ok)
		return r;
	write_text(text, c->batch, c->stage, c->used + 1);
	r = file_replace(c->path, bytes_str(text), 0644, f);
	if (r.ok)
		*seq = ++c->used;
	return r;
}
