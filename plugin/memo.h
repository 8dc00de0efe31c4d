/*
 * memo.h - what the last messages' first subscribers were answered: the broker asks for each subscriber of a message,
 * one after the other.
 *
 * A policy without variables and conditions says the same to every connection that it is in force for, at any time;
 * only what such a policy says is kept, under its number, which no other policy ever has. Who is in force, and until
 * when, is asked every time.
 */
#ifndef MOORING_PLUGIN_MEMO_H
#define MOORING_PLUGIN_MEMO_H

#include "common/policy/policy.h"

enum { MEMO_POLICIES = 4, MEMO_TOPIC_SIZE = 256 };

/* All zero: nothing is known. */
struct memo {
	struct memo_answer {
		uint64_t policy;
		enum policy_decision decision;
		char topic[MEMO_TOPIC_SIZE];
	} answers[MEMO_POLICIES];
};

/* May `topic` be received? False where this is not known of it. */
bool memo_find(const struct memo *memo, const struct policy *policy, const char *topic,
	       enum policy_decision *decision);
/* Keeps what it is worth to keep. */
void memo_keep(struct memo *memo, const struct policy *policy, const char *topic,
	       enum policy_decision decision);

#endif
