/*
 * policy_internal.h - the compiled form, and what the files of the policy language share.
 *
 * A compiled policy is one piece of memory: a header and arrays. Items name each other by number, texts by
 * offset, so that the whole is small (the shipped device policy takes under 500 bytes).
 */
#ifndef MOORING_POLICY_INTERNAL_H
#define MOORING_POLICY_INTERNAL_H

#include "policy.h"

#include <jansson.h>

enum {
	POLICY_PLACE_MAX = 192,
	POLICY_STATEMENTS_MAX = 64, /* no document of 2048 characters holds more: one bit each */
	POLICY_FACTS_MAX = 48,	    /* values of one key */
};

/* ---- texts with wildcards and variables: policy_glob.c ---- */

enum policy_token_kind { TOKEN_TEXT, TOKEN_ANY, TOKEN_ONE, TOKEN_VARIABLE };

struct policy_token {
	uint32_t at; /* TOKEN_TEXT: where its text begins */
	uint16_t n;
	uint8_t kind;
	uint8_t key; /* TOKEN_VARIABLE: number of the key whose value stands here */
};

struct policy_glob {
	uint16_t first, count; /* tokens */
};

/* What globs and tokens are numbers into: a policy's, a binding's, or those of a policy in the making. */
struct policy_texts {
	const struct policy_token *tokens;
	const uint8_t *text;
};

/* `values` are those of the keys, by number, p NULL where a key has none; NULL where no variable is left. */
MUST_USE bool policy_glob_match(struct policy_texts t, struct policy_glob g, const struct bytes *values,
				struct bytes subject);
/* The same without regard to the case of ASCII letters, for globs without wildcards. */
MUST_USE bool policy_glob_match_fold(struct policy_texts t, struct policy_glob g, const struct bytes *values,
				     struct bytes subject);
/* Every variable in it has a value. */
MUST_USE bool policy_glob_is_resolved(struct policy_texts t, struct policy_glob g,
				      const struct bytes *values);
/* Bytes that it stands for, wildcards left out. */
size_t policy_glob_length(struct policy_texts t, struct policy_glob g, const struct bytes *values);
/* The same glob with its variables filled in, literally, at *tokens and *text, which move on. Needs room for
 * as many tokens and policy_glob_length bytes. */
struct policy_glob policy_glob_fill_in(struct policy_texts t, struct policy_glob g,
				       const struct bytes *values, struct policy_texts base,
				       struct policy_token **tokens, uint8_t **text);

/* ---- resources: policy_arn.c ---- */

/* The first word of an ARN's sixth part. Most resources spell it, and are matched against the target alone;
 * RESOURCE_ANY is matched against "<type>/<target>". */
enum policy_resource { RESOURCE_ANY, RESOURCE_CLIENT, RESOURCE_TOPIC, RESOURCE_TOPICFILTER, RESOURCES };

struct policy_arn {
	struct policy_glob region, account, name;
	uint8_t resource;
	bool foreign;  /* another service's: never matches */
	bool reserved; /* spells a '$' at the beginning of its name */
};

/* What is asked about, prepared for all ARNs. */
struct policy_target {
	enum policy_resource resource;
	struct bytes name; /* without its type; at most POLICY_TARGET_MAX bytes */
	struct bytes full; /* "<type>/<name>" in `room`, once it has been needed */
	bool searched;	   /* a text has been searched for in it */
	uint64_t pairs;	   /* policy_pairs of `full`, once they have been needed */
	uint8_t room[sizeof "topicfilter/" + POLICY_TARGET_MAX];
};

/* "topic/"; "" for RESOURCE_ANY. */
struct bytes policy_arn_prefix(enum policy_resource resource);
void policy_target_set(struct policy_target *t, enum policy_resource resource, struct bytes name);

/* What both sides of a comparison belong to. */
struct policy_scope {
	const struct policy *policy;
	const struct bytes *values; /* of the policy's keys, by number */
	const char *region, *account;
};
/* Of this service, region and account, and every variable in it has a value. */
MUST_USE bool policy_arn_is_here(const struct policy_arn *arn, const struct policy_scope *s);
MUST_USE bool policy_arn_match(const struct policy_arn *arn, struct policy_target *t,
			       const struct policy_scope *s);

/* ---- condition keys, which are the variables too: policy_key.c ---- */

enum policy_key_source {
	KEY_CLIENT_ID,
	KEY_SOURCE_IP,
	KEY_DOMAIN_NAME,
	KEY_CERTIFICATE_ID,
	KEY_CERTIFICATE_FIELD,
	KEY_CERTIFICATE_KEYS,
	KEY_THING_NAME,
	KEY_THING_TYPE,
	KEY_THING_ATTACHED,
	KEY_THING_ATTRIBUTE,
	/* known only when something is asked */
	KEY_CONNECT_ATTRIBUTES,
	KEY_LAST_WILL_TOPIC,
	KEY_CURRENT_TIME,
	KEY_EPOCH_TIME,
};

