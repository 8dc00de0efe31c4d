#include "signer.h"

#include "authorise.h"
#include "certificate.h"
#include "journal.h"
#include "ledger.h"
#include "common/clock.h"
#include "common/log.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct signer {
	const struct signer_config *config;
	struct journal *journal;
	struct ledger *ledger;
	struct authoriser authoriser;
	int64_t latest;	    /* time of the newest attested certificate, which a verifier's clock agreed to */
	size_t uncommitted; /* entries of the ledger */
	bool journal_fails;
	struct buf raw; /* a record read back; kept for its memory */
};

/* ---- learning the journal ---- */

static outcome learn(void *arg, const struct journal_record *r, uint64_t offset, struct fault *f)
{
	struct signer *s = arg;
	struct fault why;
	if (r->attested && r->time > s->latest)
		s->latest = r->time;
	outcome o = ledger_add(s->ledger, r, offset, &why);
	if (o.ok)
		return o;
	enum reason reason = why.reason == REASON_CONFLICT ? REASON_JOURNAL : why.reason;
	return refuse(f, reason, "the journal's record at byte %llu: %s", (unsigned long long)offset,
		      why.text);
}

static void report(const struct signer *s, const char *path, int64_t took_ms)
{
	struct journal_facts facts = journal_facts(s->journal);
	if (facts.created)
		log_line(LOG_LEVEL_WARN, NULL, "journal %s is new: nothing was ever signed here", path);
	if (facts.cut)
		log_line(LOG_LEVEL_WARN, NULL,
			 "journal %s: cut off %llu bytes of a last record that was never answered", path,
			 (unsigned long long)facts.cut);
	log_line(LOG_LEVEL_INFO, NULL, "journal %s: %llu records, %llu bytes, verified in %lld ms", path,
		 (unsigned long long)facts.records, (unsigned long long)facts.bytes, (long long)took_ms);
}

outcome signer_new(const struct signer_config *config, struct signer_keys *keys, struct signer **out,
		   struct fault *f)
{
	char path[PATH_MAX];
	int64_t start = clock_monotonic_ms();
	struct signer *s = calloc(1, sizeof *s);
	if (!s || !(s->ledger = ledger_new())) {
		free(s);
		return refuse(f, REASON_NO_MEMORY, "no memory for the signer");
	}
	s->config = config;
	s->authoriser = (struct authoriser){.config = config, .keys = keys, .ledger = s->ledger};
	outcome o = (size_t)snprintf(path, sizeof path, "%s/journal", config->state_dir) < sizeof path
			    ? journal_open(path, learn, s, &s->journal, f)
			    : refuse(f, REASON_CONFIG, "state_dir: the path is too long");
	if (!o.ok) {
		signer_free(s);
		return o;
	}
	report(s, path, clock_monotonic_ms() - start);
	*out = s;
	return DONE;
}

void signer_free(struct signer *s)
{
	if (!s)
		return;
	journal_close(s->journal);
	ledger_free(s->ledger);
	buf_free(&s->raw);
	free(s);
}

/* ---- deciding ---- */

static outcome remember(struct signer *s, const struct journal_record *record, struct fault *f)
{
	outcome o = ledger_add(s->ledger, record, journal_end(s->journal), f);
	if (!o.ok)
		return o;
	o = journal_append(s->journal, record, f);
	if (o.ok)
		s->uncommitted++;
	else
		ledger_drop_last(s->ledger, 1);
	return o;
}

static outcome answer_from_journal(const struct signer *s, const struct ledger_entry *known,
				   const struct journal_record *record, struct signer_decision *d,
				   struct fault *f)
{
	buf_bytes(&d->certificate, record->certificate);
	d->answer.status = SIGNER_OK;
	d->awaits_commit = journal_is_pending(s->journal, known->offset);
	return d->certificate.failed ? refuse(f, REASON_NO_MEMORY, "no memory for a certificate") : DONE;
}

static outcome recall(struct signer *s, const struct ledger_entry *known, struct journal_record *out,
		      struct fault *f)
{
	outcome o = journal_read(s->journal, known->offset, &s->raw, out, f);
	return o.ok && memcmp(out->intent, known->intent, INTENT_ID_SIZE)
		       ? refuse(f, REASON_JOURNAL, "the record read back is another's")
		       : o;
}

