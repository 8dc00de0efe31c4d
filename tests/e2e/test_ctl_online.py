"""mooringctl against a gateway that the test plays: what it asks and signs, what it prints, and its exit codes."""

import datetime
import hashlib
import hmac
import http.server
import ipaddress
import json
import os
import pty
import socket
import ssl
import subprocess
import threading
import urllib.parse
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

REPO = Path(__file__).resolve().parents[2]
CTL = Path(os.environ.get("MOORING_BUILD", REPO / "build")).resolve() / "mooringctl"
KEY = {"access_key_id": "MOORTEST", "secret_access_key": "c2VjcmV0IG9mIGEgdGVzdCwga25vd24gdG8gYWxs", "region": "mooring-1"}
INSTANCE = "01" + "ab" * 32


def self_signed(folder, days=1, names=(x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1")))):
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.datetime.utcnow()
    cert = (x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
            .serial_number(1).not_valid_before(now - datetime.timedelta(days=9))
            .not_valid_after(now + datetime.timedelta(days=days))
            .add_extension(x509.SubjectAlternativeName(names), False)
            .add_extension(x509.BasicConstraints(True, None), True).sign(key, hashes.SHA256()))
    (folder / "cert.pem").write_bytes(cert.public_bytes(serialization.Encoding.PEM))
    (folder / "key.pem").write_bytes(key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8,
                                                       serialization.NoEncryption()))


class Service:
    """Answers as `answers` says: {"GET /path?query": body or (status, body)}; a list is used up from its front."""

    def __init__(self, folder, **certificate):
        self_signed(folder, **certificate)
        self.folder, self.answers, self.calls = folder, {}, []
        (folder / "admin.json").write_text(json.dumps(KEY))
        (folder / "admin.json").chmod(0o600)
        service = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def answer(self):
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                service.calls.append((self.command, self.path, dict(self.headers.items()), body))
                found = service.answers.get(f"{self.command} {self.path}", (404, {"code": "not-found", "title": "?"}))
                if isinstance(found, list):
                    found = found.pop(0)
                status, value = found if isinstance(found, tuple) else (200, found)
                text = value if isinstance(value, bytes) else json.dumps(value).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json" if status == 200 else "application/problem+json")
                self.send_header("Content-Length", str(len(text)))
                self.end_headers()
                self.wfile.write(text)

            do_GET = do_POST = do_DELETE = answer

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(folder / "cert.pem", folder / "key.pem")
        self.server.socket = context.wrap_socket(self.server.socket, server_side=True)
        self.port = self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, args=(0.01,), daemon=True).start()

    def stop(self):
        self.server.shutdown()
        self.server.server_close()

    def environment(self):
        clean = {k: v for k, v in os.environ.items() if not k.startswith("MOORING_") and k != "NO_COLOR"}
        return {**clean, "MOORING_ENDPOINT": f"https://localhost:{self.port}", "MOORING_CA": str(self.folder / "cert.pem"),
                "MOORING_KEY": str(self.folder / "admin.json"), "no_proxy": "*"}

    def ctl(self, *arguments, **options):
        return subprocess.run([CTL, *map(str, arguments)], capture_output=True, text=True, env=self.environment(),
                              timeout=30, **options)

    def bodies(self):
        return [json.loads(body) for _, _, _, body in self.calls]


@pytest.fixture(name="service")
def play_service(tmp_path):
    made = Service(tmp_path)
    yield made
    made.stop()


# -- the request --------------------------------------------------------------------------------------------------------

def expected_signature(method, path, headers, body, authorization):
    """Signature Version 4, written down a second time from its definition."""
    fields = dict(f.strip().split("=", 1) for f in authorization.removeprefix("AWS4-HMAC-SHA256 ").split(","))
    scope = fields["Credential"].split("/", 1)[1]
    lower = {k.lower(): v for k, v in headers.items()}
    raw_path, _, raw_query = path.partition("?")
    query = sorted(urllib.parse.parse_qsl(raw_query, keep_blank_values=True))
    canonical = "\n".join([
        method, urllib.parse.quote(raw_path, safe="/-_.~"),
        "&".join(f"{urllib.parse.quote(k, safe='-_.~')}={urllib.parse.quote(v, safe='-_.~')}" for k, v in query),
        "".join(f"{h}:{lower[h]}\n" for h in fields["SignedHeaders"].split(";")), fields["SignedHeaders"],
        hashlib.sha256(body).hexdigest()])
    text = "\n".join(["AWS4-HMAC-SHA256", lower["x-amz-date"], scope, hashlib.sha256(canonical.encode()).hexdigest()])
    key = ("AWS4" + KEY["secret_access_key"]).encode()
    for part in scope.split("/"):
        key = hmac.new(key, part.encode(), hashlib.sha256).digest()
    return fields["Signature"], hmac.new(key, text.encode(), hashlib.sha256).hexdigest()


