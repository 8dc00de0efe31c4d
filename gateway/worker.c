#include "worker.h"

#include "common/http/httpc.h"
#include "common/peers.h"
#include "gateway/attest/probe.h"
#include "gateway/recover.h"
#include "gateway/signer_client.h"
#include "gateway/withdrawals.h"

#include <pthread.h>
#include <semaphore.h>
#include <stdlib.h>

static outcome load_keys(struct worker *w, struct fault *f)
{
	const struct gateway_keys *keys = &w->gateway->keys;
	w->ear_keys = calloc(keys->ear_count, sizeof *w->ear_keys);
	for (size_t i = 0; w->ear_keys && i < keys->ear_count; i++) {
		w->ear_keys[i] = ec_key_from_spki(bytes_of(keys->ear[i].spki, keys->ear[i].n));
		if (!w->ear_keys[i])
			return crypto_fault(f, "ear_keys");
	}
	w->peers = peers_new(&keys->service, w->gateway->config.issuing.trust_domain);
	return w->ear_keys && w->peers ? DONE : refuse(f, REASON_NO_MEMORY, "no memory for a worker's keys");
}

static outcome start_services(struct worker *w, struct fault *f)
{
	outcome r = attest_probe_start(w, &w->probe, f);
	if (r.ok)
		r = recover_start(w, &w->recover, f);
	if (r.ok)
		r = withdrawals_start(w, &w->withdrawals, f);
	return r;
}

static void free_worker(struct worker *w)
{
	recover_free(w->recover);
	withdrawals_free(w->withdrawals);
	attest_probe_stop(w->probe);
	for (size_t i = 0; w->ear_keys && i < w->gateway->keys.ear_count; i++)
		EVP_PKEY_free(w->ear_keys[i]);
	free(w->ear_keys);
	peers_free(w->peers);
	*w = (struct worker){.gateway = w->gateway, .stopping = true};
}

/* Whatever is under way ends here, as refused: from now on nothing on this loop asks the store. */
static void quiesce(struct worker *w)
{
	w->stopping = true;
	withdrawals_quiesce(w->withdrawals);
	signer_client_free(w->signer);
	w->signer = NULL;
	httpc_free(w->attestation);
	w->attestation = NULL;
}

outcome worker_start(struct loop *loop, unsigned index, void *arg, struct fault *f)
{
	struct gateway *g = arg;
	struct worker *w = &g->workers[index];
	const struct gateway_config *c = &g->config;
	const struct httpc_tls tls = {
		.ca_file = c->attestation_ca,
		.cert_file = c->attestation_cert,
		.key_file = c->attestation_key,
	};
	*w = (struct worker){.gateway = g, .index = index, .loop = loop};
	outcome r = load_keys(w, f);
	if (r.ok)
		r = httpc_new(loop_base(loop), &tls, &w->attestation, f);
	if (r.ok)
		r = signer_client_new(loop_base(loop), c->signer_socket, &w->signer, f);
	if (!r.ok) {
		quiesce(w);
		free_worker(w);
	}
	return r;
}

void worker_stop(unsigned index, void *arg)
{
	struct gateway *g = arg;
	struct worker *w = &g->workers[index];
	quiesce(w);
	free_worker(w);
}

struct worker *worker_of(struct gateway *g, const struct scgi_request *r)
{
	return &g->workers[scgi_worker_index(r)];
}

struct beginning {
	struct worker *worker;
	sem_t done;
	outcome result;
	struct fault *fault;
};

static void run_begin(void *arg)
{
	struct beginning *b = arg;
	b->result = start_services(b->worker, b->fault);
	sem_post(&b->done);
}

outcome workers_begin(struct gateway *g, struct fault *f)
{
	struct beginning b = {.worker = &g->workers[0], .fault = f};
	sem_init(&b.done, 0, 0);
	loop_post(b.worker->loop, run_begin, &b);
	while (sem_wait(&b.done))
		;
	sem_destroy(&b.done);
	return b.result;
}

struct quiescence {
	struct worker *worker;
	pthread_mutex_t *lock;
	pthread_cond_t *done;
	unsigned *left;
};

static void run_quiesce(void *arg)
{
	struct quiescence *q = arg;
	quiesce(q->worker);
	pthread_mutex_lock(q->lock);
	--*q->left;
	pthread_cond_signal(q->done);
	pthread_mutex_unlock(q->lock);
}

void workers_quiesce(struct gateway *g)
{
	pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
	pthread_cond_t done = PTHREAD_COND_INITIALIZER;
	unsigned left = scgi_worker_count(g->server);
	struct quiescence q[64];
	for (unsigned i = 0; i < scgi_worker_count(g->server); i++) {
		q[i] = (struct quiescence){&g->workers[i], &lock, &done, &left};
		loop_post(scgi_worker(g->server, i), run_quiesce, &q[i]);
	}
	pthread_mutex_lock(&lock);
	while (left)
		pthread_cond_wait(&done, &lock);
	pthread_mutex_unlock(&lock);
}
