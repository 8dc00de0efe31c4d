#include "attestd.h"

#include "discovery.h"
#include "routes.h"
#include "sessions.h"
#include "withdrawals.h"
#include "writer.h"
#include "common/admin/admin_auth.h"
#include "common/edge.h"

#include <stdlib.h>

enum { STOP_GRACE_MS = 10000, CONNECTIONS_MAX = 4096 };

/* As the daemon's own user: a database that root made could not be written later. */
static outcome open_records(struct attestd *a, struct fault *f)
{
	const struct attestd_config *c = &a->config;
	struct buf path = {0};
	buf_printf(&path, "%s/attestd.db", c->state_dir);
	a->db_path = buf_take_str(&path);
	if (!a->db_path)
		return refuse(f, REASON_NO_MEMORY, "no memory for a path");
	const struct writer_options options = {a->db_path, withdrawals_wake, a->withdrawals};
	outcome r = writer_open(&options, &a->writer, f);
	if (r.ok)
		r = admin_auth_open(a->db_path, c->edge.admin_master, c->edge.region, &a->admin_auth, f);
	return r.ok ? writer_start(a->writer, f) : r;
}

static outcome make_services(struct attestd *a, struct fault *f)
{
	a->worker_count = config_workers(&a->config.edge);
	a->workers = calloc(a->worker_count, sizeof *a->workers);
	a->withdrawals = withdrawals_new(a->worker_count);
	a->discovery = discovery_document(&a->keys);
	if (!a->workers || !a->withdrawals || !a->discovery)
		return refuse(f, REASON_NO_MEMORY, "no memory to start");
	outcome r = sessions_new(a->config.session_ttl_s, SESSIONS_MAX, &a->sessions, f);
	return r.ok ? open_records(a, f) : r;
}

static outcome serve(struct attestd *a, struct fault *f)
{
	const struct scgi_options options = {
		.connections_max = CONNECTIONS_MAX,
		.worker_start = worker_start,
		.worker_stop = worker_stop,
	};
	return edge_serve(&a->config.edge, &options, routes_handle, a, &a->server, f);
}

outcome attestd_start(struct attestd *a, struct fault *f)
{
	outcome r = make_services(a, f);
	if (r.ok)
		r = serve(a, f);
	if (!r.ok)
		attestd_stop(a);
	return r;
}

/* What waits is answered first, then what is open finishes, then the writer, which answers on the loops. */
void attestd_stop(struct attestd *a)
{
	if (a->server) {
		withdrawals_stop(a->withdrawals);
		scgi_drain(a->server, STOP_GRACE_MS);
	}
	writer_stop(a->writer);
	scgi_stop(a->server, 0);
	admin_auth_close(a->admin_auth);
	withdrawals_free(a->withdrawals);
	sessions_free(a->sessions);
	free(a->workers);
	free(a->discovery);
	free(a->db_path);
	a->server = NULL;
	a->writer = NULL;
	a->sessions = NULL;
	a->withdrawals = NULL;
	a->admin_auth = NULL;
	a->workers = NULL;
	a->discovery = a->db_path = NULL;
}
