"""mooringctl without any service: evidence, requests, certificates, access keys, the log's chain, and its own help."""

import base64
import csv
import datetime
import hashlib
import json
import os
import sqlite3
import subprocess
from pathlib import Path

import cbor2
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

REPO = Path(__file__).resolve().parents[2]
CTL = Path(os.environ.get("MOORING_BUILD", REPO / "build")).resolve() / "mooringctl"
VECTORS = REPO / "tests/vectors/derived"
PSA = sorted((VECTORS / "psa").glob("*.cbor"))
BINDING = "2ce31adb643e06d73a82ff1425e231373fe4e43fc27c3f4d485198ab0b08ab2e"


def ctl(*arguments, stdin=None, text=True, **environment):
    clean = {k: v for k, v in os.environ.items() if not k.startswith("MOORING_") and k != "NO_COLOR"}
    return subprocess.run([CTL, *map(str, arguments)], input=stdin, capture_output=True, text=text,
                          env={**clean, **environment}, timeout=30)


def check(token, *more, stdin=None):
    return ctl("evidence", "check", token, "--key", VECTORS / "iak_pub.pem", *more, stdin=stdin)


# -- evidence -----------------------------------------------------------------------------------------------------------

def expectations():
    with open(VECTORS / "psa-manifest.tsv", encoding="utf-8") as table:
        return {row["file"]: row["expect"] for row in csv.DictReader(table, delimiter="\t")}


@pytest.mark.parametrize("token", PSA, ids=lambda p: p.stem)
def test_every_vector_is_judged_as_its_table_says(token):
    done = ctl("--json", "evidence", "check", token, "--key", VECTORS / "iak_pub.pem", "--allow-test-keys",
               "--type", "psa-token", "--csr", VECTORS / "csr/ok-p256.der", "--binding", BINDING)
    answer = json.loads(done.stdout)
    assert answer["result"] == expectations()[f"psa/{token.name}"], answer["rule"]
    assert done.returncode == (0 if answer["result"] == "ACCEPT" else 1)
    assert (answer["result"] == "ACCEPT") == (answer["reason"] == "")


def test_every_claim_is_printed_by_name():
    done = check(VECTORS / "psa/ok-unknown-claim.cbor", "--allow-test-keys")
    assert done.returncode == 0
    for words in ("nonce " + " " * 14 + BINDING, "client ID           -1  asked for by the normal world",
                  "security lifecycle  0x3000  secured", "implementation ID", "boot seed", "software 2",
                  "measurement       3333", "signer ID         4444", "not known here",
                  "01 and SHA-256 of the key's COSE_Key"):
        assert words in done.stdout, words
    assert done.stdout.endswith("ACCEPT\n")
    assert "\033" not in done.stdout


def test_a_refusal_names_code_and_rule():
    done = check(VECTORS / "psa/lifecycle-6000.cbor")
    assert done.returncode == 1
    assert "0x6000  decommissioned" in done.stdout
    assert done.stdout.splitlines()[-1].startswith("REJECT lifecycle-not-secured: RFC 9783 4.3.1: ")


def test_a_published_test_key_is_refused_unless_allowed():
    assert check(VECTORS / "psa/ok-tfm.cbor").stdout.splitlines()[-1].startswith("REJECT published-test-key: ")
    assert check(VECTORS / "psa/ok-tfm.cbor", "--allow-test-keys").returncode == 0


def test_evidence_of_an_unchecked_signature_is_not_accepted():
    done = ctl("evidence", "check", VECTORS / "psa/wrong-key.cbor")
    assert done.returncode == 1
    assert done.stdout.splitlines()[-1].startswith("INCOMPLETE: ")


@pytest.mark.parametrize("encode", [lambda b: b.hex(), lambda b: base64.b64encode(b).decode(),
                                    lambda b: base64.urlsafe_b64encode(b).decode().rstrip("="),
                                    lambda b: "\n".join(base64.encodebytes(b).decode().split()) + "\n"],
                         ids=["hex", "base64", "base64url", "base64-lines"])