def test_requests_are_signed_and_names_encoded(service):
    service.answers["POST /v1/admin/devices/a%2Fb%3Fc/suspend"] = {"seq": 1, "effective": True, "brokers": []}
    service.answers["GET /v1/admin/devices?limit=7&state=active&after=%C3%A9%26"] = {"devices": []}
    assert service.ctl("suspend", "a/b?c").returncode == 0
    assert service.ctl("devices", "--limit=7", "--state", "active", "--after", "é&").stdout == "no devices\n"
    for method, path, headers, body in service.calls:
        lower = {k.lower(): v for k, v in headers.items()}
        made, expected = expected_signature(method, path, headers, body, lower["authorization"])
        assert made == expected
        assert lower["host"] == f"localhost:{service.port}"
        assert "/mooring-1/mooring/aws4_request" in lower["authorization"]


def test_two_equal_changes_are_two_requests(service):
    service.answers["POST /v1/admin/devices/t/resume"] = {"seq": 1, "effective": True, "brokers": []}
    for _ in range(2):
        assert service.ctl("resume", "t").returncode == 0
    assert len({headers["Authorization"].rsplit("=")[-1] for _, _, headers, _ in service.calls}) == 2


# -- changes ------------------------------------------------------------------------------------------------------------

EFFECTIVE = {"name": "broker-a", "state": "effective", "lag_s": 0, "effective_ms": 7}


def recorded(*brokers):
    return {"seq": 17, "recorded_at_ms": 1795347173042, "certificates": 1, "brokers": list(brokers),
            "effective": all(b["state"] == "effective" for b in brokers)}


def test_an_effective_revocation_is_exit_code_0(service):
    service.answers["POST /v1/admin/devices/t/revoke"] = recorded(EFFECTIVE)
    done = service.ctl("revoke", "t", "--reason", "key-compromise", "--wait", "500")
    assert done.returncode == 0
    assert service.bodies() == [{"reason": "key-compromise", "wait_ms": 500}]
    assert done.stdout.splitlines() == [
        "revoked for good: t", "recorded at 2026-11-22 11:32:53.042, log entry 17",
        "BROKER    STATE      EFFECTIVE AFTER  LAST HEARD OF", "broker-a  effective  7 ms             0 s ago", "effective"]


def test_a_change_that_no_broker_has_to_follow_says_so(service):
    service.answers["POST /v1/admin/devices/t/resume"] = recorded()
    done = service.ctl("resume", "t")
    assert (done.returncode, done.stdout.splitlines()[2:]) == (0, ["no broker has a feed", "effective"])


def test_what_was_done_already_is_said_with_the_entry_that_did_it(service):
    service.answers["POST /v1/admin/devices/t/revoke"] = {
        **recorded({**EFFECTIVE, "effective_ms": None}), "already": True, "reason": "key-compromise", "actor": "MOOROPS"}
    done = service.ctl("revoke", "t", "--reason", "superseded")
    assert done.returncode == 0
    assert done.stdout.splitlines() == [
        "already revoked for good: t",
        "recorded at 2026-11-22 11:32:53.042, log entry 17, because key-compromise, by MOOROPS; nothing is changed now",
        "BROKER    STATE      EFFECTIVE AFTER  LAST HEARD OF", "broker-a  effective  -                0 s ago", "effective"]


def test_raising_the_epoch_needs_a_reason_and_waits_for_the_brokers(service):
    service.answers["POST /v1/admin/epoch"] = recorded(EFFECTIVE)
    assert service.ctl("epoch", "raise").returncode == 2 and not service.calls
    done = service.ctl("epoch", "raise", "--reason", "copy of 03:00", "--wait", "500")
    assert done.returncode == 0 and done.stdout.startswith("epoch raised: copy of 03:00\nrecorded at ")
    assert service.ctl("epoch", "raise", "--reason", "again").returncode == 0
    assert service.bodies() == [{"reason": "copy of 03:00", "wait_ms": 500}, {"reason": "again", "wait_ms": 30000}]


