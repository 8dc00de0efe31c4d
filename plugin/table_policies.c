#include "plugin/table_policies.h"

#include <stdlib.h>
#include <string.h>

static outcome no_memory(struct fault *f)
{
	return refuse(f, REASON_NO_MEMORY, "no memory for a policy");
}

static void slot_free(struct table_policy *slot)
{
	if (!slot)
		return;
	free((void *)(uintptr_t)slot->name.p);
	free((void *)(uintptr_t)slot->document.p);
	policy_free(atomic_load(&slot->policy));
	free(slot);
}

void table_policies_free(struct table_policies *t)
{
	for (unsigned i = 0; i < t->count; i++)
		slot_free(t->slots[i]);
}

static struct bytes copy_of(struct bytes in)
{
	uint8_t *p = malloc(in.n + 1);
	if (p && in.n)
		memcpy(p, in.p, in.n);
	return bytes_of(p, in.n);
}

/* FNV-1a. Half of the places stay free. */
static uint32_t *policy_place(struct table_policies *t, struct bytes name)
{
	uint32_t h = 2166136261;
	for (size_t i = 0; i < name.n; i++)
		h = (h ^ name.p[i]) * 16777619;
	for (;; h++) {
		uint32_t *place = &t->index[h % (2 * TABLE_POLICIES_MAX)];
		if (!*place || bytes_equal(t->slots[*place - 1]->name, name))
			return place;
	}
}

outcome table_policies_slot(struct table_policies *t, struct bytes name, unsigned *out, struct fault *f)
{
	*out = t->last;
	if (t->count && bytes_equal(t->slots[*out]->name, name))
		return DONE;
	uint32_t *place = policy_place(t, name);
	if (*place)
		goto found;
	if (t->count == TABLE_POLICIES_MAX)
		return refuse(f, REASON_TOO_LARGE, "more than %d policies", TABLE_POLICIES_MAX);
	struct table_policy *slot = calloc(1, sizeof *slot);
	if (!slot || !(slot->name = copy_of(name)).p) {
		slot_free(slot);
		return no_memory(f);
	}
	t->slots[t->count++] = slot;
	*place = t->count;
found:
	*out = t->last = *place - 1;
	return DONE;
}

static void policy_free_later(void *p)
{
	policy_free(p);
}

outcome table_policies_put(struct table_policies *t, const struct feed_record *record, struct retire *retire,
			   struct fault *refused, struct fault *f)
{
	unsigned number;
	struct policy *compiled = NULL;
	outcome o = table_policies_slot(t, record->policy, &number, f);
	if (!o.ok)
		return o;
	struct bytes document = copy_of(record->document);
	if (!document.p || !retire_prepare(retire)) {
		free((void *)(uintptr_t)document.p);
		return no_memory(f);
	}
	struct fault why;
	if (!policy_compile(document, &compiled, &why).ok) {
		if (why.reason == REASON_NO_MEMORY) {
			free((void *)(uintptr_t)document.p);
			return no_memory(f);
		}
		refuse(refused, why.reason, "policy \"%.*s\" denies all: %.200s", (int)record->policy.n,
		       (const char *)record->policy.p, why.text);
	}
	struct table_policy *slot = t->slots[number];
	free((void *)(uintptr_t)slot->document.p);
	slot->document = document;
	struct policy *old = atomic_exchange(&slot->policy, compiled);
	if (old)
		retire_later(retire, old, policy_free_later);
	return DONE;
}

outcome table_policies_remove(struct table_policies *t, struct bytes name, struct retire *retire,
			      struct fault *f)
{
	uint32_t place = *policy_place(t, name);
	if (!place)
		return DONE;
	if (!retire_prepare(retire))
		return no_memory(f);
	struct table_policy *slot = t->slots[place - 1];
	free((void *)(uintptr_t)slot->document.p);
	slot->document = bytes_of(NULL, 0);
	struct policy *old = atomic_exchange(&slot->policy, NULL);
	if (old)
		retire_later(retire, old, policy_free_later);
	return DONE;
}