def test_evidence_may_be_given_as_text(encode):
    raw = (VECTORS / "psa/ok-tfm.cbor").read_bytes()
    assert check("-", "--allow-test-keys", stdin=encode(raw)).returncode == 0


def test_text_that_is_no_encoding_is_refused():
    done = check("-", stdin="this is not evidence!")
    assert done.returncode == 1
    assert "encoding-invalid" in done.stderr


def cose_csr(key, request, nonce, instance):
    protected = cbor2.dumps({1: -7, 3: "application/pkcs10", 15: {10: nonce, 256: instance}}, canonical=True)
    to_sign = cbor2.dumps(["Signature1", protected, b"", request])
    from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
    r, s = decode_dss_signature(key.sign(to_sign, ec.ECDSA(hashes.SHA256())))
    return cbor2.dumps(cbor2.CBORTag(18, [protected, {}, request, r.to_bytes(32, "big") + s.to_bytes(32, "big")]))


@pytest.fixture(name="signed_request")
def make_signed_request(tmp_path):
    """A COSE-signed request, its RoT's public key as PEM, and the request."""
    rot, key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    request = x509.CertificateSigningRequestBuilder().subject_name(
        x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "x")])).sign(key, hashes.SHA256())
    der = request.public_bytes(serialization.Encoding.DER)
    (tmp_path / "rot.pem").write_bytes(rot.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo))
    (tmp_path / "csr.pem").write_bytes(request.public_bytes(serialization.Encoding.PEM))
    token = cose_csr(rot, der, bytes.fromhex(BINDING), b"\x01" + bytes(32))
    (tmp_path / "token.cbor").write_bytes(token)
    return tmp_path


def test_a_signed_request_is_recognised_and_checked(signed_request):
    done = ctl("--json", "evidence", "check", signed_request / "token.cbor", "--key", signed_request / "rot.pem",
               "--csr", signed_request / "csr.pem", "--binding", BINDING)
    answer = json.loads(done.stdout)
    assert (done.returncode, answer["result"], answer["type"]) == (0, "ACCEPT", "cose-csr")
    assert {c["name"]: c["value"] for c in answer["claims"]} == {"nonce": BINDING, "instance ID": "01" + "00" * 32}
    assert [c["result"] for c in answer["checks"]] == ["ok"] * 4


@pytest.mark.parametrize("binding,reason", [("00" * 32, "nonce-mismatch"), (BINDING, "")])
def test_the_binding_is_compared(signed_request, binding, reason):
    done = ctl("--json", "evidence", "check", signed_request / "token.cbor", "--key", signed_request / "rot.pem",
               "--binding", binding)
    assert json.loads(done.stdout)["reason"] == reason


def test_a_request_beside_another_payload_is_refused(signed_request):
    done = ctl("--json", "evidence", "check", signed_request / "token.cbor", "--key", signed_request / "rot.pem",
               "--csr", VECTORS / "csr/ok-p384.der", "--binding", BINDING)
    assert json.loads(done.stdout)["reason"] == "payload-not-csr"


@pytest.fixture(name="enrolment")
def make_enrolment(tmp_path):
    """A whole enrolment request as a device sends it, and its RoT's public key."""
    rot, key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    csr = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([])).sign(key, hashes.SHA256()).public_bytes(
        serialization.Encoding.DER)
    nonce, origin = os.urandom(32), "https://gw.example.com:8443"
    binding = hashlib.sha256(b"oem-enrol-att/1\0C" + nonce + hashlib.sha256(origin.encode()).digest()
                             + hashlib.sha256(csr).digest()).digest()
    (tmp_path / "rot.pem").write_bytes(rot.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo))
    token = cose_csr(rot, csr, binding, b"\x01" + bytes(32))
    return tmp_path / "rot.pem", {
        "csr": base64.b64encode(csr).decode(), "mode": "C", "audience": origin,
        "nonce": base64.urlsafe_b64encode(nonce).rstrip(b"=").decode(),
        "evidence": {"type": "cose-csr", "value": base64.b64encode(token).decode()}}


