/*
 * store_policy.h - what a certificate may do: policies, which device is under which, and what policies know of its thing.
 *
 * A device is under the policy that is attached to it or, where none is, under "default"; a service NAME is under
 * "service/NAME". The names that an admin gives have no slash. Otherwise as store.h says; every change is one entry of
 * the log.
 */
#ifndef MOORING_GATEWAY_STORE_POLICY_H
#define MOORING_GATEWAY_STORE_POLICY_H

#include "store.h"

/* ---- documents ---- */

/* The gateway's own document for "default", at its start. It comes into force unless an admin has set another;
 * `count` is 1 where it did, and 0 where nothing changed. */
void store_policy_ship(struct store *s, const struct store_caller *who, const char *document,
		       store_changed_done *done, void *arg);
/* Sets a document, already compiled once: of "default", of a service that is registered, or of a name that may be new
 * (1 to 128 characters of A-Z a-z 0-9 _ + = , . @ -: BAD_FIELD). One equal to what is stored changes nothing.
 * NOT_FOUND for a service's; POLICY_SYNTAX; CONFLICT where there are too many. */
void store_policy_set(struct store *s, const struct store_caller *who, const char *name, const char *document,
		      store_changed_done *done, void *arg);
/* Back to what was shipped, or given with the service's certificate. NOT_FOUND; CONFLICT where there is no such. */
void store_policy_reset(struct store *s, const struct store_caller *who, const char *name,
			store_changed_done *done, void *arg);
/* NOT_FOUND; CONFLICT while it is attached to a device, and for what is not an admin's. */
void store_policy_delete(struct store *s, const struct store_caller *who, const char *name,
			 store_changed_done *done, void *arg);

struct store_policy {
	const char *name;
	const char *document;
	bool shipped;		   /* a reset is possible */
	bool edited;		   /* and would change something */
	int64_t devices;	   /* that it is attached to; 0 for "default" and a service's */
	const char *const *things; /* of one policy: STORE_PAGE_MAX of them at most */
	size_t thing_count;
};
/* In order of their names, after `after`, without `things`. */
void store_policies(struct store *s, const char *after, size_t limit,
		    void (*done)(const struct store_policy *policies, size_t count, const struct fault *f,
				 void *arg),
		    void *arg);
/* NOT_FOUND. */
void store_policy(struct store *s, const char *name,
		  void (*done)(const struct store_policy *policy, const struct fault *f, void *arg),
		  void *arg);

/* ---- things ---- */

/* AWS's limits: characters of names and of values, attributes of a thing with and without a type. */
enum {
	STORE_ATTRIBUTE_NAME_MAX = 128,
	STORE_ATTRIBUTE_VALUE_MAX = 800,
	STORE_ATTRIBUTES_MAX = 50,
	STORE_ATTRIBUTES_UNTYPED_MAX = 3,
};

struct store_thing {
	const char *name;
	const char *type;	/* "": none */
	const char *attributes; /* JSON object */
	const char *policy;	/* attached; "": none, and "default" holds */
	bool attached;
	int64_t certificates; /* live ones */
};
/* NOT_FOUND. */
void store_thing(struct store *s, const char *thing,
		 void (*done)(const struct store_thing *thing, const struct fault *f, void *arg), void *arg);

/* Sets the type (NULL: it stays as it is; "": none) and the attributes that are named; one of value "" is taken away.
 * NOT_FOUND, BAD_FIELD, and CONFLICT where there would be too many. */
struct store_thing_change {
	const char *type;
	const struct store_attribute {
		const char *name, *value;
	} * attributes;
	size_t count;
};
void store_thing_set(struct store *s, const struct store_caller *who, const char *thing,
		     const struct store_thing_change *change, store_changed_done *done, void *arg);
/* Its certificates are attached to the thing, as they are from the beginning, or to none: that holds for later ones too. */
void store_thing_attach(struct store *s, const struct store_caller *who, const char *thing, bool attached,
			store_changed_done *done, void *arg);
/* Attaches a policy in place of the one that was, or takes it away: then "default" holds. NOT_FOUND; CONFLICT where
 * another one is attached that is not to be taken away, and BAD_FIELD for policies that cannot be attached. */
void store_policy_attach(struct store *s, const struct store_caller *who, const char *name, const char *thing,
			 store_changed_done *done, void *arg);
void store_policy_detach(struct store *s, const struct store_caller *who, const char *name, const char *thing,
			 store_changed_done *done, void *arg);

#endif
