"""mooringctl against the real services: what an operator reads, roles, replays, and the log that proves itself."""

import datetime
import hashlib
import hmac
import json
import os
import re
import shutil
import subprocess

import pytest
from attester import Attester, Client, published


@pytest.fixture
def client(shared):
    return Client(shared)


@pytest.fixture(name="enrolled")
def enrol_device(shared, client):
    """A device with a certificate: (device, the answer it got)."""
    device = published(shared)[0]
    status, _, answer = client.enrol(device)
    assert status == 201, answer
    return device, answer


def new_key(stack, daemon, role, folder):
    """A key of this role, made while the daemon runs, with the daemon's own user."""
    owner = (stack.folder / daemon / "state").stat().st_uid
    out = stack.folder / daemon / "state" / f"{role}-{os.urandom(4).hex()}.json"
    stack.run(stack.program("mooringctl"), "admin", "init", "--state-dir", stack.folder / daemon / "state", "--master",
              stack.folder / daemon / "pki/admin.master", "--out", out, "--role", role, user=owner or None)
    kept = folder / out.name
    shutil.move(out, kept)
    os.chown(kept, os.geteuid(), os.getegid())
    return kept


def with_key(stack, key, *arguments):
    return stack.ctl("--key", key, *arguments, check=False)


def test_devices_and_show_tell_what_an_operator_asks(shared, enrolled):
    device, answer = enrolled
    listed = shared.ctl("devices", "--limit", "500").stdout
    assert re.search(rf"^{answer['thing']}  active +1 +1 +20", listed, re.MULTILINE)
    shown = shared.ctl("show", answer["thing"]).stdout
    for words in (f"{answer['thing']}  active\n", device.instance.hex(), answer["certificateId"][:16], "L1", "  issued\n"):
        assert words in shown, shown


def test_pages_of_devices_follow_each_other(shared):
    for device in published(shared, 3):
        assert Client(shared).enrol(device)[0] == 201
    after, found = [], []
    while True:
        page = shared.ctl_json("devices", "--limit", "2", *after)
        found += [d["thing"] for d in page["devices"]]
        if not page.get("next"):
            break
        after = ["--after", page["next"]]
    assert len(found) >= 3 and found == sorted(set(found))


def test_explain_tells_why_a_device_was_refused(shared, client):
    status, _, problem = client.enrol(Attester())
    assert status == 403
    assert shared.explain(problem["request_id"])[0] == "device-unknown"  # once it is in the log
    story = shared.ctl("explain", problem["request_id"]).stdout
    assert "refused  device-unknown" in story and "      stage " in story and "      rule " in story


def test_explain_says_what_a_request_id_is(shared):
    for unknown in ("nosuch", "0" * 26, "a/b"):
        done = shared.ctl("explain", unknown, check=False)
        assert (done.returncode, done.stdout) == (1, "")
        assert done.stderr.startswith(f'mooringctl: not-found: the log has no request "{unknown}". A request id is 26 letters')
        assert '"request_id"' in done.stderr and "X-Request-Id" in done.stderr and "mooringctl log" in done.stderr
    done = shared.ctl("--json", "explain", "nosuch", check=False)
    assert (done.returncode, json.loads(done.stdout)) == (1, {"entries": []})


def test_the_log_has_headings(shared, enrolled):
    lines = shared.ctl("log").stdout.splitlines()
    heading = r" +SEQ  TIME \(UTC\) +KIND +THING +REASON +BY +REQUEST"
    assert re.fullmatch(heading, lines[0])
    thing, request = lines[0].index("THING"), lines[0].index("REQUEST")
    issued = next(line for line in lines if enrolled[1]["thing"] in line)
    assert issued[thing:].startswith(enrolled[1]["thing"]) and issued[request:] == enrolled[1]["requestId"]
    assert shared.ctl("log", "--after", "2000000000").stdout == "no entries\n"
    assert json.loads(shared.ctl("--json", "log", "--limit", "1").stdout)["seq"] == 1


def test_the_log_ends_with_its_newest_entries(shared, enrolled):
    last = [json.loads(line) for line in shared.ctl("--json", "log", "--last", "2").stdout.splitlines()]
    rest = [json.loads(line) for line in shared.ctl("--json", "log", "--after", str(last[0]["seq"] - 1)).stdout.splitlines()]
    assert len(last) == 2 and rest[:2] == last
    assert json.loads(shared.ctl("--json", "log", "--last", "2000000000").stdout.splitlines()[0])["seq"] == 1