def check_enrolment(rot, request):
    done = ctl("--json", "evidence", "check", "-", "--key", rot, stdin=json.dumps(request))
    return done.returncode, json.loads(done.stdout)


def test_a_whole_enrolment_request_brings_csr_and_binding_along(enrolment):
    code, answer = check_enrolment(*enrolment)
    assert (code, answer["result"]) == (0, "ACCEPT")
    assert [c["result"] for c in answer["checks"]] == ["ok"] * 4
    csr = ctl("--json", "csr", "check", "-", stdin=json.dumps(enrolment[1]))
    assert (csr.returncode, json.loads(csr.stdout)["result"]) == (0, "ACCEPT")


@pytest.mark.parametrize("member,value", [("audience", "https://other.example.com"), ("nonce", "A" * 43)])
def test_an_enrolment_request_for_another_gateway_or_challenge_is_refused(enrolment, member, value):
    rot, request = enrolment
    code, answer = check_enrolment(rot, {**request, member: value})
    assert (code, answer["reason"]) == (1, "nonce-mismatch")


@pytest.mark.parametrize("member,value,code", [
    ("csr", None, "field-invalid"), ("csr", "!", "encoding-invalid"), ("nonce", "AAAA", "encoding-invalid"),
    ("evidence", {"type": "tpm", "value": ""}, "evidence-type"), ("evidence", [], "field-invalid"),
    ("audience", "http://gw", "origin-unknown"), ("mode", "K", "field-invalid")])
def test_a_broken_enrolment_request_names_the_member(enrolment, member, value, code):
    rot, request = enrolment
    done = ctl("evidence", "check", "-", "--key", rot, stdin=json.dumps({**request, member: value}))
    assert done.returncode == 1 and done.stderr.startswith(f"mooringctl: {code}: ") and not done.stdout


def test_a_private_key_is_no_public_key(enrolment, tmp_path):
    subprocess.run(["openssl", "genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-out",
                    tmp_path / "rot.key"], check=True, capture_output=True)
    done = ctl("evidence", "check", "-", "--key", tmp_path / "rot.key", stdin=json.dumps(enrolment[1]))
    assert done.returncode == 1 and "holds no public key in PEM" in done.stderr


# -- requests -----------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("request_file", sorted((VECTORS / "csr").glob("*.der")), ids=lambda p: p.stem)
def test_every_request_vector_is_judged_as_its_name_says(request_file):
    done = ctl("--json", "csr", "check", request_file)
    answer = json.loads(done.stdout)
    # What ties the key to an instance ID needs the evidence: by itself such a request is in order.
    accepted = request_file.stem.startswith("ok-")
    if request_file.stem != "policy-key-is-rot":
        assert answer["result"] == ("ACCEPT" if accepted else "REJECT"), answer["rule"]
        assert done.returncode == (0 if accepted else 1)


def test_a_request_in_pem_and_der_is_the_same(signed_request):
    pem = ctl("--json", "csr", "check", signed_request / "csr.pem")
    der = x509.load_pem_x509_csr((signed_request / "csr.pem").read_bytes()).public_bytes(serialization.Encoding.DER)
    (signed_request / "csr.der").write_bytes(der)
    assert pem.stdout == ctl("--json", "csr", "check", signed_request / "csr.der").stdout
    assert json.loads(pem.stdout)["subject"] == "CN=x"


# -- certificates -------------------------------------------------------------------------------------------------------

def certificate(folder, name, days, *, ca=False, purpose=ExtendedKeyUsageOID.SERVER_AUTH, uri=None):
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.datetime.utcnow()
    builder = (x509.CertificateBuilder().subject_name(subject).issuer_name(subject).public_key(key.public_key())
               .serial_number(x509.random_serial_number()).not_valid_before(now - datetime.timedelta(days=400))
               .not_valid_after(now + datetime.timedelta(days=days, hours=1))
               .add_extension(x509.BasicConstraints(ca, None), True))
    if not ca:
        builder = builder.add_extension(x509.ExtendedKeyUsage([purpose]), False)
    if uri:
        builder = builder.add_extension(x509.SubjectAlternativeName([x509.UniformResourceIdentifier(uri)]), False)
    made = builder.sign(key, hashes.SHA256())
    path = folder / f"{name}.pem"
    path.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    return path


