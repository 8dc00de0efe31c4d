#include "counter.h"

#include "common/file.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static void write_text(char out[COUNTER_FILE_MAX], const struct counter *c)
{
	uint8_t hash[SHA256_SIZE];
	char order[HEX_SIZE(SHA256_SIZE)], check[HEX_SIZE(4)];
	hex_encode(bytes_of(c->order, sizeof c->order), order);
	int n = snprintf(out, COUNTER_FILE_MAX, "mooring-counter/1 %s %lld %s %lld %lld ", c->batch,
			 (long long)c->stage, order, (long long)c->quota, (long long)c->used);
	sha256(bytes_of(out, (size_t)n), hash);
	hex_encode(bytes_of(hash, 4), check);
	snprintf(out + n, COUNTER_FILE_MAX - (size_t)n, "%s\n", check);
}

static bool take_apart(const char *text, struct counter *out)
{
	char order[HEX_SIZE(SHA256_SIZE)];
	long long stage, quota, used;
	size_t n;
	*out = (struct counter){0};
	_Static_assert(BATCH_SIZE == 17 && SHA256_SIZE == 32, "the widths in the format");
	if (sscanf(text, "mooring-counter/1 %16[A-Za-z0-9._-] %3lld %64[0-9a-f] %10lld %10lld ", out->batch,
		   &stage, order, &quota, &used) != 5 ||
	    !hex_decode(order, strlen(order), out->order, sizeof out->order, &n) || n != sizeof out->order)
		return false;
	out->stage = stage;
	out->quota = quota;
	out->used = used;
	return stage >= 1 && stage <= STAGE_NUMBER_MAX && quota >= 1 && quota <= UINT32_MAX && used >= 1 &&
	       used <= quota;
}

/* There is one form: what is read is written again and must be the same. */
outcome counter_parse(struct bytes in, struct counter *out, struct fault *f)
{
	char text[COUNTER_FILE_MAX], again[COUNTER_FILE_MAX];
	if (!in.n || in.n >= sizeof text || memchr(in.p, 0, in.n))
		return refuse(f, REASON_BAD_FIELD, "it is no counter of a line");
	memcpy(text, in.p, in.n);
	text[in.n] = '\0';
	if (!take_apart(text, out))
		return refuse(f, REASON_BAD_FIELD, "it is no counter of a line");
	write_text(again, out);
	return strcmp(text, again) ? refuse(f, REASON_BAD_FIELD, "it is damaged: the check does not match")
				   : DONE;
}

/* The numbers of two orders would be one another's, and the register knows one order only. */
static outcome check_order(const struct counter *c, const struct counter *there, struct fault *f)
{
	char hex[HEX_SIZE(SHA256_SIZE)];
	if (!memcmp(c->order, there->order, sizeof c->order))
		return DONE;
	hex_encode(bytes_of(there->order, sizeof there->order), hex);
	return refuse(
		f, REASON_CONFLICT,
		"this line has begun stage %lld of batch %s under another order (%.8s, for %lld): go on "
		"with that one; a further quantity is a further batch",
		(long long)c->stage, c->batch, hex, (long long)there->quota);
}

static outcome read_file(struct counter *c, struct fault *f)
{
	struct buf text = {0};
	struct counter there;
	struct fault own;
	outcome r = file_read(c->path, COUNTER_FILE_MAX, &text, f);
	if (!r.ok)
		return r;
	r = counter_parse(buf_view(&text), &there, &own);
	buf_free(&text);
	if (r.ok && (strcmp(there.batch, c->batch) != 0 || there.stage != c->stage))
		r = refuse(&own, REASON_BAD_FIELD, "it is of batch %s, stage %lld", there.batch,
			   (long long)there.stage);
	if (!r.ok)
		return refuse(f, own.reason, "%.200s: %s", c->path, own.text);
	c->used = there.used;
	return check_order(c, &there, f);
}

outcome counter_open(const char *folder, const struct work_order *order, int64_t least, struct counter *out,
		     struct fault *f)
{
	*out = (struct counter){.stage = order->stage, .quota = order->quota, .used = least};
	memcpy(out->batch, order->batch, sizeof out->batch);
	memcpy(out->order, order->object.sha256, sizeof out->order);
	if ((size_t)snprintf(out->path, sizeof out->path, "%s/%s.%lld", folder, order->batch,
			     (long long)order->stage) >= sizeof out->path)
		return file_fault(f, ENAMETOOLONG, "open", folder);
	if (access(out->path, F_OK))
		return errno == ENOENT ? DONE : file_fault(f, errno, "open", out->path);
	outcome r = read_file(out, f);
	if (r.ok && out->used < least)
		r = refuse(f, REASON_CONFLICT,
			   "%.120s counts %lld, but number %lld is signed in the outbox: an old copy was put "
			   "back; a line that was restored begins again with another key",
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
	struct counter next = *c;
	outcome r = counter_has_room(c, f);
	if (!r.ok)
		return r;
	next.used++;
	write_text(text, &next);
	r = file_replace(c->path, bytes_str(text), 0644, f);
	if (r.ok)
		*seq = c->used = next.used;
	return r;
}
