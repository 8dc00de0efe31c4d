/*
 * policy_scene.h - a connection and a question about it, from the command line.
 */
#ifndef MOORING_POLICY_SCENE_H
#define MOORING_POLICY_SCENE_H

#include "ctl.h"
#include "common/policy/policy.h"
#include "common/policy/policy_certificate.h"

#include <jansson.h>

enum { SCENE_QUESTIONS_MAX = 3, SCENE_FILE_MAX = 65536 };

/* A policy as it was read: `document` is for what the compiled form leaves out, such as a Sid. */
struct scene_policy {
	const char *path;
	json_t *document;
};

/* Everything that is pointed to lives as long as the arguments and the scene do. */
struct scene {
	struct scene_policy files[POLICIES_MAX];
	const struct policy *policies[POLICIES_MAX];
	size_t policy_count;
	struct policy_connection connection;
	struct policy_attribute attributes[REPEATS_MAX];
	struct policy_certificate certificate;
	char certificate_id[HEX_SIZE(32)];
	char arn_region[64], arn_account[64];
	char *names[REPEATS_MAX]; /* of the attributes */
	struct policy_connect packet;
	/* What MQTT has AWS check: a publish that is retained is two questions. */
	struct policy_question questions[SCENE_QUESTIONS_MAX];
	size_t question_count;
};

/* Options of the commands that ask. */
#define SCENE_OPTIONS                                                                                        \
	{"policy", "FILE...", "the policy document; several: --policy again, at most ten"},                  \
		{"action", "ACTION",                                                                         \
		 "iot:Connect, iot:Publish, iot:RetainPublish, iot:Subscribe or iot:Receive"},               \
		{"resource", "RESOURCE", "client/ID, topic/TOPIC, topicfilter/FILTER, or an ARN"},           \
		{"client-id", "ID", "of the connection"},                                                    \
		{"thing", "NAME", "the thing that the certificate is attached to"},                          \
		{"thing-type", "TYPE", "of the thing"},                                                      \
		{"attribute", "NAME=VALUE...", "of the thing; several: --attribute again"},                  \
		{"non-exclusive", NULL, "as on AWS: the thing counts only where its name is the client id"}, \
		{"certificate", "PEM", "the device's certificate: its fields and its id"},                   \
		{"source-ip", "ADDRESS", "where it connects from"},                                          \
		{"domain-name", "NAME", "the server name that it asks for"},                                 \
		{"persistent", NULL, "it connects for a session that stays"},                                \
		{"will", "TOPIC", "it connects with a will for this topic"},                                 \
		{"retain", NULL, "the message, or the will, is retained"},                                   \
	{                                                                                                    \
		"time", "TIME", "when, if not now: 2027-01-31T12:00:00Z, or seconds since 1970"              \
	}

/* REASON_BAD_FIELD: a command line that cannot be meant; the sentence begins with "--". Other reasons are of the files
 * that it names. Caller scene_free, also after a failure. */
MUST_USE outcome scene_read(const struct arguments *a, struct scene *out, struct fault *f);
void scene_free(struct scene *s);

/* The answer to all of its questions, as the broker would give it. */
MUST_USE outcome scene_decide(const struct scene *s, enum policy_decision *out, struct fault *f);
/* The answer to one. */
MUST_USE outcome scene_ask(const struct scene *s, const struct policy_question *q, enum policy_decision *out,
			   struct fault *f);

/* "ALLOWED", ...; and "iot:Publish", "topic/a". */
const char *scene_decision_name(enum policy_decision d);
const char *scene_action_name(enum policy_action a);
const char *scene_resource_type(enum policy_action a);
/* The Sid of a statement; "" where it has none. */
const char *scene_sid(const struct scene *s, size_t policy, size_t statement);

#endif
