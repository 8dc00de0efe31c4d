/*
 * policy_vectors.h - files of cases: policies, a connection, what it asks for, and what is expected.
 */
#ifndef MOORING_POLICY_VECTORS_H
#define MOORING_POLICY_VECTORS_H

#include "ctl.h"

/* A JSON array of objects: id, source, policies[], connection {clientId, certId, thing {name, type, attributes},
 * attached, exclusive, cert {FIELD: [values]}, sourceIp, domainName, connectAttributes[], lastWillTopic, willRetain,
 * region, account}, action (Connect, Publish, RetainedPublish, Subscribe, Receive), target, time, expect. Prints each
 * mismatch and the totals; EXIT_DONE only where all agree. */
int policy_vectors_run(const struct ctl *c, const char *path);

#endif