def test_certificates_are_listed_by_end_with_role_and_state(tmp_path):
    certificate(tmp_path, "root", 3650, ca=True)
    certificate(tmp_path, "edge", 10, uri="spiffe://example.com/service/edge/edge")
    certificate(tmp_path, "old", -1)
    certificate(tmp_path, "thing", 200, purpose=ExtendedKeyUsageOID.CLIENT_AUTH, uri="spiffe://example.com/thing/abc")
    (tmp_path / "key.pem").write_text("-----BEGIN PUBLIC KEY-----\n")
    done = ctl("--json", "ca", "status", tmp_path)
    found = json.loads(done.stdout)["certificates"]
    assert done.returncode == 1
    assert [(c["name"], c["role"], c["daysLeft"], c["state"]) for c in found] == [
        ("old", "server", 0, "expired"), ("edge", "edge, server", 10, "renew soon"), ("thing", "device", 200, "ok"),
        ("root", "root CA", 3650, "ok")]
    der = x509.load_pem_x509_certificate((tmp_path / "root.pem").read_bytes()).public_bytes(serialization.Encoding.DER)
    assert found[3]["certificateId"] == hashlib.sha256(der).hexdigest()


def test_certificates_all_in_order_are_exit_code_0(tmp_path):
    root = certificate(tmp_path, "root", 300, ca=True)
    bundle = tmp_path / "bundle.pem"
    bundle.write_bytes(certificate(tmp_path, "edge", 31).read_bytes() + root.read_bytes())
    done = ctl("ca", "status", bundle, root)
    assert done.returncode == 0
    assert [line.split()[0] for line in done.stdout.splitlines()] == ["NAME", "edge", "root"]
    assert ctl("ca", "status", bundle, "--days", "40").returncode == 1


def test_a_file_without_certificate_is_refused(tmp_path):
    (tmp_path / "x.pem").write_text("nothing")
    done = ctl("ca", "status", tmp_path / "x.pem")
    assert (done.returncode, "holds no PEM certificate" in done.stderr) == (1, True)


def test_a_file_without_certificate_hides_no_other(tmp_path):
    (tmp_path / "key.pem").write_text("-----BEGIN PUBLIC KEY-----\n")
    files = certificate(tmp_path, "edge", 300), tmp_path / "key.pem", tmp_path / "gone.pem", certificate(tmp_path, "root", 400, ca=True)
    done = ctl("ca", "status", *files)
    assert (done.returncode, [line.split()[0] for line in done.stdout.splitlines()]) == (1, ["NAME", "edge", "root"])
    assert "key.pem holds no PEM certificate" in done.stderr and "gone.pem: No such file" in done.stderr
    assert len(json.loads(ctl("--json", "ca", "status", *files).stdout)["certificates"]) == 2


# -- access keys --------------------------------------------------------------------------------------------------------

def init(folder, state, *more, out="admin.json"):
    return ctl("admin", "init", "--state-dir", state, "--master", folder / "master", "--out", folder / out, *more)


def test_admin_init_before_the_daemons_first_start(tmp_path):
    for daemon in ("gateway", "attestd"):
        state = tmp_path / daemon / "state"
        state.mkdir(parents=True)
        done = init(tmp_path / daemon, state, "--role", "operator")
        assert done.returncode == 0, done.stderr
        key = json.loads((tmp_path / daemon / "admin.json").read_text())
        assert sorted(key) == ["access_key_id", "region", "secret_access_key"]
        assert oct((tmp_path / daemon / "admin.json").stat().st_mode) == "0o100600"
        with sqlite3.connect(state / f"{daemon}.db") as db:
            assert db.execute("SELECT id, role, state FROM admin_keys").fetchall() == [
                (key["access_key_id"], "operator", "active")]
            assert db.execute("PRAGMA user_version").fetchone() == (0,)