def test_what_is_not_there_is_exit_code_1(shared):
    done = shared.ctl("show", "nobody", check=False)
    assert (done.returncode, done.stdout) == (1, "")
    assert re.search(r"not-found: .*\(request [0-9A-Z]{26}\)", done.stderr)


def test_a_suspended_device_can_be_resumed_and_a_revoked_one_not(shared, enrolled):
    thing = enrolled[1]["thing"]
    for command, state in ((("suspend", thing, "--reason", "lost"), "suspended"), (("resume", thing), "active"),
                           (("revoke", thing, "--reason", "key-compromise"), "revoked")):
        done = shared.ctl(*command)
        assert done.stdout.endswith("effective\n") and re.search(r"broker-1 +effective +\d+ ms", done.stdout), done.stdout
        assert shared.show(thing)["state"] == state
    done = shared.ctl("resume", thing, check=False)
    assert (done.returncode, "conflict" in done.stderr) == (1, True)


def test_a_device_revoked_already_is_said_to_be_with_the_entry_that_did_it(shared, client, enrolled):
    device, answer = enrolled
    first = shared.ctl_json("revoke", answer["thing"], "--reason", "key-compromise")
    assert client.enrol(device)[0] == 403  # an entry about the device that is no change
    again = shared.ctl_json("revoke", answer["thing"], "--reason", "superseded")
    assert (first["already"], again["already"], again["reason"]) == (False, True, "key-compromise")
    assert (again["seq"], again["recorded_at_ms"]) == (first["seq"], first["recorded_at_ms"])
    said = shared.ctl("revoke", answer["thing"], "--reason", "superseded").stdout
    key = json.loads((shared.pki / "admin.json").read_text())["access_key_id"]
    assert said.startswith(f"already revoked for good: {answer['thing']}\nrecorded at 20")
    assert f", log entry {first['seq']}, because key-compromise, by {key}; nothing is changed now\n" in said


def test_a_reason_that_is_none_of_rfc_5280_is_refused(shared, enrolled):
    path, body = f"/v1/admin/devices/{enrolled[1]['thing']}/revoke", b'{"reason":"because"}'
    status, _, answer = shared.https("POST", shared.ports["admin"], path, body, signed(shared, "POST", path, body))
    assert status == 400 and "RFC 5280 5.3.1" in json.loads(answer)["detail"]
    assert shared.show(enrolled[1]["thing"])["state"] == "active"


def test_roles_bound_what_a_key_may_do(shared, enrolled, tmp_path):
    thing = enrolled[1]["thing"]
    viewer, operator = (new_key(shared, "gateway", role, tmp_path) for role in ("viewer", "operator"))
    assert with_key(shared, viewer, "show", thing).returncode == 0
    for command in (("suspend", thing), ("revoke", thing, "--reason", "unspecified")):
        done = with_key(shared, viewer, *command)
        assert (done.returncode, "forbidden" in done.stderr) == (1, True), done.stderr
    assert with_key(shared, operator, "suspend", thing).returncode == 0
    assert with_key(shared, operator, "resume", thing).returncode == 0
    done = with_key(shared, operator, "allow-reenrol", thing)
    assert (done.returncode, "forbidden" in done.stderr) == (1, True), done.stderr
    actors = {e["actor"] for e in shared.ctl_json("show", thing)["history"]}
    assert json.loads(operator.read_text())["access_key_id"] in actors


def test_an_ended_key_is_refused_at_once(shared, tmp_path):
    key = new_key(shared, "gateway", "viewer", tmp_path)
    state, owner = shared.folder / "gateway/state", (shared.folder / "gateway/state").stat().st_uid
    assert with_key(shared, key, "devices").returncode == 0
    key_id = json.loads(key.read_text())["access_key_id"]
    ctl = shared.program("mooringctl")
    shared.run(ctl, "admin", "end", key_id, "--state-dir", state, user=owner or None)
    done = with_key(shared, key, "devices")
    assert (done.returncode, "unauthenticated" in done.stderr) == (1, True)
    listed = shared.run(ctl, "admin", "keys", "--state-dir", state, user=owner or None).stdout
    assert re.search(rf"^{key_id} +viewer +ended ", listed, re.MULTILINE)


