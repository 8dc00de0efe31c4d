#include "sessions.h"

#include "common/clock.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct entry {
	struct session session;
	int64_t expires_ms;	     /* monotonic */
	struct entry *chain;	     /* of the same bucket */
	struct entry *older, *newer; /* in its list */
};

/* In order of age, which is the order of expiry. */
struct list {
	struct entry *oldest, *newest;
};

struct sessions {
	pthread_mutex_t lock;
	int64_t ttl_s;
	size_t max, count, bucket_count;
	struct list waiting, complete;
	struct entry **buckets;
};

outcome sessions_new(int64_t ttl_s, size_t max, struct sessions **out, struct fault *f)
{
	struct sessions *s = calloc(1, sizeof *s);
	*out = s;
	if (s)
		s->buckets = calloc(max, sizeof *s->buckets);
	if (!s || !s->buckets) {
		free(s);
		*out = NULL;
		return refuse(f, REASON_NO_MEMORY, "no memory for sessions");
	}
	pthread_mutex_init(&s->lock, NULL);
	s->ttl_s = ttl_s;
	s->max = s->bucket_count = max;
	return DONE;
}

static void list_append(struct list *l, struct entry *e)
{
	e->newer = NULL;
	e->older = l->newest;
	if (l->newest)
		l->newest->newer = e;
	else
		l->oldest = e;
	l->newest = e;
}

static void list_remove(struct list *l, struct entry *e)
{
	if (e->older)
		e->older->newer = e->newer;
	else
		l->oldest = e->newer;
	if (e->newer)
		e->newer->older = e->older;
	else
		l->newest = e->older;
}

static struct list *list_of(struct sessions *s, const struct entry *e)
{
	return e->session.complete ? &s->complete : &s->waiting;
}

/* Ids are random, made here: their digits spread by themselves. */
static struct entry **bucket_of(struct sessions *s, const char *id)
{
	size_t h = 5381;
	for (; *id; id++)
		h = h * 33 + (unsigned char)*id;
	return &s->buckets[h % s->bucket_count];
}

static struct entry **link_of(struct sessions *s, const char *id)
{
	struct entry **e = bucket_of(s, id);
	while (*e && strcmp((*e)->session.id, id))
		e = &(*e)->chain;
	return e;
}

void session_clear(struct session *copy)
{
	buf_free(&copy->evidence);
	free(copy->result);
	copy->result = NULL;
}

static void drop(struct sessions *s, struct entry *e)
{
	*link_of(s, e->session.id) = e->chain;
	list_remove(list_of(s, e), e);
	session_clear(&e->session);
	free(e);
	s->count--;
}

static void drop_expired(struct sessions *s)
{
	int64_t now = clock_monotonic_ms();
	while (s->waiting.oldest && s->waiting.oldest->expires_ms <= now)
		drop(s, s->waiting.oldest);
	while (s->complete.oldest && s->complete.oldest->expires_ms <= now)
		drop(s, s->complete.oldest);
}

/* Complete sessions are listed by when they were completed: one that expires first may stand behind others. */
static struct entry *find(struct sessions *s, const char *id)
{
	drop_expired(s);
	struct entry *e = *link_of(s, id);
	if (e && e->expires_ms <= clock_monotonic_ms()) {
		drop(s, e);
		e = NULL;
	}
	return e;
}

static void make_id(char out[SESSION_ID_SIZE])
{
	uint8_t r[16];
	char hex[HEX_SIZE(sizeof r)];
	crypto_random(r, sizeof r);
	r[6] = (uint8_t)((r[6] & 0x0f) | 0x40);
	r[8] = (uint8_t)((r[8] & 0x3f) | 0x80);
	hex_encode(bytes_of(r, sizeof r), hex);
	snprintf(out, SESSION_ID_SIZE, "%.8s-%.4s-%.4s-%.4s-%.12s", hex, hex + 8, hex + 12, hex + 16,
		 hex + 20);
}

static bool make_room(struct sessions *s)
{
	drop_expired(s);
	if (s->count == s->max && s->complete.oldest)
		drop(s, s->complete.oldest);
	return s->count < s->max;
}

