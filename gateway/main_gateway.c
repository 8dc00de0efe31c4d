/*
 * mooring-gateway - the relying party and registration authority: takes enrolments from the edge, has devices
 * attested, has certificates signed, keeps the records, and tells the brokers.
 */
#include "common/admin/admin_auth.h"
#include "common/daemon.h"
#include "common/edge.h"
#include "common/file.h"
#include "common/log.h"
#include "gateway/attest/health.h"
#include "gateway/challenge.h"
#include "gateway/confine.h"
#include "gateway/feed/feed.h"
#include "gateway/gateway.h"
#include "gateway/http/http.h"
#include "gateway/provenance/provenance.h"
#include "gateway/rate.h"
#include "gateway/store/store.h"
#include "gateway/worker.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { STOP_GRACE_MS = 10000, CONNECTIONS_MAX = 4096 };

static const struct daemon_about about = {
	"mooring-gateway",
	"the enrolment gateway: has devices attested and certified, keeps records, tells brokers",
	"It answers its edge (nginx) on a Unix socket, asks the attestation service over HTTPS and the "
	"signer on its\n"
	"Unix socket. It holds no issuing key. At start it finishes or closes what a crash left open.\n",
	"  state_dir/gateway.db    the store: devices, certificates, policies, the log. Back it up with "
	"SQLite's own\n"
	"                          backup, not with cp\n"
	"  state_dir/gateway.db.*  beside it: its write-ahead log, space kept for when the disk is full, and "
	"the\n"
	"                          signatures of admin requests that must not come again\n"
	"  socket                  the Unix socket for the edge\n",
};

/* Everything durable is opened as the gateway's own user: what root made could not be written later. */
static outcome open_store(struct gateway *g, struct fault *f)
{
	char path[4096];
	if ((size_t)snprintf(path, sizeof path, "%s/gateway.db", g->config.state_dir) >= sizeof path)
		return refuse(f, REASON_CONFIG, "state_dir: the path is too long");
	const struct store_options options = {
		.path = path,
		.supersede_after_s = g->config.supersede_after_s,
		.quarantine_clones = g->config.quarantine_clones,
	};
	outcome r = file_hold_folder(g->config.state_dir, "gateway", f);
	if (r.ok)
		r = store_open(&options, &g->store, f);
	if (r.ok)
		r = admin_auth_open(path, g->config.edge.admin_master, g->config.edge.region, &g->admin_auth,
				    f);
	return r;
}

/* What the files named in the configuration hold, before the sandbox closes. */
static outcome read_files(struct gateway *g, struct fault *f)
{
	outcome r = gateway_keys_load(&g->config, &g->keys, f);
	return r.ok ? config_blame("provenance", provenance_load(&g->config.provenance, &g->provenance, f), f)
		    : r;
}

static outcome make_services(struct gateway *g, struct fault *f)
{
	outcome r = challenge_new(g->config.challenge_ttl_s, CHALLENGE_CAPACITY, &g->challenge, f);
	if (r.ok)
		r = rate_new(g->config.rate_per_device, RATE_CAPACITY, &g->rate, f);
	if (r.ok)
		r = attest_health_new(&g->attest, f);
	if (r.ok)
		r = open_store(g, f);
	if (r.ok)
		r = provenance_begin(g->provenance, g->store, f);
	if (r.ok)
		r = feed_start(g, &g->feed, f);
	return r;
}

static outcome serve(struct gateway *g, struct fault *f)
{
	const struct scgi_options options = {
		.connections_max = CONNECTIONS_MAX,
		.worker_start = worker_start,
		.worker_stop = worker_stop,
	};
	g->workers = calloc(config_workers(&g->config.edge), sizeof *g->workers);
	return g->workers ? edge_serve(&g->config.edge, &options, http_handle, g, &g->server, f)
			  : refuse(f, REASON_NO_MEMORY, "no memory for the workers");
}

static outcome start(struct gateway *g, struct fault *f)
{
	outcome r = make_services(g, f);
	if (r.ok)
		r = serve(g, f);
	return r.ok ? workers_begin(g, f) : r;
}

/* Requests first, then what they ask, then the store, so that nobody asks one that is closed, and then the loops that
 * it has answered on. Also after a start that came half-way. */
static void stop(struct gateway *g)
{
	if (g->server) {
		scgi_drain(g->server, STOP_GRACE_MS);
		workers_quiesce(g);
	}
	if (g->feed)
		feed_quiesce(g->feed);
	store_close(g->store);
	scgi_stop(g->server, 0);
	feed_stop(g->feed);
	admin_auth_close(g->admin_auth);
	attest_health_free(g->attest);
	rate_free(g->rate);
	challenge_free(g->challenge);
	free(g->workers);
	provenance_free(g->provenance);
	gateway_keys_free(&g->keys);
	gateway_config_free(&g->config);
}

static int fail(const struct fault *f, const char *what)
{
	log_fault(LOG_LEVEL_ERROR, NULL, f, "%s", what);
	return EXIT_FAILURE;
}

static void block_signals(sigset_t *stopping)
{
	sigemptyset(stopping);
	sigaddset(stopping, SIGTERM);
	sigaddset(stopping, SIGINT);
	pthread_sigmask(SIG_BLOCK, stopping, NULL);
	signal(SIGPIPE, SIG_IGN);
}

static int run(struct gateway *g, bool insecure)
{
	struct fault f;
	sigset_t stopping;
	int received;
	block_signals(&stopping);
	outcome r = gateway_confine(&g->config, insecure, &f);
	if (r.ok)
		r = start(g, &f);
	if (r.ok) {
		log_line(LOG_LEVEL_INFO, NULL, "serving on %s with %u workers", g->config.edge.socket,
			 scgi_worker_count(g->server));
		sigwait(&stopping, &received);
		log_line(LOG_LEVEL_INFO, NULL, "stopping");
	}
	stop(g);
	return r.ok ? EXIT_SUCCESS : fail(&f, "cannot start"); /* as the last line */
}

int main(int argc, char **argv)
{
	static struct gateway gateway;
	struct fault f;
	struct daemon_options o;
	int code = daemon_options(argc, argv, &about, &o);
	if (code != DAEMON_GO_ON)
		return code;
	log_init("gateway", LOG_LEVEL_INFO);
	if (!gateway_config_load(o.config, &gateway.config, &f).ok)
		return fail(&f, "the configuration is refused");
	log_init("gateway", config_log_level(&gateway.config.process));
	if (o.print)
		return daemon_print_config(gateway_config_print(&gateway.config));
	if (!read_files(&gateway, &f).ok)
		return fail(&f, "the configuration is refused");
	if (o.test) {
		puts("the configuration is good");
		return EXIT_SUCCESS;
	}
	return run(&gateway, o.insecure);
}
