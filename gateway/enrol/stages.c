#include "stages.h"

/* Each row hands its stage the request to read, and nothing but the stage's own output to write. */

static enum step receive(struct enrol *e, struct fault *f)
{
	return s1_receive(e, &e->receive, f);
}

static enum step authenticate(struct enrol *e, struct fault *f)
{
	return s2_authenticate(e, &e->authenticate, f);
}

static enum step csr(struct enrol *e, struct fault *f)
{
	return s3_csr(e, &e->csr, f);
}

static enum step attest(struct enrol *e, struct fault *f)
{
	return s4_attest(e, &e->attest, f);
}

static enum step provenance(struct enrol *e, struct fault *f)
{
	return s5_provenance(e, &e->provenance, f);
}

static enum step policy(struct enrol *e, struct fault *f)
{
	return s6_policy(e, &e->policy, f);
}

static enum step issue(struct enrol *e, struct fault *f)
{
	return s7_issue(e, &e->issue, f);
}

static enum step record(struct enrol *e, struct fault *f)
{
	return s8_record(e, &e->record, f);
}

static enum step respond(struct enrol *e, struct fault *f)
{
	return s9_respond(e, &e->respond, f);
}

const struct stage enrol_stages[] = {
	/* name, function, may wait, goes on when the caller's time is over */
	{"receive", receive, false, false},
	{"authenticate", authenticate, true, false},
	{"csr", csr, false, false},
	{"attest", attest, true, false},
	{"provenance", provenance, true, false},
	{"policy", policy, false, false},
	{"issue", issue, true, true},
	{"record", record, true, true},
	{"respond", respond, false, true},
};

const size_t enrol_stage_count = sizeof enrol_stages / sizeof *enrol_stages;