static void insert(struct sessions *s, struct entry *e)
{
	struct entry **bucket = bucket_of(s, e->session.id);
	e->chain = *bucket;
	*bucket = e;
	list_append(&s->waiting, e);
	s->count++;
}

outcome sessions_begin(struct sessions *s, const uint8_t *nonce, struct session *out, struct fault *f)
{
	struct entry *e = calloc(1, sizeof *e);
	*out = (struct session){0};
	if (!e)
		return refuse(f, REASON_OVERLOADED, "no memory for a session");
	make_id(e->session.id);
	if (nonce)
		memcpy(e->session.nonce, nonce, BINDING_SIZE);
	else
		crypto_random(e->session.nonce, BINDING_SIZE);
	e->session.expires = clock_wall_s() + s->ttl_s;
	e->expires_ms = clock_monotonic_ms() + s->ttl_s * 1000;
	pthread_mutex_lock(&s->lock);
	bool room = make_room(s);
	if (room) {
		insert(s, e);
		*out = e->session;
	}
	pthread_mutex_unlock(&s->lock);
	if (!room)
		free(e);
	return room ? DONE : refuse(f, REASON_OVERLOADED, "%zu sessions wait for evidence", s->max);
}

static outcome not_found(struct fault *f)
{
	return refuse(f, REASON_NOT_FOUND, "there is no such session, or it has expired");
}

/* Copies what the entry owns; false without memory. */
static bool copy_session(const struct session *from, struct session *to)
{
	*to = *from;
	to->evidence = (struct buf){0};
	buf_bytes(&to->evidence, buf_view(&from->evidence));
	to->result = from->result ? strdup(from->result) : NULL;
	return !to->evidence.failed && !from->result == !to->result;
}

outcome sessions_find(struct sessions *s, const char *id, struct session *out, struct fault *f)
{
	*out = (struct session){0};
	pthread_mutex_lock(&s->lock);
	struct entry *e = find(s, id);
	bool copied = e && copy_session(&e->session, out);
	pthread_mutex_unlock(&s->lock);
	if (copied)
		return DONE;
	session_clear(out);
	return e ? refuse(f, REASON_OVERLOADED, "no memory for a session") : not_found(f);
}

outcome sessions_complete(struct sessions *s, const char *id, enum evidence_type type, struct bytes evidence,
			  const char *result, struct fault *f)
{
	struct session done = {.complete = true, .type = type, .result = strdup(result)};
	buf_bytes(&done.evidence, evidence);
	if (!done.result || done.evidence.failed) {
		session_clear(&done);
		return refuse(f, REASON_OVERLOADED, "no memory for a session");
	}
	pthread_mutex_lock(&s->lock);
	struct entry *e = find(s, id);
	if (e && !e->session.complete) {
		list_remove(&s->waiting, e);
		memcpy(done.id, e->session.id, sizeof done.id);
		memcpy(done.nonce, e->session.nonce, sizeof done.nonce);
		done.expires = e->session.expires;
		e->session = done;
		list_append(&s->complete, e);
		done = (struct session){0};
	}
	pthread_mutex_unlock(&s->lock);
	session_clear(&done);
	return e ? DONE : not_found(f);
}

outcome sessions_end(struct sessions *s, const char *id, struct fault *f)
{
	pthread_mutex_lock(&s->lock);
	struct entry *e = find(s, id);
	if (e)
		drop(s, e);
	pthread_mutex_unlock(&s->lock);
	return e ? DONE : not_found(f);
}

size_t sessions_count(struct sessions *s)
{
	pthread_mutex_lock(&s->lock);
	drop_expired(s);
	size_t count = s->count;
	pthread_mutex_unlock(&s->lock);
	return count;
}

void sessions_free(struct sessions *s)
{
	if (!s)
		return;
	while (s->waiting.oldest)
		drop(s, s->waiting.oldest);
	while (s->complete.oldest)
		drop(s, s->complete.oldest);
	pthread_mutex_destroy(&s->lock);
	free(s->buckets);
	free(s);
}