def test_secrets_come_from_the_master(tmp_path):
    import hmac
    (tmp_path / "gateway").mkdir()
    master = bytes(range(32))
    (tmp_path / "master").write_bytes(master)
    (tmp_path / "master").chmod(0o600)
    assert init(tmp_path, tmp_path / "gateway", "--id", "ops-1").returncode == 0
    mac = hmac.new(master, b"mooring-admin/1ops-1", hashlib.sha256).digest()
    assert json.loads((tmp_path / "admin.json").read_text())["secret_access_key"] == base64.b64encode(mac[:30]).decode()


def test_admin_init_that_cannot_tell_the_daemon_asks(tmp_path):
    (tmp_path / "state").mkdir()
    done = init(tmp_path, tmp_path / "state")
    assert (done.returncode, "--daemon gateway" in done.stderr) == (1, True)
    assert not (tmp_path / "admin.json").exists()
    assert init(tmp_path, tmp_path / "state", "--daemon", "attestd").returncode == 0
    assert (tmp_path / "state/attestd.db").exists()
    assert init(tmp_path, tmp_path / "state", out="second.json").returncode == 0


def test_admin_init_overwrites_nothing(tmp_path):
    (tmp_path / "gateway").mkdir()
    assert init(tmp_path, tmp_path / "gateway", "--id", "ops-1").returncode == 0
    before = (tmp_path / "admin.json").read_bytes()
    done = init(tmp_path, tmp_path / "gateway")
    assert (done.returncode, "exists already" in done.stderr) == (1, True)
    assert (tmp_path / "admin.json").read_bytes() == before
    done = init(tmp_path, tmp_path / "gateway", "--id", "ops-1", out="second.json")
    assert (done.returncode, "conflict" in done.stderr) == (1, True)
    assert not (tmp_path / "second.json").exists()


# -- the log ------------------------------------------------------------------------------------------------------------

def chained(count):
    """Entries as the gateway gives them, their chain computed here from its definition."""
    head = hashlib.sha256(b"mooring-log/1\0").digest()
    for seq in range(1, count + 1):
        about = seq % 2 == 0
        entry = {"seq": seq, "time_ms": 1795347173000 + seq, "kind": "refused", "actor": "device", "request_id": f"R{seq}",
                 "instance_id": ("01" + "ab" * 32) if about else "", "thing": "é" * about, "certificateId": "cd" * 32 * about,
                 "reason": "nonce-mismatch", "detail": '{"rule":"RFC 9783 4.1","n":1}' if about else ""}
        canonical = cbor2.dumps([entry["seq"], entry["time_ms"], entry["kind"], entry["actor"], entry["request_id"],
                                 bytes.fromhex(entry["instance_id"]) or None, entry["thing"],
                                 bytes.fromhex(entry["certificateId"]) or None, entry["reason"], entry["detail"]])
        head = hashlib.sha256(head + canonical).digest()
        yield {**entry, "hash": head.hex()}


def verify(entries):
    text = "".join(json.dumps(e) + "\n" for e in entries)
    return ctl("--json", "log", "--verify", "--file", "-", stdin=text)


def test_a_whole_log_verifies_offline():
    entries = list(chained(20))
    done = verify(entries)
    answer = json.loads(done.stdout)
    assert (done.returncode, answer["intact"], answer["entries"]) == (0, True, 20)
    assert answer["head"] == entries[-1]["hash"]
    assert json.loads(verify([{"entries": entries[:7]}, {"entries": entries[7:]}]).stdout)["intact"]


@pytest.mark.parametrize("field,value", [("reason", "device-unknown"), ("time_ms", 1), ("thing", "other"), ("detail", "{}"),
                                         ("instance_id", "01" + "ac" * 32), ("hash", "00" * 32), ("actor", ""),
                                         ("certificateId", "")])
