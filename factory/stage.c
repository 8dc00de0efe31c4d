#include "stage.h"

#include "common/clock.h"
#include "device/secure_world.h"
#include "device/store.h"
#include "arrival.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

/* The device on the bench. */
struct bench {
	struct store store;
	struct buf chain; /* as it arrives */
	struct psa *psa;
	pid_t secure_world;
	uint8_t instance_id[INSTANCE_ID_SIZE];
	uint8_t rot_key[P256_POINT_SIZE];
	uint8_t nonce[STAGE_NONCE_SIZE];
	struct buf countersignature;
};

static outcome power_on(struct bench *b, const char *device_folder, const struct stage_run *run,
			struct fault *f)
{
	char folder[FACTORY_PATH_MAX];
	outcome r = factory_path(device_folder, "secure", folder, f);
	const struct secure_world_options options = {
		.folder = folder, .insecure = run->insecure, .quiet = run->quiet};
	if (r.ok && access(folder, F_OK) && errno == ENOENT)
		r = refuse(f, REASON_BAD_FIELD,
			   "it is no device: that is a folder with its secure world in secure/, as "
			   "`mooring-factory make` leaves it");
	if (r.ok)
		r = store_create(device_folder, &b->store, f);
	if (r.ok)
		r = store_load_chain(&b->store, &b->chain, f);
	if (r.ok)
		r = secure_world_start(&options, &b->psa, &b->secure_world, f);
	if (!r.ok)
		return r;
	enum psa_status status = psa_rot_identity(b->psa, b->instance_id, b->rot_key);
	return status == PSA_SUCCESS ? DONE : psa_fault(f, "psa_rot_identity", status);
}

static void power_off(struct bench *b)
{
	psa_close(b->psa);
	if (b->secure_world > 0)
		waitpid(b->secure_world, NULL, 0);
	buf_free(&b->chain);
	buf_free(&b->countersignature);
}

static void compose(const struct stage_run *run, const struct bench *b, const struct arrival *arrival,
		    struct stage_statement *out)
{
	*out = (struct stage_statement){.stage = run->order->stage,
					.seq = run->counter.used + 1,
					.time = clock_wall_s(),
					.has_rot_key = arrival->parts.count == 0};
	memcpy(out->programme, run->order->programme, sizeof out->programme);
	memcpy(out->batch, run->order->batch, sizeof out->batch);
	memcpy(out->dev, arrival->dev, sizeof out->dev);
	memcpy(out->previous, arrival->previous, sizeof out->previous);
	memcpy(out->rot_key, b->rot_key, sizeof out->rot_key);
}

/* The chip is here: it signs for exactly this stage, and what it has signed is looked at. */
static outcome countersign(const struct stage_run *run, struct bench *b, const struct stage_statement *s,
			   struct fault *f)
{
	struct psa_stage stage = {.statement = *s};
	uint8_t digest[SHA256_SIZE], signature[PSA_SIGNATURE_SIZE];
	crypto_random(b->nonce, sizeof b->nonce);
	memcpy(stage.line, run->line->id, sizeof stage.line);
	memcpy(stage.nonce, b->nonce, sizeof stage.nonce);
	stage_countersigned(s, stage.line, stage.nonce, digest);
	enum psa_status status = run->psa_token
					 ? psa_initial_attest_get_token(b->psa, digest, &b->countersignature)
					 : psa_stage_countersign(b->psa, &stage, signature);
	if (status != PSA_SUCCESS)
		return psa_fault(f, run->psa_token ? "psa_initial_attest_get_token" : "psa_stage_countersign",
				 status);
	if (!run->psa_token)
		buf_add(&b->countersignature, signature, sizeof signature);
	if (b->countersignature.failed)
		return refuse(f, REASON_NO_MEMORY, "no memory for a countersignature");
	return stage_countersignature_verify(digest, buf_view(&b->countersignature), b->rot_key, false, f);
}

static outcome put_on_device(const struct bench *b, const struct arrival *arrival, struct bytes statement,
			     struct stage_done *out, struct fault *f)
{
	struct chain_parts parts = arrival->parts;
	struct buf chain = {0};
	struct chain again;
	parts.statements[parts.count++] = statement;
	memcpy(parts.nonce, b->nonce, sizeof parts.nonce);
	parts.countersignature = buf_view(&b->countersignature);
	parts.receipt = (struct bytes){0};
	chain_write(&chain, &parts);
	outcome r = chain.failed ? refuse(f, REASON_NO_MEMORY, "no memory for a chain")
				 : chain_read(buf_view(&chain), &again, f);
	if (r.ok)
		r = store_save_chain(&b->store, buf_view(&chain), f);
	out->chain_bytes = chain.n;
	buf_free(&chain);
	return r;
}

static outcome sign(struct stage_run *run, struct bench *b, const struct arrival *arrival,
		    struct stage_done *out, struct fault *f)
{
	struct stage_statement s;
	struct buf statement = {0};
	compose(run, b, arrival, &s);
	outcome r = countersign(run, b, &s, f);
	if (r.ok)
		r = counter_take(&run->counter, &out->seq, f);
	if (r.ok)
		r = stage_statement_sign(&statement, &s, run->line->key, f);
	if (r.ok)
		r = line_outbox_append(&run->outbox, buf_view(&statement), f);
	if (r.ok)
		r = put_on_device(b, arrival, buf_view(&statement), out, f);
	out->statement_bytes = statement.n;
	sha256(buf_view(&statement), out->statement);
	buf_free(&statement);
	return r;
}

outcome stage_sign(struct stage_run *run, const char *device_folder, struct stage_done *out, struct fault *f)
{
	struct bench b = {0};
	struct arrival arrival;
	*out = (struct stage_done){0};
	outcome r = power_on(&b, device_folder, run, f);
	if (r.ok)
		r = arrival_check(buf_view(&b.chain), run->order, b.instance_id, b.rot_key, &run->line->trust,
				  &arrival, f);
	if (r.ok && arrival.there_already) {
		out->there_already = true;
		out->seq = arrival.seq;
		out->chain_bytes = b.chain.n;
	} else if (r.ok) {
		r = counter_has_room(&run->counter, f);
		if (r.ok)
			r = sign(run, &b, &arrival, out, f);
	}
	power_off(&b);
	return r;
}