static outcome decide_find(struct signer *s, const struct signer_request *r, struct signer_decision *d,
			   struct fault *f)
{
	const struct ledger_entry *known = ledger_by_intent(s->ledger, r->intent);
	struct journal_record record;
	if (!known || known->is_void) {
		d->answer.status = SIGNER_NONE;
		d->awaits_commit = known && journal_is_pending(s->journal, known->offset);
		return DONE;
	}
	outcome o = recall(s, known, &record, f);
	return o.ok ? answer_from_journal(s, known, &record, d, f) : o;
}

static outcome decide_void(struct signer *s, const struct signer_request *r, int64_t now,
			   struct signer_decision *d, struct fault *f)
{
	const struct ledger_entry *known = ledger_by_intent(s->ledger, r->intent);
	struct journal_record record = {.kind = JOURNAL_VOID, .time = now};
	if (known && !known->is_void)
		return decide_find(s, r, d, f);
	d->answer.status = SIGNER_OK;
	d->awaits_commit = !known || journal_is_pending(s->journal, known->offset);
	if (known)
		return DONE;
	outcome o = authorise_take_void(&s->authoriser, clock_monotonic_us(), f);
	if (!o.ok)
		return o;
	memcpy(record.intent, r->intent, sizeof record.intent);
	return remember(s, &record, f);
}

static outcome build_tbs(const struct signer *s, const struct signer_request *r,
			 const struct authorisation *m, struct buf *tbs, struct fault *f)
{
	char uri[SAN_URI_MAX];
	struct buf subject = {0};
	struct plan plan = {.profile = m->profile,
			    .issuer = m->issuer,
			    .not_before = r->not_before,
			    .not_after = r->not_after,
			    .spki = m->csr.spki,
			    .trust_domain = s->config->issuing.trust_domain,
			    .uri = uri};
	memcpy(plan.serial, r->serial, sizeof plan.serial);
	outcome o = certificate_uri(s->config->issuing.trust_domain, m->profile->uri_kind, m->thing, uri, f);
	if (o.ok)
		o = certificate_name(m->thing, NULL, &subject, f);
	plan.subject = buf_view(&subject);
	if (o.ok)
		o = certificate_tbs(&plan, tbs, f);
	buf_free(&subject);
	return o;
}

static outcome sign_and_remember(struct signer *s, const struct signer_request *r,
				 const struct authorisation *m, struct bytes tbs,
				 struct journal_record *record, struct signer_decision *d, struct fault *f)
{
	const struct lint_expect expect = {m->profile, m->issuer, s->config->issuing.trust_domain,
					   record->time, s->config->max_lifetime_s};
	struct lint_approval *approval = NULL;
	outcome o = lint_approve(tbs, &expect, &approval, f);
	if (o.ok && !m->profile->attested)
		o = authorise_take_unattested(&s->authoriser, clock_monotonic_us(), f);
	if (o.ok)
		o = issuer_sign(m->issuer, approval, &d->certificate, f);
	lint_approval_free(approval);
	if (!o.ok)
		return o;
	memcpy(record->intent, r->intent, sizeof record->intent);
	memcpy(record->serial, r->serial, sizeof record->serial);
	memcpy(record->binding, m->binding, sizeof record->binding);
	record->attested = m->profile->attested;
	record->certificate = buf_view(&d->certificate);
	d->answer.status = SIGNER_OK;
	d->awaits_commit = true;
	if (record->attested && record->time > s->latest)
		s->latest = record->time;
	return remember(s, record, f);
}

/* A second request for an intent gets the first one's certificate if it would make the same one, else
 * nothing. */
static outcome repeat(struct signer *s, const struct ledger_entry *known, const struct journal_record *first,
		      const uint8_t tbs_sha256[SHA256_SIZE], struct signer_decision *d, struct fault *f)
{
	if (memcmp(first->tbs_sha256, tbs_sha256, SHA256_SIZE))
		return refuse(f, REASON_SIGNER_INTENT, "another certificate was signed for this intent");
	return answer_from_journal(s, known, first, d, f);
}