def test_a_changed_entry_is_found(field, value):
    entries = list(chained(20))
    entries[11][field] = value
    done = verify(entries)
    answer = json.loads(done.stdout)
    assert (done.returncode, answer["intact"], answer["entries"]) == (1, False, 11)
    assert "12" in answer["rule"]


@pytest.mark.parametrize("spoil", [lambda e: e.pop(4), lambda e: e.pop(0), lambda e: e.insert(3, e.pop(4)),
                                   lambda e: e.append(dict(e[-1]))], ids=["missing", "first", "swapped", "twice"])
def test_a_missing_moved_or_repeated_entry_is_found(spoil):
    entries = list(chained(20))
    spoil(entries)
    done = verify(entries)
    assert (done.returncode, json.loads(done.stdout)["intact"]) == (1, False)


def test_the_log_of_a_file_can_be_read():
    entries = [{**e, "thing": "bad\x1b[31mname"} for e in chained(2)]
    done = ctl("log", "--file", "-", stdin="".join(json.dumps(e) + "\n" for e in entries))
    assert done.returncode == 0
    assert len(done.stdout.splitlines()) == 3 and "REASON" in done.stdout.splitlines()[0]
    assert "bad?[31mname" in done.stdout and "\x1b" not in done.stdout


# -- itself -------------------------------------------------------------------------------------------------------------

def commands():
    lines = ctl("--help").stdout.split("Options of every command")[0].splitlines()
    return [line[2:20].strip() for line in lines if line.startswith("  ") and line[2:3].isalpha()]


def test_the_help_lists_what_there_is():
    listed = commands()
    for name in ("devices", "show", "revoke", "suspend", "resume", "allow-reenrol", "explain", "service add", "service remove",
                 "brokers", "alarms", "log", "records import", "records show", "records suspend", "records resume",
                 "admin init", "ca status", "evidence check", "chain check", "csr check", "completion"):
        assert name in listed
        done = ctl(*name.split(), "--help")
        assert done.returncode == 0
        assert done.stdout.startswith(f"usage: mooringctl {name}")
        for section in ("Options", "Exit code", "Examples"):
            assert f"\n{section}\n  " in done.stdout
        assert max(map(len, done.stdout.splitlines())) <= 110


@pytest.mark.parametrize("arguments", [(), ("frobnicate",), ("show",), ("show", "a", "b"), ("devices", "--colour"),
                                       ("devices", "--limit", "0"), ("devices", "--limit"), ("devices", "--state", "dead"),
                                       ("--json", "--json", "devices"), ("records",), ("records", "show", "--device=00",
                                                                                        "--batch=B"),
                                       ("revoke", "thing"), ("devices",), ("admin", "init"), ("completion", "fish"),
                                       ("evidence", "check", "/dev/null", "--binding", "12"),
                                       ("chain", "check", "/dev/null", "--instance-id", "01"), ("chain", "check", "/dev/null", "--stages", "10,"),
                                       ("log", "--verify", "--after=3"), ("log", "--last=3", "--after=3"),
                                       ("log", "--last=3", "--verify"), ("log", "--last=3", "--file=-")],
                         ids=" ".join)
def test_what_is_no_command_line_is_exit_code_2(arguments):
    done = ctl(*arguments)
    assert done.returncode == 2
    assert arguments == () or "mooringctl: " in done.stderr


