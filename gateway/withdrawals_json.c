#include "withdrawals_json.h"

#include "common/json_read.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static outcome refuse_entry(struct fault *f, size_t i, const char *what)
{
	return refuse(f, REASON_VERIFIER_ANSWER, "withdrawals: entry %zu: %s", i, what);
}

static bool instance_of(const json_t *payload, uint8_t out[INSTANCE_ID_SIZE])
{
	return json_read_hex(json_object_get(payload, "instance_id"), out, INSTANCE_ID_SIZE);
}

static outcome read_payload(const json_t *payload, size_t i, int64_t after, struct withdrawal_list *l,
			    struct fault *f)
{
	struct store_withdrawal *w = &l->entries[i];
	const json_t *seq = json_object_get(payload, "seq"), *time = json_object_get(payload, "time");
	const json_t *superseded = json_object_get(payload, "superseded");
	const char *state = json_string_value(json_object_get(payload, "state"));
	const char *reason = json_string_value(json_object_get(payload, "reason"));
	/* Without a gap: whoever stands between could leave one out, and nobody would ask for it again. */
	if (!json_is_integer(seq) || json_integer_value(seq) != after + 1)
		return refuse_entry(f, i, "its number does not follow the one before it");
	if (!state || (strcmp(state, "suspended") && strcmp(state, "active")))
		return refuse_entry(f, i, "its state is neither suspended nor active");
	if (!instance_of(payload, w->instance_id))
		return refuse_entry(f, i, "its instance_id is not 33 bytes in hexadecimal");
	if (!json_read_hex(json_object_get(payload, "mark"), w->mark, STORE_MARK_SIZE))
		return refuse_entry(f, i, "its mark is not 8 bytes in hexadecimal");
	if (!json_is_integer(time) || !json_is_boolean(superseded))
		return refuse_entry(f, i, "its time is no number, or superseded no truth value");
	snprintf(l->reasons[i], sizeof l->reasons[i], "%s", reason ? reason : "");
	w->seq = json_integer_value(seq);
	w->suspended = !strcmp(state, "suspended");
	w->time = json_integer_value(time);
	w->superseded = json_is_true(superseded);
	w->reason = l->reasons[i];
	return DONE;
}

static outcome read_entries(const json_t *entries, int64_t after, EVP_PKEY *const *keys, size_t key_count,
			    struct withdrawal_list *l, struct fault *f)
{
	for (size_t i = 0; i < json_array_size(entries); i++) {
		const json_t *text = json_array_get(entries, i);
		json_t *payload = NULL;
		if (!json_is_string(text))
			return refuse_entry(f, i, "is no text");
		struct bytes compact = bytes_of(json_string_value(text), json_string_length(text));
		outcome r = jws_verify(compact, keys, key_count, &payload, f);
		if (r.ok)
			r = read_payload(payload, i, after, l, f);
		json_decref(payload);
		if (!r.ok)
			return r;
		after = l->entries[i].seq;
		l->count++;
	}
	/* `last` is signed by nobody: it must not move what is asked for next beyond what was told. */
	if (l->count && l->last != after)
		return refuse(f, REASON_VERIFIER_ANSWER,
			      "withdrawals: `last` is not the last entry's number");
	return DONE;
}

outcome withdrawal_list_parse(struct bytes json, int64_t after, EVP_PKEY *const *keys, size_t key_count,
			      struct withdrawal_list *out, struct fault *f)
{
	struct fault why;
	json_t *top;
	*out = (struct withdrawal_list){0};
	outcome r = json_read_object(json, "withdrawals", &top, &why);
	if (!r.ok)
		return refuse(f, REASON_VERIFIER_ANSWER, "%s", why.text);
	const json_t *entries = json_object_get(top, "entries"), *last = json_object_get(top, "last");
	size_t count = json_array_size(entries);
	if (!json_is_array(entries) || !json_is_integer(last) || json_integer_value(last) < after ||
	    count > WITHDRAWALS_MAX) {
		r = refuse(f, REASON_VERIFIER_ANSWER,
			   "withdrawals: not {\"entries\": up to %d, \"last\": at least %lld}",
			   WITHDRAWALS_MAX, (long long)after);
		goto out;
	}
	out->last = json_integer_value(last);
	out->entries = calloc(count + 1, sizeof *out->entries);
	out->reasons = calloc(count + 1, sizeof *out->reasons);
	r = out->entries && out->reasons
		    ? read_entries(entries, after, keys, key_count, out, f)
		    : refuse(f, REASON_NO_MEMORY, "no memory for %zu withdrawals", count);
out:
	if (!r.ok)
		withdrawal_list_free(out);
	json_decref(top);
	return r;
}

void withdrawal_list_free(struct withdrawal_list *l)
{
	free(l->entries);
	free(l->reasons);
	*l = (struct withdrawal_list){0};
}