def test_a_revocation_that_a_broker_has_not_confirmed_is_exit_code_3(service):
    service.answers["POST /v1/admin/devices/t/revoke"] = recorded(
        EFFECTIVE, {"name": "broker-b", "state": "lost", "lag_s": 40, "effective_ms": None},
        {"name": "broker-c", "state": "pending", "lag_s": 1, "effective_ms": None},
        {"name": "broker-d", "state": "lost", "lag_s": None, "effective_ms": None})
    done = service.ctl("revoke", "t", "--reason", "key-compromise")
    assert done.returncode == 3
    assert done.stdout.splitlines()[-3:] == [
        "recorded; not yet effective at: broker-b (feed lost 40 s), broker-c (pending), broker-d (feed lost)",
        "it takes effect there as soon as the broker hears of it: `mooringctl brokers` then shows",
        "CONFIRMED 17 or more. A broker that is gone for good: `mooringctl broker remove NAME`"]
    done = service.ctl("--json", "revoke", "t", "--reason", "key-compromise")
    assert done.returncode == 3
    assert json.loads(done.stdout) == service.answers["POST /v1/admin/devices/t/revoke"]


def test_a_refusal_names_code_detail_and_request(service):
    service.answers["POST /v1/admin/devices/t/resume"] = (409, {
        "type": "urn:mooring:reason:conflict", "title": "no", "status": 409, "code": "conflict",
        "detail": "the device is revoked, and revoked is final", "request_id": "01KAP"})
    done = service.ctl("resume", "t")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "mooringctl: conflict: the device is revoked, and revoked is final (request 01KAP)\n"


@pytest.mark.parametrize("answer", [(502, b"<html>bad gateway</html>"), (200, b"{\"devices\":"), (500, b"")],
                         ids=["html", "torn", "empty"])
def test_an_answer_that_is_not_the_services_is_exit_code_1(service, answer):
    service.answers["GET /v1/admin/devices?limit=50"] = answer
    done = service.ctl("devices")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("mooringctl: ")


def test_service_add_sends_the_leaf_and_the_policy(service, tmp_path):
    service.answers["POST /v1/admin/services"] = recorded()
    leaf = (service.folder / "cert.pem").read_text()
    (tmp_path / "both.pem").write_text(leaf + leaf)
    (tmp_path / "policy.json").write_text('{"Version":"2012-10-17","Statement":[]}')
    done = service.ctl("service", "add", tmp_path / "both.pem", "--name", "telemetry-1", "--policy", tmp_path / "policy.json")
    assert done.returncode == 0, done.stderr
    assert service.bodies() == [{"name": "telemetry-1", "certificatePem": leaf, "wait_ms": 2000,
                                 "policy": {"Version": "2012-10-17", "Statement": []}}]
    assert done.stdout.startswith("registered service: telemetry-1\n")


def test_a_policy_that_is_no_json_is_refused_with_its_line(service, tmp_path):
    (tmp_path / "policy.json").write_text('{\n"Version" 1}')
    done = service.ctl("service", "add", service.folder / "cert.pem", "--name", "x", "--policy", tmp_path / "policy.json")
    assert (done.returncode, "policy.json:2: " in done.stderr, service.calls) == (1, True, [])


@pytest.mark.parametrize("command,path", [(("service", "remove", "x"), "/v1/admin/services/x?wait_ms=2000"),
                                          (("broker", "remove", "x", "--wait=0"), "/v1/admin/brokers/x?wait_ms=0")])
def test_removals(service, command, path):
    service.answers[f"DELETE {path}"] = recorded(EFFECTIVE)
    assert service.ctl(*command).returncode == 0


# -- what a newcomer gets wrong ------------------------------------------------------------------------------------------

def failure(service, *arguments):
    """What is said when nothing was done."""
    done = service.ctl(*arguments)
    assert (done.returncode, done.stdout) == (1, ""), done
    assert all(line.startswith("mooringctl: ") for line in done.stderr.splitlines())
    return done.stderr


