/*
 * admin.h - the admin interface: everything under /v1/admin/. JSON in, JSON out; times are Unix seconds, or
 * milliseconds where the name ends in _ms; hashes and identifiers are lower-case hex.
 *
 * viewer:
 *   GET devices?state=&limit=&after=      {"devices": [device], "next": name or null}
 *   GET devices/{thing}                   {"device": device, "certificates": [...], "history": [entry]}
 *   GET requests/{request id}             {"entries": [entry]}: all that the log has of it
 *   GET log?after=&limit=&last=           {"entries": [entry]}: of the newest `last` alone, where that is given
 *   GET alarms?kind=&since=&after=&limit= {"alarms": [entry]}
 *   GET brokers                           {"brokers": [broker], "revoked": [revoked broker]}
 *   GET changes/{seq}?known=&wait_ms=     {"seq", "effective", "brokers"}, as of a change with this number: once it is
 *                                         effective everywhere, or at another number of brokers than `known`, or
 *                                         after wait_ms (0, 30000 at most)
 *   GET services                          {"services": [service]}
 *   GET sessions?thing=&broker=&limit=&after=   {"sessions": [session], "next": cursor or null, "brokers": [{name, state,
 *                                         sessions}]}: each broker is asked, and waited for up to 2 s
 *   GET provenance                        {"classes": [...], "programmes": [programme], "frozen": [{batch, since_ms}]}
 *   GET lines                             {"lines": [line]}
 *   GET lines/{line}/devices?since=&limit=&after=   {"devices": [{thing, instance_id, batch, stage, seq, registered}],
 *                                         "next": cursor or null}: that used a statement of this line which the
 *                                         register got at or after `since`
 *   GET orders?batch=&line=&limit=&after= {"orders": [order], "next": cursor or null}
 *   GET policies?limit=&after=            {"policies": [policy], "next": name or null}
 *   GET policies/{name}                   {"policy": policy, "things": [name]}: that it is attached to, 500 at most. The
 *                                         name of a service's policy is service%2FNAME
 *   GET things/{thing}                    thing
 *   POST lookups                          {"things": [name]} or {"instance_ids": [hex]}, 1 to 500 of them:
 *                                         {"devices": [{thing, state, instance_id where asked by it}]}, in the same
 *                                         order; the state may also be unknown
 * operator:
 *   POST provenance/objects               {"objects": [base64url of a line record or work order]}, 1 to 200: {"seq",
 *                                         "lines", "orders", "unchanged"}: all of them or none
 *   POST provenance/register              {"first": N, "entries": [{"time", "object": hex}], "head": base64url of the
 *                                         register's word, of as many entries as the last of these}, 1 to 1000 of
 *                                         them: {"size", "added"}
 *   POST lines/{line}/suspend             {"reason"}: no enrolment by it until `resume`; answered {"seq", "already",
 *   POST lines/{line}/resume              {}          "line": line}, as the other two
 *   POST lines/{line}/revoke              {"reason", "from": Unix seconds}: what the register got from then on counts
 *                                         for nothing
 * operator, each answered with a change:
 *   POST devices/{thing}/suspend          {"reason"}
 *   POST devices/{thing}/resume           {}
 *   POST devices/{thing}/revoke           {"reason": RFC 5280 5.3.1 name, "key-compromise"}
 *   POST revocations, POST suspensions    {"things": [name]} or {"instance_ids": [hex]}, "reason": 1 to 500 devices in
 *                                         one transaction; what is so already stays as it is. The answer has
 *                                         also: changed, unchanged, added (of the changed ones: never enrolled),
 *                                         unknown: [names]
 *   POST brokers/{name}/revoke            {"reason", "spki_sha256"}: the key of one certificate; without it, the
 *                                         name for good. Its feed ends; no broker is waited for
 * admin:
 *   POST batches/{batch}/release          {"reason"}: ends a freeze; {"seq", "batch"}
 * admin, each answered with a change:
 *   POST reattestations                   as revocations: each device's certificates are revoked, and it may enrol once
 *                                         more, through all that is asked of a new one
 *   POST devices/{thing}/allow-reenrol    {"reason"}
 *   POST services                         {"name", "certificatePem", "policy": document}
 *   DELETE services/{name}
 *   DELETE brokers/{name}                 one that has no feed
 *   POST policies/{name}                  {"document": text, "accept_dangers": false}: refused where it does not compile, or
 *                                         lint finds a danger that is not accepted. The answer has also: findings
 *   POST policies/{name}/reset            {}: of "default" or of a service, to the document that it came with
 *   DELETE policies/{name}                an admin's own that is attached to nothing
 *   POST policies/{name}/attach, detach   {"thing"}: in place of another that is attached; detached, "default" holds
 *   POST things/{thing}                   {"type": text or null, "attributes": {name: text or null}}: what is not named
 *                                         stays; null and "" take away
 *   POST things/{thing}/attach, detach    {}: its certificates, to the thing
 *   POST epoch                            {"reason"}: after an older copy of the database was put back, and
 *                                         what was revoked since is revoked again, brokers are fed from it
 *
 * A mutating request may say "wait_ms" (2000 by default, 30000 at most; a query parameter for DELETE): the
 * answer waits until the change is effective at every broker with a live feed, or for that long.
 *
 *   device       thing, instance_id, state (active, suspended, revoked), on_hold, quarantined, withdrawn,
 *                reenrolment_allowed, generation, certificates (live ones), first_seen_ms
 *   certificate  certificateId, serial, state (active, inactive, revoked, expired), revocation_reason,
 *                not_before, not_after, issued_at_ms, revoked_at_ms, generation, spki_sha256, evidence,
 *                assurance, ear, request_id, outgoing, certificatePem
 *   entry        seq, time_ms, kind, actor, request_id, instance_id, thing, certificateId, reason, detail,
 *                hash, as common/log_chain.h hashes them: `detail` is the JSON text that was stored,
 *                instance_id and certificateId are "" where there is none
 *   broker       name, state (live, lost), connected_s, lag_s, seq, spki_sha256 (of its certificate's key; null where
 *                lost); lag_s is null for a broker that was not heard of since this gateway started
 *   revoked      name, spki_sha256 (null: the whole name), revoked_at_ms, reason, actor
 *   broker
 *   session      thing or service (the other is null; both are where the certificate is registered no more),
 *                client_id, certificateId, broker, connected_ms, address, protocol ("3.1", "3.1.1", "5"); in order
 *                of the brokers' names, and of a broker in the order in which they came. Of a broker: answered (and
 *                how many sessions it has, whatever was asked), silent, lost, or outdated (a plugin that cannot say)
 *   programme    programme, name, lines, orders, devices (with a chain on record), register_size (of the copy),
 *                register_time (of its newest entry), register_said (time of the register's newest word, 0: none)
 *   line         line (key id), programme, site, state (in force: active, suspended, revoked), revoked_from (in force;
 *                null: not), record_state and record_revoked_from (the line authority's), suspended_by_operator and
 *                operator_revoked_from, stages, version, not_before, not_after, per_hour (0: not said)
 *   order        order (hash), programme, batch, stage, line, quota, used, frozen, not_before, not_after,
 *                register_within_s, previous: [line]
 *   policy       name, document (text), shipped (a reset is possible), edited (and would change it), things (how many
 *                it is attached to)
 *   thing        thing, type (or null), attributes, policy, attached, certificates (live ones)
 *   finding      code, severity (note, warning, danger), place, text, remedy
 *   service      name, certificateId, not_before, not_after, policy (text)
 *   change       seq, recorded_at_ms, certificates (how many changed), effective, brokers: [{name, state
 *                (effective, pending, lost), lag_s, effective_ms}], certificateId for a new service;
 *                effective_ms is from the durable row to the broker's receipt, null where there is none
 */
#ifndef MOORING_ADMIN_H
#define MOORING_ADMIN_H

#include "gateway/gateway.h"

/* Authenticates (SigV4, role by route) and answers, at once or later. For every path that begins with
 * "/v1/admin/". */
void admin_handle(struct gateway *g, struct scgi_request *r);

#endif
