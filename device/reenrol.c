#include "reenrol.h"

#include "report.h"

#include <jansson.h>

static outcome set_reenrolling(struct device *d, bool reenrolling, struct fault *f)
{
	d->state.reenrolling = reenrolling;
	d->state.clock = device_clock_s(d->clock);
	return store_save_state(&d->store, &d->state, f);
}

static outcome destroy_next(struct device *d, bool *was_there, struct fault *f)
{
	enum psa_status status = psa_destroy_key(d->psa, d->state.key + 1);
	*was_there = status == PSA_SUCCESS;
	return status == PSA_SUCCESS || status == PSA_ERROR_INVALID_HANDLE
		       ? DONE
		       : psa_fault(f, "psa_destroy_key", status);
}

static bool lacks_key(const struct device *d, uint32_t key)
{
	uint8_t point[PSA_POINT_SIZE];
	return psa_export_public_key(d->psa, key, point) == PSA_ERROR_INVALID_HANDLE;
}

/* What a renewal has left as the next key may have been certified and revoked since: it goes. */
static outcome make_next(struct device *d, struct fault *f)
{
	bool left;
	outcome r = destroy_next(d, &left, f);
	if (!r.ok)
		return r;
	enum psa_status status = psa_generate_key(d->psa, d->state.key + 1);
	if (status != PSA_SUCCESS)
		return psa_fault(f, "psa_generate_key", status);
	report("key-made", "{s:I}", "key", (json_int_t)(d->state.key + 1));
	return set_reenrolling(d, true, f);
}

outcome reenrol_begin(struct device *d, bool asked, struct fault *f)
{
	outcome r = DONE;
	/* It was given up, and the power failed before the state said so. */
	if (d->state.reenrolling && lacks_key(d, d->state.key + 1))
		r = set_reenrolling(d, false, f);
	if (!r.ok || !asked || d->state.reenrolling || lacks_key(d, d->state.key))
		return r;
	return make_next(d, f);
}

/* The key first: a state that says that there is one, where there is none, is settled; a key that no state knows of
 * would be taken for a renewal's. */
static outcome give_up(struct device *d, struct fault *f)
{
	bool was_there;
	outcome r = destroy_next(d, &was_there, f);
	if (r.ok)
		r = set_reenrolling(d, false, f);
	if (r.ok && was_there)
		report("key-destroyed", "{s:I}", "key", (json_int_t)(d->state.key + 1));
	return r;
}

outcome reenrol_go_on(struct device *d, struct identity *out, struct fault *f)
{
	uint32_t key = d->state.key + 1;
	struct enrol_answer answer = {0};
	outcome r = enrol_run(d, key, NULL, &answer, f);
	out->result = answer.result;
	if (r.ok && answer.result == ENROL_CERTIFIED)
		r = identity_adopt(d, key, &answer, "enrolled", &out->credential, f);
	else if (r.ok && answer.result != ENROL_STOPPED)
		r = give_up(d, f);
	enrol_answer_free(&answer);
	return r;
}