def test_without_endpoint_ca_or_key_the_missing_one_is_named(service):
    for missing in ("ENDPOINT", "CA", "KEY"):
        environment = {k: v for k, v in service.environment().items() if k != f"MOORING_{missing}"}
        done = subprocess.run([CTL, "devices"], capture_output=True, text=True, env=environment, check=False)
        assert done.returncode == 2 and f"--{missing.lower()} " in done.stderr and f"MOORING_{missing}" in done.stderr


def test_files_that_are_not_there_are_named_with_their_option(service, tmp_path):
    assert f"--ca {tmp_path}/none: No such file" in failure(service, "--ca", tmp_path / "none", "devices")
    said = failure(service, "--key", tmp_path / "none", "devices")
    assert f"--key {tmp_path}/none: No such file" in said and "mooringctl admin init" in said
    assert "--ca must name a PEM file" in failure(service, "--ca", service.folder / "admin.json", "devices")


def test_an_endpoint_that_is_no_origin_is_wrong_usage(service):
    for wrong in ("http://localhost:8444", "localhost:8444", "https://localhost:8444/", "https://localhost/v1"):
        done = service.ctl("--endpoint", wrong, "devices")
        assert done.returncode == 2 and f'--endpoint "{wrong}": an endpoint is https://host[:port] and no more' in done.stderr


def test_a_certificate_of_another_authority_is_said_to_be_that(service, tmp_path):
    (tmp_path / "other").mkdir()
    self_signed(tmp_path / "other")
    said = failure(service, "--ca", tmp_path / "other/cert.pem", "devices")
    assert "--ca names another authority" in said and "root.pem" in said


@pytest.mark.parametrize("certificate,remedy", [
    ({"names": [x509.DNSName("elsewhere.example")]}, "give --endpoint the name that the service's certificate is for"),
    ({"days": -1}, "has expired or is not valid yet: `mooringctl ca status`"),
], ids=["name", "time"])
def test_a_certificate_that_does_not_hold_is_said_to_be_that(tmp_path, certificate, remedy):
    service = Service(tmp_path, **certificate)
    said = failure(service, "devices")
    service.stop()
    assert remedy in said


def test_a_place_where_no_service_is_is_said_to_be_that(service):
    assert "is the service running" in failure(service, "--endpoint", "https://127.0.0.1:1", "devices")
    assert "is the host's name in --endpoint spelt right" in failure(service, "--endpoint", f"https://{'x' * 70}", "devices")
    with socket.socket() as mute:  # takes the connection, and hangs up
        mute.bind(("127.0.0.1", 0))
        mute.listen()
        threading.Thread(target=lambda: mute.accept()[0].close(), daemon=True).start()
        said = failure(service, "--endpoint", f"https://127.0.0.1:{mute.getsockname()[1]}", "devices")
        assert "is --endpoint the admin interface?" in said


def test_a_batch_that_nobody_has_recorded_is_named_with_what_lists_batches(service):
    service.answers["GET /v1/records?batch=NOPE&limit=500"] = {"records": [], "next": None}
    environment = service.environment()
    there = [f"--attestation-{name}={environment['MOORING_' + name.upper()]}" for name in ("endpoint", "ca", "key")]
    said = failure(service, "recall", "--batch", "NOPE", "--reason", "superseded", "--dry-run", *there)
    assert 'no record of batch "NOPE"; mooringctl records show lists' in said


@pytest.mark.parametrize("seconds,said", [(604800, "7 days"), (86400, "1 day"), (129600, "36 hours"), (90, "90 s")])
def test_an_order_says_how_long_a_device_may_be_registered(service, seconds, said):
    service.answers["GET /v1/admin/orders?batch=B&limit=500"] = {"orders": [
        {"order": "ab", "batch": "B", "stage": 1, "line": "cd", "used": 1, "quota": 2, "not_before": 1, "not_after": 2,
         "register_within_s": seconds, "frozen": False, "previous": []}], "next": None}
    assert f"registered until   {said} after that\n" in service.ctl("order", "show", "B").stdout


