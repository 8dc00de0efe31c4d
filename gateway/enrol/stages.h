/*
 * stages.h - the stages of the enrolment path and the loop that drives them.
 */
#ifndef MOORING_STAGES_H
#define MOORING_STAGES_H

#include "enrol.h"

#include <jansson.h>

struct stage {
	const char *name;
	enum step (*run)(struct enrol *e, struct fault *f);
	bool may_wait;
	bool past_deadline; /* goes on when the caller's time is over */
};

extern const struct stage enrol_stages[];
extern const size_t enrol_stage_count;

enum step s1_receive(const struct enrol *seen, struct receive_out *mine, struct fault *f);
enum step s2_authenticate(const struct enrol *seen, struct authenticate_out *mine, struct fault *f);
enum step s3_csr(const struct enrol *seen, struct csr_out *mine, struct fault *f);
enum step s4_attest(const struct enrol *seen, struct attest_out *mine, struct fault *f);
enum step s5_provenance(const struct enrol *seen, struct provenance_out *mine, struct fault *f);
enum step s6_policy(const struct enrol *seen, struct policy_out *mine, struct fault *f);
enum step s7_issue(const struct enrol *seen, struct issue_out *mine, struct fault *f);
enum step s8_record(const struct enrol *seen, struct record_out *mine, struct fault *f);
enum step s9_respond(const struct enrol *seen, struct respond_out *mine, struct fault *f);

/* What is known of a device's origin, for a log entry; NULL where that is nothing. json_decref. */
json_t *s5_provenance_detail(const struct provenance_out *p);

/* NEXT or FAIL from an outcome, so that a stage that waits for nothing is one line a rule. */
static inline enum step step_of(outcome r)
{
	return r.ok ? STEP_NEXT : STEP_FAIL;
}

#endif
