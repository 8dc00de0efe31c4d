#include "worker.h"

#include "withdrawals.h"

outcome worker_start(struct loop *loop, unsigned index, void *arg, struct fault *f)
{
	struct attestd *a = arg;
	struct worker *w = &a->workers[index];
	w->service = a;
	w->loop = loop;
	w->appraiser = (struct appraiser){&w->records, a->config.allow_test_keys};
	w->ear = key_copy(a->keys.ear);
	w->peers = peers_new(&a->keys.relying_party_cas, NULL);
	outcome r = w->ear && w->peers ? DONE : refuse(f, REASON_NO_MEMORY, "no memory for a worker");
	if (r.ok)
		r = records_open_reader(a->db_path, &w->records, f);
	if (r.ok)
		withdrawals_attach(a->withdrawals, w);
	else
		worker_stop(index, arg);
	return r;
}

void worker_stop(unsigned index, void *arg)
{
	struct attestd *a = arg;
	struct worker *w = &a->workers[index];
	records_close(&w->records);
	peers_free(w->peers);
	EVP_PKEY_free(w->ear);
	*w = (struct worker){0};
}