@pytest.mark.parametrize("status,problem,remedy", [
    (404, {"code": "not-found", "title": "?", "request_id": "01KAP"}, "is --endpoint or MOORING_ENDPOINT the other one?"),
    (401, {"code": "unauthenticated", "detail": "SigV4: the signature does not verify for key X", "request_id": "01KAP"},
     "is --key or MOORING_KEY of this one"),
    (503, {"code": "try-later", "detail": "RFC 9110 15.6.4: retry"}, "the edge answers for a daemon that does not"),
])
def test_a_refusal_that_cannot_know_why_has_a_hint(service, status, problem, remedy):
    service.answers["GET /v1/admin/devices?limit=50"] = (status, problem)
    assert remedy in failure(service, "devices")


# -- reading ------------------------------------------------------------------------------------------------------------

DEVICE = {"thing": "ajv7zq2kmeuxo4wd6tgc5hyb", "instance_id": INSTANCE, "state": "suspended", "on_hold": False,
          "quarantined": True, "withdrawn": False, "reenrolment_allowed": False, "generation": 2, "certificates": 1,
          "first_seen_ms": 1795347173042}
REFUSAL = {"seq": 12, "time_ms": 1795347173042, "kind": "refused", "actor": "device", "request_id": "01KAP",
           "instance_id": INSTANCE, "thing": "", "certificateId": "", "reason": "nonce-mismatch",
           "detail": '{"stage":"attest","evidence":"psa-token","rule":"RFC 9783 4.1: the nonce is not B"}', "hash": "00" * 32}


def test_devices_are_a_table_with_the_way_to_the_next_page(service):
    service.answers["GET /v1/admin/devices?limit=50"] = {"devices": [DEVICE, {**DEVICE, "thing": "b\x1b[2J",
                                                                             "state": "active"}], "next": "b"}
    lines = service.ctl("devices").stdout.splitlines()
    assert lines[0] == "THING                     STATE      GENERATION  CERTIFICATES  FIRST SEEN"
    assert lines[1] == "ajv7zq2kmeuxo4wd6tgc5hyb  suspended  2           1             2026-11-22 11:32:53"
    assert lines[2].startswith("b?[2J ")
    assert lines[3] == "more: --after b"


def test_show_tells_standing_cause_certificates_and_history(service):
    certificate = {"certificateId": "cd" * 32, "state": "inactive", "generation": 2, "not_before": 1795347173,
                   "not_after": 1826883173, "evidence": "psa-token", "assurance": 2}
    service.answers["GET /v1/admin/devices/t"] = {"device": DEVICE, "certificates": [certificate], "history": [REFUSAL]}
    text = service.ctl("show", "t").stdout
    for words in ("ajv7zq2kmeuxo4wd6tgc5hyb  suspended\n", "  standing           quarantined by a clone alarm: resume undoes it", INSTANCE,
                  "cdcdcdcdcdcdcdcd  inactive  2    2026-11-22 11:32:53  2027-11-22 11:32:53  psa-token  L2",
                  "#12  refused  nonce-mismatch", "rule             RFC 9783 4.1: the nonce is not B"):
        assert words in text, words


def test_explain_tells_the_story_of_a_request(service):
    service.answers["GET /v1/admin/requests/01KAP"] = {"entries": [REFUSAL]}
    assert service.ctl("explain", "01KAP").stdout.splitlines() == [
        "request 01KAP: 1 log entry", "", "  2026-11-22 11:32:53.042  #12  refused  nonce-mismatch",
        "      rule             RFC 9783 4.1: the nonce is not B", "      by               device",
        f"      instance ID      {INSTANCE}", "      stage            attest", "      evidence         psa-token"]
    assert json.loads(service.ctl("--json", "explain", "01KAP").stdout) == {"entries": [REFUSAL]}


def test_alarms_and_brokers(service):
    service.answers["GET /v1/admin/alarms?limit=500"] = {"alarms": [{**REFUSAL, "kind": "device-quarantined", "thing": "t"}]}
    service.answers["GET /v1/admin/brokers"] = {"brokers": [
        {"name": "broker-a", "state": "live", "connected_s": 61, "lag_s": 0, "seq": 17},
        {"name": "broker-b", "state": "lost", "connected_s": 0, "lag_s": None, "seq": 12}]}
    assert "device-quarantined" in service.ctl("alarms").stdout
    assert service.ctl("brokers").stdout.splitlines() == [
        "BROKER    FEED  FOR   CONFIRMED  LAST HEARD OF", "broker-a  live  61 s  17         0 s ago",
        "broker-b  lost  -     12         not since the gateway started"]