struct policy_key {
	uint8_t source;
	uint8_t field;	      /* KEY_CERTIFICATE_FIELD */
	uint8_t index;	      /* which of the field's values */
	bool list;	      /* all of its values */
	uint16_t attribute_n; /* KEY_THING_ATTRIBUTE: its name's length, and where it begins */
	uint32_t attribute_at;
};

/* One value of a key. Times are numbers, all others are texts. */
struct policy_fact {
	struct bytes text;
	int64_t ms;
};

bool policy_key_is_of_question(const struct policy_key *k);
/* The values that a key has on this connection, or for this question; at most POLICY_FACTS_MAX. */
size_t policy_key_of_connection(const struct policy *p, const struct policy_key *k,
				const struct policy_connection *c, struct policy_fact *out);
size_t policy_key_of_question(const struct policy_key *k, const struct policy_question *q,
			      struct policy_fact *out);
/* The text that stands for the key's variable; p NULL where none does. A certificate's field that holds a
 * wildcard of MQTT or of the language stands for nothing, as on AWS. */
struct bytes policy_key_substitute(const struct policy *p, const struct policy_key *k,
				   const struct policy_connection *c);
/* As the guide writes it: "iot:Certificate.Subject.CommonName.List". */
void policy_key_name(const struct policy *p, const struct policy_key *k, char *out, size_t room);

/* ---- conditions: policy_operator.c, policy_condition.c ---- */

enum policy_family {
	FAMILY_TEXT,
	FAMILY_NUMBER,
	FAMILY_TIME,
	FAMILY_TRUTH,
	FAMILY_NETWORK,
	FAMILY_ARN,
	FAMILY_NULL
};

struct policy_network {
	uint8_t address[16]; /* IPv4 as ::ffff:a.b.c.d */
	uint8_t bits;
};

struct policy_value {
	union {
		struct policy_glob text;
		struct policy_arn arn;
		double number;
		int64_t ms; /* Unix time */
		struct policy_network network;
		bool truth; /* FAMILY_NULL: the key must be absent */
	};
};

enum policy_set { SET_NONE, SET_ALL, SET_ANY };

struct policy_condition {
	uint8_t operator; /* number of the operator */
	uint8_t set;	  /* enum policy_set */
	uint8_t key;	  /* number of the key */
	bool if_exists;
	uint16_t first, count; /* values */
};

struct policy_operator {
	const char *name;
	enum policy_family family;
	bool negated, like, fold;
	unsigned relation; /* bits of enum policy_order that agree */
};
enum policy_order { ORDER_LESS = 1, ORDER_EQUAL = 2, ORDER_GREATER = 4 };

/* The row with this name; NULL where there is none. `number` is what policy_operator_at takes. */
const struct policy_operator *policy_operator_find(struct bytes name, uint8_t *number);
const struct policy_operator *policy_operator_at(uint8_t number);

enum policy_truth { TRUTH_NO, TRUTH_YES, TRUTH_UNKNOWN };

/* Does the fact agree with the value, negation left aside? Unknown: the value names a variable that has none,
 * or the fact is not of the operator's kind. */
enum policy_truth policy_operator_compare(const struct policy_operator *o, const struct policy_value *v,
					  const struct policy_fact *fact, const struct policy_scope *scope);
MUST_USE bool policy_value_number(struct bytes text, double *out);
MUST_USE bool policy_value_time(struct bytes text, int64_t *ms);
MUST_USE bool policy_value_network(struct bytes text, struct policy_network *out);

/* A negated comparison with an unknown never lets an Allow match, and never saves from a Deny. */
MUST_USE bool policy_condition_holds(const struct policy_condition *c, const struct policy_fact *facts,
				     size_t count, bool deny, const struct policy_scope *scope);

/* As the document writes it: "ForAnyValue:StringLike.\"iot:ClientId\"". */
void policy_condition_name(const struct policy *p, const struct policy_condition *c, char *out, size_t room);

/* ---- statements ---- */

struct policy_statement {
	uint16_t first_arn, arns;
	uint16_t first_condition, conditions;
	uint8_t actions; /* bits of enum policy_action */
	bool deny;
	bool not_resource;
	bool is_list; /* the resources, in the document */
};

struct policy {
	uint64_t id; /* no other policy of this process has or had it */
	size_t size; /* bytes, of all of it */
	struct policy_texts texts;
	const struct policy_key *keys;
	const struct policy_arn *arns;
	const struct policy_value *values;
	const struct policy_condition *conditions;
	const struct policy_statement *statements;
	uint16_t key_count, arn_count, statement_count;
	bool is_list; /* the statements, in the document */
	bool waits;   /* has conditions that only a question decides */
};

struct policy_action_name {
	const char *name; /* "iot:Connect" */
	enum policy_resource resource;
};
extern const struct policy_action_name policy_actions[POLICY_ACTIONS];

/* ---- for people: policy_print.c ---- */

