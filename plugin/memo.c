#include "plugin/memo.h"

#include <string.h>

bool memo_find(const struct memo *memo, const struct policy *policy, const char *topic,
	       enum policy_decision *decision)
{
	uint64_t number = policy_common_number(policy);
	const struct memo_answer *a = &memo->answers[number % MEMO_POLICIES];
	if (!number || a->policy != number || strcmp(a->topic, topic) != 0)
		return false;
	*decision = a->decision;
	return true;
}

void memo_keep(struct memo *memo, const struct policy *policy, const char *topic,
	       enum policy_decision decision)
{
	uint64_t number = policy_common_number(policy);
	size_t n = strlen(topic);
	if (!number || n >= MEMO_TOPIC_SIZE)
		return;
	struct memo_answer *a = &memo->answers[number % MEMO_POLICIES];
	a->policy = number;
	a->decision = decision;
	memcpy(a->topic, topic, n + 1);
}