def test_alarms_are_read_to_the_last_page(service):
    alarms = [{**REFUSAL, "kind": "alarm", "seq": n, "thing": f"t{n}", "device_state": state}
              for n, state in ((7, "suspended"), (9, "active"))]
    service.answers.update({"GET /v1/admin/alarms?kind=clone-suspect&limit=500": {"alarms": alarms[:1], "next": "7"},
                            "GET /v1/admin/alarms?kind=clone-suspect&limit=500&after=7": {"alarms": alarms[1:]},
                            "GET /v1/admin/alarms?limit=500": {"alarms": alarms, "next": None}})
    told = service.ctl("alarms", "--kind", "clone-suspect").stdout
    assert [line.split() for line in told.splitlines() if "device now" in line] == [["device", "now", "suspended"], ["device", "now", "active"]]
    assert json.loads(service.ctl("--json", "alarms").stdout) == {"alarms": alarms}


def test_the_log_is_read_page_by_page(service):
    def page(first, last):
        return {"entries": [{**REFUSAL, "seq": n} for n in range(first, last + 1)]}

    service.answers.update({"GET /v1/admin/log?after=0&limit=500": page(1, 500),
                            "GET /v1/admin/log?after=500&limit=500": page(501, 612),
                            "GET /v1/admin/log?after=612&limit=500": page(1, 0)})
    lines = service.ctl("--json", "log").stdout.splitlines()
    assert [json.loads(line)["seq"] for line in lines] == list(range(1, 613))
    assert len(service.ctl("log", "--limit", "3").stdout.splitlines()) == 4  # with the heading


def test_the_newest_entries_are_asked_for_once_and_then_gone_on_from(service):
    def page(first, last):
        return {"entries": [{**REFUSAL, "seq": n} for n in range(first, last + 1)]}

    service.answers.update({"GET /v1/admin/log?after=0&limit=500&last=600": page(401, 900),
                            "GET /v1/admin/log?after=900&limit=500": page(901, 1001)})  # one came meanwhile
    lines = service.ctl("--json", "log", "--last", "600").stdout.splitlines()
    assert [json.loads(line)["seq"] for line in lines] == list(range(401, 1001))


def test_a_log_that_goes_back_is_not_read_for_ever(service):
    service.answers["GET /v1/admin/log?after=0&limit=500"] = {"entries": [{**REFUSAL, "seq": 2}, {**REFUSAL, "seq": 1}]}
    done = service.ctl("log")
    assert (done.returncode, "goes back at entry 1" in done.stderr) == (1, True)


# -- records ------------------------------------------------------------------------------------------------------------

def test_records_are_sent_in_numbered_batches(service, tmp_path):
    lines = [json.dumps({"instance_id": f"01{n:064x}", "batch": "B1", "pad": "x" * 600}) + "\n" for n in range(700)]
    (tmp_path / "records.ndjson").write_text("".join(lines))
    for n in (1, 2):
        service.answers[f"POST /v1/records/imports/march/batches/{n}"] = {
            "import": "march", "number": n, "records": 350, "inserted": 300, "unchanged": 50, "total": 350 * n}
    done = service.ctl("records", "import", tmp_path / "records.ndjson", "--import-id", "march")
    assert done.returncode == 0, done.stderr
    assert done.stdout == "import march: 700 records in 2 batches, 600 new, 100 there already\n"
    assert b"".join(body for _, _, _, body in service.calls).decode() == "".join(lines)
    assert all(len(body) <= 262144 for _, _, _, body in service.calls)


def test_an_import_that_is_refused_says_how_far_it_came(service, tmp_path):
    (tmp_path / "records.ndjson").write_text('{"instance_id":"00"}\n')
    service.answers["POST /v1/records/imports/x/batches/1"] = (400, {"code": "field-invalid", "detail": "line 1",
                                                                     "request_id": "01KAP"})
    done = service.ctl("records", "import", tmp_path / "records.ndjson", "--import-id=x")
    assert done.returncode == 1
    assert "field-invalid" in done.stderr and "0 records are in" in done.stderr