@pytest.mark.parametrize("line,meant", [
    ("revok thing", 'there is no command "revok": did you mean revoke?'),
    ("alow-reenrol thing", 'there is no command "alow-reenrol": did you mean allow-reenrol?'),
    ("recrods show", 'there is no command "recrods": did you mean records?'),
    ("service-add x", 'there is no command "service-add": did you mean service add?'),
    ("service lst", 'there is no command "service lst": did you mean service list?'),
    ("records", "records is followed by one of: import, show, suspend, resume"),
    ("frobnicate", 'there is no command "frobnicate"'),
    ("help frobnicate", 'there is no command "frobnicate"'),
    ("brokers x", "usage: mooringctl brokers"),
    ("revoke t --reason superseded --wait 2s", '--wait must be a whole number of milliseconds from 0 to 30000, not "2s"'),
    ("devices --limit ten", '--limit must be a whole number from 1 to 500, not "ten"'),
    ("--jsn devices", "there is no option --jsn: did you mean --json?"),
    ("revoke t --reson key-compromise", "revoke: there is no option --reson: did you mean --reason?"),
    ("revoke t --endpoit=x", "revoke: there is no option --endpoit: did you mean --endpoint?"),
    ("revoke t --reason stolen", "revoke: --reason must be unspecified, key-compromise, affiliation-changed, superseded, "
                                 'cessation-of-operation or privilege-withdrawn, not "stolen"'),
    ("devices --state dead", 'devices: --state must be active, suspended or revoked, not "dead"'),
    ("admin init --role root", 'admin init: --role must be viewer, operator or admin, not "root"'),
])
def test_what_was_meant_is_suggested(line, meant):
    done = ctl(*line.split())
    assert (done.returncode, done.stdout, done.stderr.splitlines()[0]) == (2, "", f"mooringctl: {meant}")


@pytest.mark.parametrize("line,last", [
    ("frobnicate", "mooringctl --help lists the commands, mooringctl COMMAND --help explains one."),
    ("brokers x", "mooringctl brokers --help explains it."),
    ("service remove", "mooringctl service remove --help explains it."),
])
def test_wrong_use_ends_with_the_help_that_is_nearest(line, last):
    assert ctl(*line.split()).stderr.splitlines()[-1] == last


def test_help_is_a_command_too():
    for words in ((), ("revoke",), ("service", "add"), ("records",)):
        done = ctl("help", *words)
        assert (done.returncode, done.stdout) == (0, ctl(*words, "--help").stdout)


def test_help_of_a_group_and_version():
    assert ctl("records", "--help").stdout.startswith("usage: mooringctl records COMMAND")
    assert ctl("records", "show", "-h").returncode == 0
    assert ctl("--version").stdout.startswith("mooringctl ")


def test_an_unreachable_service_is_exit_code_1(tmp_path):
    (tmp_path / "gateway").mkdir()
    init(tmp_path, tmp_path / "gateway")
    root = certificate(tmp_path, "root", 10, ca=True)
    done = ctl("--endpoint", "https://127.0.0.1:1", "--ca", root, "devices", MOORING_KEY=str(tmp_path / "admin.json"))
    assert done.returncode == 1
    assert "mooringctl: " in done.stderr and not done.stdout


def complete(*words):
    script = ('source <("$0" completion bash); COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _mooringctl; '
              'printf "%s\\n" "${COMPREPLY[@]}"')
    return subprocess.run(["bash", "-c", script, str(CTL), "mooringctl", *words], capture_output=True, text=True,
                          check=True).stdout.split()


def test_completion_completes_commands_and_options():
    assert complete("rev") == ["revoke"]
    assert sorted(complete("records", "")) == ["import", "resume", "show", "suspend"]
    assert complete("--json", "service", "a") == ["add"]
    assert "--policy" in complete("service", "add", "cert.pem", "--") and "--endpoint" in complete("--end")
    assert complete("--key", "devices", "evi") == ["evidence"]
    assert complete("hel") == ["help"] and complete("help", "rec") == ["recall", "records"]


def test_completion_completes_the_values_that_there_are():
    reasons = ["affiliation-changed", "cessation-of-operation", "key-compromise", "privilege-withdrawn", "superseded",
               "unspecified"]
    assert sorted(complete("revoke", "thing", "--reason", "")) == reasons
    assert complete("revoke", "--reason", "key") == complete("revoke", "--reason", "=", "key") == ["key-compromise"]
    assert sorted(complete("revoke", "--reason", "=")) == reasons
    assert complete("--json", "devices", "--state", "s") == ["suspended"]
    assert sorted(complete("admin", "init", "--role", "")) == ["admin", "operator", "viewer"]
    assert complete("completion", "") == ["bash"]
    # what nobody can know is left to the shell, which completes files
    assert complete("suspend", "thing", "--reason", "") == complete("--ca", "") == []