def test_an_unknown_key_and_a_wrong_secret_look_the_same(shared, tmp_path):
    genuine, said = json.loads((shared.pki / "admin.json").read_text()), set()
    for spoil in ({"secret_access_key": "A" * 40}, {"access_key_id": "MOORNOBODY"}):
        key = {**genuine, **spoil}
        (tmp_path / "key.json").write_text(json.dumps(key))
        (tmp_path / "key.json").chmod(0o600)
        done = with_key(shared, tmp_path / "key.json", "devices")
        assert (done.returncode, done.stdout) == (1, "")
        said.add(re.sub(r"request [0-9A-Z]{26}", "", done.stderr.replace(key["access_key_id"], "KEY")))
    assert len(said) == 1 and said.pop().startswith("mooringctl: unauthenticated: ")


def test_a_key_of_another_region_is_told_so(shared, tmp_path):
    key = {**json.loads((shared.pki / "admin.json").read_text()), "region": "us-east-1"}
    (tmp_path / "key.json").write_text(json.dumps(key))
    (tmp_path / "key.json").chmod(0o600)
    done = with_key(shared, tmp_path / "key.json", "devices")
    assert (done.returncode, "signed for region us-east-1" in done.stderr) == (1, True)


def signed(stack, method, path, body, payload_hash=None):
    """Headers of a request that the admin's key has signed, made here from the definition of Signature Version 4."""
    key = json.loads((stack.pki / "admin.json").read_text())
    date = datetime.datetime.utcnow().strftime("%Y%m%dT%H%M%SZ")
    scope = [date[:8], key["region"], "mooring", "aws4_request"]
    headers = {"host": f"127.0.0.1:{stack.ports['admin']}", "x-amz-date": date}
    if payload_hash:
        headers["x-amz-content-sha256"] = payload_hash
    names = ";".join(sorted(headers))
    canonical = "\n".join([method, path, "", "".join(f"{n}:{headers[n]}\n" for n in sorted(headers)), names,
                           payload_hash or hashlib.sha256(body).hexdigest()])
    secret = ("AWS4" + key["secret_access_key"]).encode()
    for part in scope:
        secret = hmac.new(secret, part.encode(), hashlib.sha256).digest()
    text = "\n".join(["AWS4-HMAC-SHA256", date, "/".join(scope), hashlib.sha256(canonical.encode()).hexdigest()])
    signature = hmac.new(secret, text.encode(), hashlib.sha256).hexdigest()
    return {**headers, "content-type": "application/json", "authorization":
            f"AWS4-HMAC-SHA256 Credential={key['access_key_id']}/{'/'.join(scope)}, SignedHeaders={names}, "
            f"Signature={signature}"}


def test_a_change_that_is_sent_again_is_refused(shared, enrolled):
    path, body = f"/v1/admin/devices/{enrolled[1]['thing']}/resume", b"{}"
    headers = signed(shared, "POST", path, body)
    answers = [shared.https("POST", shared.ports["admin"], path, body, headers) for _ in range(2)]
    assert [status for status, _, _ in answers] == [200, 401], answers
    assert "accepted before" in json.loads(answers[1][2])["detail"]


def test_an_unsigned_payload_is_refused(shared, enrolled):
    path = f"/v1/admin/devices/{enrolled[1]['thing']}/resume"
    headers = signed(shared, "POST", path, b"{}", "UNSIGNED-PAYLOAD")
    status, _, answer = shared.https("POST", shared.ports["admin"], path, b"{}", headers)
    assert status == 401 and "the payload must be signed" in json.loads(answer)["detail"]


def test_another_body_under_the_signature_is_refused(shared, enrolled):
    path = f"/v1/admin/devices/{enrolled[1]['thing']}/suspend"
    headers = signed(shared, "POST", path, b'{"reason":"a"}')
    status, _, answer = shared.https("POST", shared.ports["admin"], path, b'{"reason":"b"}', headers)
    assert status == 401 and "does not verify" in json.loads(answer)["detail"]
    assert shared.show(enrolled[1]["thing"])["state"] == "active"


def test_a_key_file_that_others_can_read_is_not_used(shared, tmp_path):
    shutil.copy(shared.pki / "admin.json", tmp_path / "key.json")
    (tmp_path / "key.json").chmod(0o644)
    done = with_key(shared, tmp_path / "key.json", "devices")
    assert (done.returncode, "chmod 600" in done.stderr) == (1, True)