@pytest.mark.parametrize("verb,state", [("suspend", "suspended"), ("resume", "active again")])
def test_records_are_suspended_and_resumed_by_device_and_batch(service, verb, state):
    service.answers[f"POST /v1/records/{INSTANCE}/{verb}"] = {"devices": 1}
    service.answers[f"POST /v1/batches/B2/{verb}"] = {"devices": 40}
    assert f"1 record {state}" in service.ctl("records", verb, "--device", INSTANCE, "--reason", "why").stdout
    assert f"40 records {state}" in service.ctl("records", verb, "--batch", "B2").stdout
    assert service.bodies()[0] == {"reason": "why"}
    assert service.ctl("records", verb).returncode == 2


def test_records_are_asked_for_where_the_attestation_service_is(service, tmp_path):
    service.answers["GET /v1/records?limit=50"] = {"records": []}
    service.answers["GET /v1/admin/devices?limit=50"] = {"devices": []}
    here = service.environment()
    attestation = {name.replace("MOORING", "MOORING_ATTESTATION"): value for name, value in here.items() if name.startswith("MOORING_")}
    elsewhere = {"MOORING_ENDPOINT": "https://localhost:1", "MOORING_CA": str(tmp_path / "no"), "MOORING_KEY": str(tmp_path / "no")}

    def done(*arguments, **environment):
        return subprocess.run([CTL, *arguments], env={**here, **environment}, capture_output=True, text=True, timeout=30).returncode

    assert done("records", "show", **elsewhere, **attestation) == 0
    assert done("devices", **elsewhere, **attestation) != 0  # theirs is the gateway
    wrong = {name.replace("MOORING", "MOORING_ATTESTATION"): value for name, value in elsewhere.items()}
    assert done("records", "show", **wrong) != 0 and done("devices", **wrong) == 0
    options = [word for name in ("endpoint", "ca", "key") for word in (f"--{name}", here[f"MOORING_{name.upper()}"])]
    assert done("records", "show", *options, **wrong) == 0  # an option goes before both
    assert "MOORING_ATTESTATION_ENDPOINT" in service.ctl("--help").stdout and "MOORING_ATTESTATION" in service.ctl(
        "records", "suspend", "--help").stdout


def test_records_are_shown(service):
    record = {"instance_id": INSTANCE, "public_key": "MFk=", "batch": "B1", "model": "thermo-1", "state": "suspended",
              "created": 1795347173, "changed": 1795347180, "reason": "stolen"}
    service.answers[f"GET /v1/records/{INSTANCE}"] = record
    service.answers["GET /v1/records?limit=50&batch=B1"] = {"records": [record], "next": INSTANCE}
    text = service.ctl("records", "show", "--device", INSTANCE).stdout
    assert text.startswith(f"record {INSTANCE}, suspended\n") and "because            stolen" in text
    assert service.ctl("records", "show", "--batch", "B1").stdout.splitlines()[-1] == f"more: --after {INSTANCE}"


# -- terminals ----------------------------------------------------------------------------------------------------------

def on_terminal(service, *arguments, **environment):
    """What a person would see: standard output and error are one terminal."""
    main, terminal = pty.openpty()
    process = subprocess.Popen([CTL, *map(str, arguments)], stdout=terminal, stderr=terminal, stdin=subprocess.DEVNULL,
                               env={**service.environment(), **environment})
    os.close(terminal)
    seen = b""
    try:
        while chunk := os.read(main, 4096):
            seen += chunk
    except OSError:
        pass
    os.close(main)
    assert process.wait(30) == 0
    return seen.decode()


def test_colour_is_for_terminals_alone(service):
    service.answers["GET /v1/admin/devices?limit=50"] = {"devices": [DEVICE]}
    assert "\x1b[33msuspended\x1b[0m" in on_terminal(service, "devices")
    assert "\x1b" not in on_terminal(service, "devices", NO_COLOR="1")
    assert "\x1b" not in service.ctl("devices").stdout


def test_progress_is_for_terminals_alone(service, tmp_path):
    (tmp_path / "records.ndjson").write_text('{"instance_id":"00"}\n')
    service.answers["POST /v1/records/imports/x/batches/1"] = {"records": 1, "inserted": 1, "unchanged": 0}
    assert "100 %  1 record in 1 batch" in on_terminal(service, "records", "import", tmp_path / "records.ndjson",
                                                           "--import-id", "x")
    assert service.ctl("records", "import", tmp_path / "records.ndjson", "--import-id", "x").stderr == ""