static outcome issue_authorised(struct signer *s, const struct signer_request *r,
				const struct authorisation *m, const struct ledger_entry *known,
				const struct journal_record *first, struct journal_record *record,
				struct signer_decision *d, struct fault *f)
{
	struct buf tbs = {0};
	outcome o = build_tbs(s, r, m, &tbs, f);
	if (o.ok) {
		sha256(buf_view(&tbs), record->tbs_sha256);
		if (known)
			o = repeat(s, known, first, record->tbs_sha256, d, f);
		else if (ledger_by_serial(s->ledger, r->serial))
			o = refuse(f, REASON_SIGNER_SERIAL, "the serial is that of another certificate");
		else
			o = sign_and_remember(s, r, m, buf_view(&tbs), record, d, f);
	}
	buf_free(&tbs);
	return o;
}

static outcome decide_issue(struct signer *s, struct bytes message, const struct signer_request *r,
			    int64_t now, struct signer_decision *d, struct fault *f)
{
	const struct ledger_entry *known = ledger_by_intent(s->ledger, r->intent);
	struct journal_record record = {.kind = JOURNAL_CERTIFICATE, .time = now}, first;
	struct authorisation m;
	sha256(message, record.request_sha256);
	if (known && known->is_void)
		return refuse(f, REASON_SIGNER_INTENT, "this intent was given up: it will never be signed");
	outcome o = known ? recall(s, known, &first, f) : DONE;
	if (!o.ok)
		return o;
	if (known && !memcmp(first.request_sha256, record.request_sha256, SHA256_SIZE))
		return answer_from_journal(s, known, &first, d, f);
	if (now < s->latest - CLOCK_BACK_MAX_S)
		return refuse(f, REASON_CLOCK_SUSPECT,
			      "the clock is %lld s behind a certificate that was signed before",
			      (long long)(s->latest - now));
	o = authorise_request(&s->authoriser, r, now, &m, f);
	return o.ok ? issue_authorised(s, r, &m, known, &first, &record, d, f) : o;
}

void signer_decide(struct signer *s, struct bytes message, const struct signer_request *r, int64_t now,
		   struct signer_decision *out)
{
	*out = (struct signer_decision){0};
	struct fault *f = &out->answer.refusal;
	outcome o = r->op == SIGNER_ISSUE  ? decide_issue(s, message, r, now, out, f)
		    : r->op == SIGNER_FIND ? decide_find(s, r, out, f)
					   : decide_void(s, r, now, out, f);
	memcpy(out->answer.intent, r->intent, sizeof out->answer.intent);
	out->answer.certificate = buf_view(&out->certificate);
	if (o.ok)
		return;
	out->answer.status = SIGNER_REFUSED;
	out->awaits_commit = false;
	char intent[HEX_SIZE(INTENT_ID_SIZE)];
	hex_encode(bytes_of(r->intent, INTENT_ID_SIZE), intent);
	log_fault(LOG_LEVEL_WARN, NULL, f, "intent %s refused", intent);
}

/* ---- committing ---- */

static void refuse_uncommitted(struct signer *s, const struct fault *why, struct signer_decision *decisions,
			       size_t count)
{
	ledger_drop_last(s->ledger, s->uncommitted);
	for (size_t i = 0; i < count; i++) {
		if (!decisions[i].awaits_commit)
			continue;
		decisions[i].answer.status = SIGNER_REFUSED;
		decisions[i].answer.refusal = *why;
	}
}

bool signer_commit(struct signer *s, struct signer_decision *decisions, size_t count)
{
	struct fault f;
	outcome o = journal_commit(s->journal, &f);
	if (!o.ok)
		refuse_uncommitted(s, &f, decisions, count);
	bool lost = journal_is_lost(s->journal);
	if (!o.ok && !lost && !s->journal_fails)
		log_fault(LOG_LEVEL_ERROR, NULL, &f,
			  "the journal cannot be written: nothing is signed until it can");
	if (o.ok && s->uncommitted && s->journal_fails)
		log_line(LOG_LEVEL_INFO, NULL, "the journal is written again");
	if (s->uncommitted)
		s->journal_fails = !o.ok;
	s->uncommitted = 0;
	return !lost;
}

void signer_decision_free(struct signer_decision *d)
{
	buf_free(&d->certificate);
	*d = (struct signer_decision){0};
}