def test_the_log_verifies_here_and_from_a_file(shared, enrolled, tmp_path):
    live = shared.ctl_json("log", "--verify")
    assert live["intact"] and live["entries"] > 0
    text = shared.ctl("--json", "log").stdout
    (tmp_path / "log.ndjson").write_text(text)
    done = subprocess.run([shared.program("mooringctl"), "--json", "log", "--verify", "--file", tmp_path / "log.ndjson"],
                          capture_output=True, text=True, check=True)
    assert json.loads(done.stdout)["entries"] >= live["entries"]
    lines = text.splitlines()
    entry = json.loads(lines[len(lines) // 2])
    lines[len(lines) // 2] = json.dumps({**entry, "time_ms": entry["time_ms"] + 1})
    (tmp_path / "log.ndjson").write_text("\n".join(lines) + "\n")
    done = subprocess.run([shared.program("mooringctl"), "log", "--verify", "--file", tmp_path / "log.ndjson"],
                          capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout.startswith("NOT INTACT: ")) == (1, True)


def test_brokers_services_and_alarms(shared, tmp_path):
    assert re.search(r"^broker-1 +live +\d+ s +\d+ ", shared.ctl("brokers").stdout, re.MULTILINE)
    name = f"reader-{os.urandom(3).hex()}"
    shared.issue(name, "--client", "--role", "backend", out=tmp_path / name)
    policy = shared.folder / "config/shared/policy-reader.json"
    assert shared.ctl("service", "add", tmp_path / f"{name}.pem", "--name", name, "--policy", policy).returncode == 0
    assert name in shared.ctl("service", "list").stdout
    assert shared.ctl("service", "remove", name).returncode == 0
    assert name not in shared.ctl("service", "list").stdout
    assert shared.ctl("alarms").returncode == 0


def test_a_raised_epoch_is_done_when_the_brokers_follow_again(shared):
    done = shared.ctl("epoch", "raise", "--reason", "test")
    assert done.stdout.startswith("epoch raised: test\n") and done.stdout.endswith("\neffective\n"), done.stdout
    seq = int(re.search(r"log entry (\d+)", done.stdout)[1])
    broker = shared.ctl_json("brokers")["brokers"][0]
    assert (broker["state"], broker["seq"] >= seq) == ("live", True), broker


def test_the_factory_says_which_records_are_new(shared, tmp_path):
    factory, out = shared.program("mooring-factory"), tmp_path / "batch"
    shared.run(factory, "make", "--count", "2", "--dir", out, "--batch", f"B{os.urandom(3).hex()}")
    publish = (factory, "publish", out / "records.ndjson", "--endpoint", shared.attestation,
               "--ca", shared.pki / "attestation-ca.pem", "--key", shared.pki / "vendor-admin.json")
    assert shared.run(*publish).stdout.endswith(": 2 records in 1 batch, 2 new, 0 there already\n")
    assert shared.run(*publish).stdout.endswith(": 2 records in 1 batch, 0 new, 2 there already\n")
    wrong = [shared.pki / "root.pem" if word == shared.pki / "attestation-ca.pem" else word for word in publish]
    done = shared.run(*wrong, check=False)
    assert (done.returncode, done.stdout) == (1, "") and "--ca names another authority" in done.stderr


def test_records_are_imported_again_without_change_and_shown(shared, tmp_path):
    devices = [Attester() for _ in range(3)]
    records = tmp_path / "records.ndjson"
    records.write_text("".join(json.dumps(d.record()) + "\n" for d in devices))
    first = shared.ctl_json("records", "import", records)
    again = shared.ctl("records", "import", records)
    assert (first["records"], first["inserted"]) == (3, 3)
    assert again.returncode == 0 and "3 records in 1 batch, 0 new, 3 there already\n" in again.stdout
    other = shared.ctl_json("records", "import", records, "--import-id", f"again-{os.urandom(3).hex()}")
    assert (other["inserted"], other["unchanged"]) == (0, 3)
    instance = devices[0].instance.hex()
    shown = shared.ctl("records", "show", "--device", instance).stdout
    assert shown.startswith(f"record {instance}, active\n")
    shared.ctl("records", "suspend", "--device", instance, "--reason", "stolen")
    shown = shared.ctl("records", "show", "--device", instance).stdout
    assert f"record {instance}, suspended" in shown and "stolen" in shown


def test_ca_status_reads_the_pki_of_a_deployment(shared):
    done = shared.ctl("--json", "ca", "status", shared.folder / "oem-ca", shared.folder / "edge/pki", check=False)
    roles = {c["role"] for c in json.loads(done.stdout)["certificates"]}
    assert done.returncode == 0 and "root CA" in roles and any(r.startswith("edge, ") for r in roles), done.stdout