/* "Statement[1]", "Statement[1].Resource[0]", "Statement[1].Condition.Bool.\"iot:...\""; numbers of the
 * policy's own. */
void policy_place_statement(const struct policy *p, const struct policy_statement *s,
			    char out[POLICY_PLACE_MAX]);
void policy_place_arn(const struct policy *p, const struct policy_statement *s, size_t arn,
		      char out[POLICY_PLACE_MAX]);
void policy_place_condition(const struct policy *p, const struct policy_statement *s, size_t condition,
			    char out[POLICY_PLACE_MAX]);
/* Append it as a document would write it. */
void policy_text_print(struct bytes text, struct buf *out);
void policy_glob_print(const struct policy *p, struct policy_texts t, struct policy_glob g, struct buf *out);

/* ---- compiling: policy_compile.c, policy_build.c ---- */

/* The arrays of a policy while they grow. Appends are checked where they are read again, and at the end. */
struct policy_builder {
	struct buf tokens, text, keys, arns, values, conditions, statements;
	bool variables; /* version 2012-10-17 */
	bool is_list;
};

struct policy_texts policy_builder_texts(const struct policy_builder *b);
/* REASON_NO_MEMORY where an append has failed. */
MUST_USE outcome policy_builder_check(const struct policy_builder *b, struct fault *f);
MUST_USE outcome policy_build(struct policy_builder *b, struct policy **out, struct fault *f);
void policy_builder_free(struct policy_builder *b);

/* All of these refuse with the place in front. */
outcome policy_refuse(struct fault *f, const char *place, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
MUST_USE outcome policy_check_size(struct bytes json, struct fault *f);
MUST_USE outcome policy_glob_compile(struct policy_builder *b, struct bytes source, bool wildcards,
				     const char *place, struct policy_glob *out, struct fault *f);
MUST_USE outcome policy_arn_compile(struct policy_builder *b, struct bytes source, const char *place,
				    struct policy_arn *out, struct fault *f);
/* The number of the key; it becomes one of the policy's. */
MUST_USE outcome policy_key_compile(struct policy_builder *b, struct bytes name, const char *place,
				    uint8_t *number, struct fault *f);
MUST_USE outcome policy_conditions_compile(struct policy_builder *b, const json_t *block, const char *place,
					   struct policy_statement *s, struct fault *f);

/* ---- asking: policy_bind.c, policy_check.c ---- */

/* The name of a statement's resource with its variables filled in: the texts that it begins and ends with, and what
 * stands between them. */
struct policy_name {
	uint32_t head, tail; /* where they begin */
	uint16_t head_n, tail_n;
	struct policy_glob middle;
	uint64_t pairs;	   /* policy_pairs of the texts in the middle */
	uint16_t arn;	   /* number */
	uint8_t statement; /* number */
	uint8_t actions; /* bits: what the statement says of this type of resource; none where its conditions fail */
	uint8_t resource;
	bool reserved; /* as in its ARN */
	bool open;     /* the middle is one '*' */
};
/* Names stand in this order, and in that of their statements; those that cannot match on this connection are left out. */
enum policy_part { PART_DENIES, PART_ALLOWS, PART_NOT_RESOURCES, POLICY_PARTS };
enum policy_part policy_part_of(const struct policy_statement *s);

/* A set of a text's pairs of neighbouring bytes, by a hash of each: whatever stands in the text has no other ones. */
uint64_t policy_pairs(struct bytes text);

/* One policy under one connection. What every check looks at comes first. */
struct policy_bound {
	const struct policy_name *names;
	uint16_t end[POLICY_PARTS]; /* names before the end of each part */
	uint16_t searches;	    /* names with texts in the middle */
	struct policy_texts texts;  /* of the names */
	uint64_t waiting;	    /* statements with conditions that wait for the question */
	uint64_t not_resources;	    /* statements with a NotResource whose conditions hold, or wait */
	uint64_t id;
	const struct policy *policy;
	const struct bytes *values; /* of the policy's keys; NULL where no condition waits */
};

struct policy_binding {
	size_t count;
	const char *client_id, *region, *account;
	struct policy_bound bound[];
};

/* A question, prepared for all statements. */
struct policy_asked {
	const struct policy_question *question;
	struct policy_target target;
	uint8_t actions; /* the question's one, as a bit */
	bool reserved;	 /* begins with a '$' that no wildcard of an Allow reaches */
};
/* False where nothing can allow it. */
MUST_USE bool policy_asked_set(struct policy_asked *a, const struct policy_question *q);

/* The first of these names that what is asked about matches; `end` where none does. */
const struct policy_name *policy_find_name(const struct policy_bound *b, const struct policy_name *from,
					   const struct policy_name *end, bool by_name,
					   struct policy_asked *a);
/* Of this statement, whatever its conditions and actions are; NULL where none does. */
const struct policy_name *policy_find_resource(const struct policy_bound *b, size_t statement,
					       struct policy_asked *a);

#endif
