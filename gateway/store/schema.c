#include "store_internal.h"

/*
 * What must never happen is refused here as well as in the code: a second live key of a device's generation,
 * a serial used twice, a key of two devices, a revoked certificate that comes back, a log entry that changes.
 * (Checks by IN with three values would build a table in memory for each row: hence OR.) States are enum
 * store_state. Times are Unix seconds, or milliseconds where the name ends in _ms.
 */
const char store_schema[] =
	"CREATE TABLE meta ("
	"  id INTEGER PRIMARY KEY CHECK (id = 1),"
	"  epoch INTEGER NOT NULL," /* of the feeds: raised when an older copy of this file is put back */
	"  withdrawals_last INTEGER NOT NULL," /* the attestation service's number applied last */
	"  withdrawals_mark BLOB NOT NULL,"    /* of that entry; empty: none */
	"  withdrawals_doubt INTEGER NOT NULL" /* entries of up to this time were read anew, and lift nothing */
	") STRICT;"

	"CREATE TABLE devices ("
	"  id INTEGER PRIMARY KEY,"
	"  instance_id BLOB NOT NULL UNIQUE CHECK (length(instance_id) = 33),"
	"  thing TEXT UNIQUE," /* NULL: withdrawn before it ever asked */
	"  generation INTEGER NOT NULL DEFAULT 1 CHECK (generation >= 1),"
	"  revoked INTEGER NOT NULL DEFAULT 0 CHECK (revoked IN (0, 1))," /* the tombstone */
	"  revocation_reason TEXT NOT NULL DEFAULT '',"
	"  on_hold INTEGER NOT NULL DEFAULT 0 CHECK (on_hold IN (0, 1)),"	  /* by an operator */
	"  quarantined INTEGER NOT NULL DEFAULT 0 CHECK (quarantined IN (0, 1))," /* by a clone alarm */
	"  withdrawn INTEGER NOT NULL DEFAULT 0 CHECK (withdrawn IN (0, 1))," /* by the attestation service */
	"  granted INTEGER NOT NULL DEFAULT 0 CHECK (granted IN (0, 1)),"     /* one re-enrolment, unused */
	"  policy TEXT NOT NULL DEFAULT ''," /* attached; '': "default" holds */
	"  detached INTEGER NOT NULL DEFAULT 0 CHECK (detached IN (0, 1))," /* its certificates, from the thing */
	"  thing_type TEXT NOT NULL DEFAULT '',"
	"  attributes TEXT NOT NULL DEFAULT ''," /* JSON object, names ascending; '': none */
	"  first_seen_ms INTEGER NOT NULL"
	") STRICT;"
	"CREATE INDEX devices_revoked ON devices (thing) WHERE revoked = 1;"
	"CREATE INDEX devices_suspended ON devices (thing) WHERE revoked = 0 AND on_hold + quarantined + "
	"withdrawn > 0;"

	"CREATE INDEX devices_policy ON devices (policy, thing) WHERE policy <> '';"

	/* Each key that a certificate was ever asked for belongs to one device for good. */
	"CREATE TABLE keys ("
	"  spki_sha256 BLOB PRIMARY KEY CHECK (length(spki_sha256) = 32),"
	"  device_id INTEGER NOT NULL"
	") STRICT, WITHOUT ROWID;"

	/* The attestation result that an intent rests on, and what it was bound to. Written once. */
	"CREATE TABLE attestation_results ("
	"  id INTEGER PRIMARY KEY,"
	"  evidence TEXT NOT NULL CHECK (evidence = 'none' OR evidence = 'psa-token' OR evidence = "
	"'cose-csr'),"
	"  assurance INTEGER NOT NULL CHECK (assurance BETWEEN 0 AND 3),"
	"  evidence_sha256 BLOB NOT NULL,"
	"  nonce BLOB NOT NULL,"
	"  audience TEXT NOT NULL,"
	"  ear_sha256 BLOB NOT NULL,"
	"  ear TEXT NOT NULL"
	") STRICT;"

	"CREATE TABLE intents ("
	"  id BLOB PRIMARY KEY CHECK (length(id) = 16),"
	"  state TEXT NOT NULL CHECK (state = 'open' OR state = 'cancelled' OR state = 'void'),"
	"  cancelled_for TEXT NOT NULL DEFAULT ''," /* why its certificate can no longer become active */
	"  serial BLOB NOT NULL UNIQUE CHECK (length(serial) = 16),"
	"  device_id INTEGER NOT NULL,"
	"  generation INTEGER NOT NULL,"
	"  uses_grant INTEGER NOT NULL CHECK (uses_grant IN (0, 1)),"
	"  renews_id INTEGER," /* certificates.id */
	"  spki_sha256 BLOB NOT NULL,"
	"  not_before INTEGER NOT NULL,"
	"  not_after INTEGER NOT NULL,"
	"  profile TEXT NOT NULL,"
	"  request_id TEXT NOT NULL,"
	"  result_id INTEGER NOT NULL,"
	"  statement BLOB,"			 /* the last one of the chain it rests on */
	"  raises_at INTEGER NOT NULL DEFAULT 0" /* statements of a chain that raises the generation; 0: it does not */
	") STRICT, WITHOUT ROWID;"
	"CREATE UNIQUE INDEX intents_one_open ON intents (device_id) WHERE state = 'open';"

	"CREATE TABLE certificates ("
	"  id INTEGER PRIMARY KEY,"
	"  fingerprint BLOB NOT NULL UNIQUE CHECK (length(fingerprint) = 32),"
	"  serial BLOB NOT NULL UNIQUE CHECK (length(serial) = 16),"
	"  state INTEGER NOT NULL CHECK (state BETWEEN 0 AND 3),"
	"  device_id INTEGER NOT NULL,"
	"  generation INTEGER NOT NULL,"
	"  spki_sha256 BLOB NOT NULL,"
	"  not_before INTEGER NOT NULL,"
	"  not_after INTEGER NOT NULL,"
	"  renews_id INTEGER,"
	"  outgoing INTEGER NOT NULL DEFAULT 0 CHECK (outgoing IN (0, 1))," /* renewed, until its successor
									       connects */
	"  supersede_at INTEGER,"
	"  revocation_reason TEXT NOT NULL DEFAULT '',"
	"  revoked_at_ms INTEGER NOT NULL DEFAULT 0,"
	"  issued_at_ms INTEGER NOT NULL,"
	"  request_id TEXT NOT NULL,"
	"  result_id INTEGER NOT NULL,"
	"  der BLOB NOT NULL"
	") STRICT;"
	"CREATE INDEX certificates_device ON certificates (device_id);"
	"CREATE UNIQUE INDEX certificates_one_live ON certificates (device_id, generation, outgoing) WHERE "
	"state < 2;"
	"CREATE INDEX certificates_supersede ON certificates (supersede_at) WHERE outgoing = 1 AND state < 2;"
	"CREATE TRIGGER revoked_is_final BEFORE UPDATE OF state ON certificates WHEN OLD.state = 2 AND "
	"NEW.state <> 2 "
	"BEGIN SELECT RAISE(ABORT, 'a revoked certificate stays revoked'); END;"

	"CREATE TABLE policies ("
	"  name TEXT PRIMARY KEY,"
	"  document TEXT NOT NULL,"
	"  shipped TEXT" /* what a reset puts back; NULL: it was made by an admin */
	") STRICT, WITHOUT ROWID;"

	"CREATE TABLE services ("
	"  fingerprint BLOB PRIMARY KEY CHECK (length(fingerprint) = 32),"
	"  name TEXT NOT NULL,"
	"  state INTEGER NOT NULL CHECK (state IN (0, 4)),"
	"  not_before INTEGER NOT NULL,"
	"  not_after INTEGER NOT NULL,"
	"  der BLOB NOT NULL"
	") STRICT, WITHOUT ROWID;"
	"CREATE INDEX services_name ON services (name);"

	"CREATE TABLE brokers ("
	"  name TEXT PRIMARY KEY"
	") STRICT, WITHOUT ROWID;"

	"CREATE TABLE revoked_brokers ("
	"  name TEXT NOT NULL,"
	"  spki_sha256 BLOB NOT NULL" /* of a key, whatever the name of its certificate; empty: the name itself */
	"    CHECK (length(spki_sha256) = 0 OR length(spki_sha256) = 32),"
	"  revoked_at_ms INTEGER NOT NULL,"
	"  seq INTEGER NOT NULL," /* of its log entry */
	"  reason TEXT NOT NULL,"
	"  actor TEXT NOT NULL,"
	"  PRIMARY KEY (name, spki_sha256)"
	") STRICT, WITHOUT ROWID;"
	"CREATE TRIGGER revoked_brokers_have_no_update BEFORE UPDATE ON revoked_brokers BEGIN SELECT RAISE(ABORT, "
	"'a revoked broker stays revoked'); END;"
	"CREATE TRIGGER revoked_brokers_have_no_delete BEFORE DELETE ON revoked_brokers BEGIN SELECT RAISE(ABORT, "
	"'a revoked broker stays revoked'); END;"

	"CREATE TABLE probe (" /* written to see whether anything can be */
	"  one INTEGER PRIMARY KEY CHECK (one = 1),"
	"  time_ms INTEGER NOT NULL"
	") STRICT;"

	/* device_id is for finding a device's entries; what is hashed is in common/log_chain.h. */
	"CREATE TABLE log ("
	"  seq INTEGER PRIMARY KEY,"
	"  time_ms INTEGER NOT NULL,"
	"  kind TEXT NOT NULL,"
	"  actor TEXT NOT NULL,"
	"  request_id TEXT NOT NULL,"
	"  device_id INTEGER,"
	"  instance_id BLOB,"
	"  thing TEXT NOT NULL,"
	"  fingerprint BLOB,"
	"  reason TEXT NOT NULL,"
	"  detail TEXT NOT NULL,"
	"  hash BLOB NOT NULL CHECK (length(hash) = 32)"
	") STRICT;"
	"CREATE INDEX log_device ON log (device_id) WHERE device_id IS NOT NULL;"
	"CREATE INDEX log_request ON log (request_id) WHERE request_id <> '';"
	"CREATE INDEX log_policies ON log (thing) WHERE kind = 'policy-set';"
	"CREATE INDEX log_alarms ON log (seq) WHERE kind = 'alarm';"
	"CREATE TRIGGER log_has_no_update BEFORE UPDATE ON log BEGIN SELECT RAISE(ABORT, 'the log is "
	"append-only'); END;"
	"CREATE TRIGGER log_has_no_delete BEFORE DELETE ON log BEGIN SELECT RAISE(ABORT, 'the log is "
	"append-only'); END;"

	/* ---- provenance ---- */

	"CREATE TABLE programmes ("
	"  id INTEGER PRIMARY KEY,"
	"  programme BLOB NOT NULL UNIQUE CHECK (length(programme) = 16),"
	"  word BLOB NOT NULL DEFAULT x''," /* of the register, of what was pushed last */
	"  word_time INTEGER NOT NULL DEFAULT 0"
	") STRICT;"

	"CREATE TABLE lines ("
	"  id INTEGER PRIMARY KEY,"
	"  programme_id INTEGER NOT NULL,"
	"  line BLOB NOT NULL CHECK (length(line) = 16),"
	"  version INTEGER NOT NULL,"
	"  record BLOB NOT NULL,"
	"  held INTEGER NOT NULL DEFAULT 0 CHECK (held IN (0, 1))," /* by an operator */
	"  revoked_from INTEGER,"				    /* by an operator; NULL: not */
	"  UNIQUE (programme_id, line)"
	") STRICT;"

	/* An order never changes: a further quantity is a further batch. */
	"CREATE TABLE orders ("
	"  id INTEGER PRIMARY KEY,"
	"  programme_id INTEGER NOT NULL,"
	"  line BLOB NOT NULL CHECK (length(line) = 16),"
	"  batch TEXT NOT NULL,"
	"  stage INTEGER NOT NULL,"
	"  quota INTEGER NOT NULL,"
	"  object BLOB NOT NULL,"
	"  UNIQUE (programme_id, line, batch, stage)"
	") STRICT;"
	"CREATE INDEX orders_batch ON orders (batch);"
	"CREATE TRIGGER orders_have_no_update BEFORE UPDATE ON orders BEGIN SELECT RAISE(ABORT, 'an order does not "
	"change'); END;"

	/* Each number of an order is one statement's, and that one device's, for good. */
	"CREATE TABLE statement_uses ("
	"  order_id INTEGER NOT NULL,"
	"  seq INTEGER NOT NULL CHECK (seq >= 1),"
	"  sha256 BLOB NOT NULL CHECK (length(sha256) = 32),"
	"  device_id INTEGER NOT NULL,"
	"  time INTEGER NOT NULL," /* the register's */
	"  PRIMARY KEY (order_id, seq)"
	") STRICT, WITHOUT ROWID;"
	"CREATE TRIGGER uses_have_no_update BEFORE UPDATE ON statement_uses BEGIN SELECT RAISE(ABORT, 'a statement is "
	"used for good'); END;"
	"CREATE TRIGGER uses_have_no_delete BEFORE DELETE ON statement_uses BEGIN SELECT RAISE(ABORT, 'a statement is "
	"used for good'); END;"
	"CREATE TRIGGER uses_keep_to_the_order BEFORE INSERT ON statement_uses WHEN NEW.seq > (SELECT quota FROM "
	"orders WHERE id = NEW.order_id) BEGIN SELECT RAISE(ABORT, 'the order is for fewer'); END;"

	"CREATE TABLE chains ("
	"  device_id INTEGER PRIMARY KEY,"
	"  programme_id INTEGER NOT NULL,"
	"  statements BLOB NOT NULL," /* SHA-256 of each, first stage first */
	"  rot_key BLOB NOT NULL CHECK (length(rot_key) = 64),"
	"  raised_at INTEGER NOT NULL DEFAULT 0," /* how many there were when the generation was last raised for them */
	"  chain BLOB NOT NULL"			  /* as it was sent */
	") STRICT;"

	"CREATE TABLE frozen_batches ("
	"  programme_id INTEGER NOT NULL,"
	"  batch TEXT NOT NULL,"
	"  since_ms INTEGER NOT NULL,"
	"  PRIMARY KEY (programme_id, batch)"
	") STRICT, WITHOUT ROWID;"

	/* Statements of a line that says how many it can make in an hour. */
	"CREATE TABLE line_hours ("
	"  line_id INTEGER NOT NULL,"
	"  hour INTEGER NOT NULL," /* of the register's time */
	"  count INTEGER NOT NULL,"
	"  PRIMARY KEY (line_id, hour)"
	") STRICT, WITHOUT ROWID;"

	"CREATE TABLE register_entries ("
	"  programme_id INTEGER NOT NULL,"
	"  idx INTEGER NOT NULL CHECK (idx >= 1),"
	"  time INTEGER NOT NULL,"
	"  object BLOB NOT NULL CHECK (length(object) = 32),"
	"  head BLOB NOT NULL CHECK (length(head) = 32),"
	"  PRIMARY KEY (programme_id, idx)"
	") STRICT, WITHOUT ROWID;"
	"CREATE INDEX register_objects ON register_entries (object);"
	"CREATE TRIGGER register_has_no_update BEFORE UPDATE ON register_entries BEGIN SELECT RAISE(ABORT, 'the register "
	"is append-only'); END;"
	"CREATE TRIGGER register_has_no_delete BEFORE DELETE ON register_entries BEGIN SELECT RAISE(ABORT, 'the register "
	"is append-only'); END;"

	/* What receipts have said of the register beyond what was pushed. */
	"CREATE TABLE register_heads ("
	"  programme_id INTEGER NOT NULL,"
	"  idx INTEGER NOT NULL,"
	"  head BLOB NOT NULL CHECK (length(head) = 32),"
	"  receipt BLOB NOT NULL,"
	"  PRIMARY KEY (programme_id, idx)"
	") STRICT, WITHOUT ROWID;"

	"INSERT INTO meta VALUES (1, unixepoch(), 0, x'', 0);";
