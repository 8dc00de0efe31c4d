/* Record: the certificate is durable and reaches the brokers before the device has it. */
#include "stages.h"

static void on_recorded(const struct store_recorded *answer, const struct fault *f, void *arg)
{
	struct record_out *mine = arg;
	if (f) {
		mine->failed = true;
		mine->fault = *f;
		mine->fault_logged = answer && answer->logged;
	}
	enrol_wake(mine->waker);
}

enum step s8_record(const struct enrol *seen, struct record_out *mine, struct fault *f)
{
	if (seen->issue.reserved == STORE_EXISTS)
		return STEP_NEXT;
	if (!mine->asked) {
		mine->asked = true;
		mine->waker = seen->waker;
		store_record(seen->gateway->store, seen->issue.intent.id, buf_view(&seen->issue.certificate),
			     on_recorded, mine);
		return STEP_WAIT;
	}
	if (mine->failed) {
		*f = mine->fault;
		return STEP_FAIL;
	}
	return STEP_NEXT;
}
