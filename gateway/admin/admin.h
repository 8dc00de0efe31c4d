/*
 * admin.h - the admin interface: everything under /v1/admin/.
 */
#ifndef MOORING_ADMIN_H
#define MOORING_ADMIN_H

#include "gateway/gateway.h"

/* Authenticates (SigV4, role by route) and answers, at once or later. For every path that begins with "/v1/admin/". */
void admin_handle(struct gateway *g, struct scgi_request *r);

#endif
