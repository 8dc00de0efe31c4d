"""The signer alone: what it signs, what it refuses and for which reason, and what its journal remembers."""

import calendar
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import cbor2
import pytest
from attester import instance_id, make_csr
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from signer_peer import HOUR, ORIGIN, YEAR, Refused, SignerProcess, find, load, read_journal, void
from stack import ROOT, StackError, wait_until

REPO = Path(__file__).resolve().parents[2]
BUILD = Path(os.environ.get("MOORING_BUILD") or REPO / "build").resolve()
VECTORS = REPO / "tests/vectors/derived/csr"


@pytest.fixture(scope="module")
def signer(tmp_path_factory):
    made = SignerProcess(BUILD, reachable(tmp_path_factory.mktemp("signer"))).start()
    yield made
    made.stop()


@pytest.fixture
def lone(tmp_path):
    """Set up, not started; stopped, if it was."""
    made = SignerProcess(BUILD, reachable(tmp_path))
    yield made
    made.stop()


def reachable(folder):
    """The signer's own uid must be able to walk to its folders."""
    for path in (folder, *folder.parents):
        if path.stat().st_uid == os.geteuid() and str(path).startswith("/tmp"):
            path.chmod(path.stat().st_mode | 0o011)
    return folder


def verify(certificate, issuer):
    assert certificate.issuer == issuer.subject
    issuer.public_key().verify(certificate.signature, certificate.tbs_certificate_bytes, ec.ECDSA(hashes.SHA256()))


def refusal(peer, request):
    with pytest.raises(Refused) as refused:
        peer.ask(request)
    return refused.value.reason


# -- what is signed ---------------------------------------------------------------------------------------------------


def test_certificate_is_exactly_the_profile(signer, tmp_path):
    key, rot = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    request = signer.request(key=key, rot=rot)
    certificate = load(signer.ask(request))
    issuer = x509.load_pem_x509_certificate((signer.ca / "device.pem").read_bytes())
    verify(certificate, issuer)
    thing = signer.thing(instance_id(rot))
    assert certificate.version == x509.Version.v3
    assert certificate.serial_number == int.from_bytes(request[4], "big")
    assert certificate.subject == x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, thing)])
    assert certificate.public_key().public_numbers() == key.public_key().public_numbers()
    assert calendar.timegm(certificate.not_valid_before.timetuple()) == request[5]
    assert calendar.timegm(certificate.not_valid_after.timetuple()) == request[6]
    extensions = {e.oid._name: (e.critical, e.value) for e in certificate.extensions}
    assert set(extensions) == {"basicConstraints", "keyUsage", "extendedKeyUsage", "subjectKeyIdentifier",
                               "authorityKeyIdentifier", "subjectAltName"}
    assert extensions["basicConstraints"] == (True, x509.BasicConstraints(ca=False, path_length=None))
    usage = extensions["keyUsage"][1]
    assert extensions["keyUsage"][0] and usage.digital_signature and not usage.key_cert_sign and not usage.key_encipherment
    assert list(extensions["extendedKeyUsage"][1]) == [ExtendedKeyUsageOID.CLIENT_AUTH]
    assert list(extensions["subjectAltName"][1]) == [
        x509.UniformResourceIdentifier(f"spiffe://example.com/thing/{thing}")]
    key_id = issuer.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value.digest
    assert extensions["authorityKeyIdentifier"][1].key_identifier == key_id
    path = tmp_path / "leaf.pem"
    path.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    done = subprocess.run(["openssl", "verify", "-x509_strict", "-purpose", "sslclient", "-CAfile", signer.ca / "root.pem",
                           "-untrusted", signer.ca / "device.pem", path], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("curve", [ec.SECP256R1, ec.SECP384R1, ec.SECP521R1])
def test_all_curves_are_signed(signer, curve):
    key = ec.generate_private_key(curve())
    certificate = load(signer.ask(signer.request(key=key)))
    assert certificate.public_key().curve.name == curve.name


@pytest.mark.parametrize("serial", [b"\xff" * 16, b"\x00" * 7 + b"\x80" + os.urandom(8), b"\x7f" + b"\x00" * 15],
                         ids=["all-ones", "leading-zeros", "top-of-positive"])
def test_serials_are_written_positive_and_short(signer, serial):
    serial = serial[:-1] + os.urandom(1)
    assert load(signer.ask(signer.request(serial=serial))).serial_number == int.from_bytes(serial, "big")


def test_the_same_request_gets_the_same_bytes(signer):
    request = signer.request()
    first = signer.ask(request)
    size = signer.journal.stat().st_size
    assert signer.ask(request) == first
    assert signer.ask(find(request[2])) == first
    assert signer.journal.stat().st_size == size


def test_fresh_evidence_for_the_same_intent_gets_the_same_bytes(signer):
    key, rot = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    request = signer.request(key=key, rot=rot)
    first = signer.ask(request)
    again = signer.request(key=key, rot=rot, intent=request[2], serial=request[4], not_before=request[5],
                           not_after=request[6])
    assert again[8] != request[8] and again[7] != request[7]
    assert signer.ask(again) == first


def test_a_repetition_is_answered_when_its_evidence_has_grown_old(signer):
    issued_at = int(time.time()) - 298
    request = signer.request(iat=issued_at)
    first = signer.ask(request)

    def is_old():
        try:
            signer.ask(signer.request(iat=issued_at))
        except Refused as refused:
            return refused.reason == "ear-age"
        return False
    wait_until(is_old, "an attestation result of that time is refused")
    assert signer.ask(request) == first


def test_find_void_and_what_follows(signer):
    request = signer.request()
    assert signer.ask(find(request[2])) is None
    assert signer.ask(void(request[2])) is None
    assert signer.ask(void(request[2])) is None
    assert signer.ask(find(request[2])) is None
    assert refusal(signer.peers[-1], request) == "signer-intent-conflict"
    signed = signer.request()
    certificate = signer.ask(signed)
    assert signer.ask(void(signed[2])) == certificate


# -- what is refused --------------------------------------------------------------------------------------------------

STRANGER = ec.generate_private_key(ec.SECP256R1())
NOW = int(time.time())

REFUSALS = {
    "wrong EAR key": (dict(ear_key=STRANGER), "ear-signature"),
    "other nonce": (dict(fields={9: bytes(32)}), "ear-nonce"),
    "other CSR": (dict(fields={7: make_csr(STRANGER)}), "ear-nonce"),
    "old EAR": (dict(iat=NOW - 1000), "ear-age"),
    "EAR of the future": (dict(iat=NOW + 24 * HOUR), "ear-age"),
    "contraindicated": (dict(status="contraindicated"), "ear-not-affirming"),
    "warning": (dict(status="warning"), "ear-not-affirming"),
    "EAR without instance": (dict(instance=None), "ear-instance-mismatch"),
    "EAR without submodules": (dict(claims={"submods": {}}), "ear-malformed"),
    "EAR is no JWT": (dict(fields={8: "abc"}), "ear-malformed"),
    "unknown origin": (dict(audience="https://evil.example.com"), "origin-unknown"),
    "origin in another spelling": (dict(audience=ORIGIN + "/"), "origin-unknown"),
    "unknown profile": (dict(profile="root"), "signer-profile"),
    "no profile of the signer": (dict(profile="service-server"), "signer-profile"),
    "profile with evidence": (dict(profile="unattested"), "signer-profile"),
    "serial of zeros": (dict(serial=bytes(16)), "signer-lint"),
    "serial of a counter": (dict(serial=(7).to_bytes(16, "big")), "signer-lint"),
    "notBefore in the future": (dict(not_before=NOW + HOUR), "signer-lint"),
    "notAfter has passed": (dict(not_before=NOW - 3 * HOUR, not_after=NOW - HOUR), "signer-lint"),
    "longer than allowed": (dict(not_after=NOW + YEAR + 2 * HOUR), "signer-lint"),
    "beyond the issuer": (dict(not_before=NOW - 10 * HOUR), "signer-lint"),
    "year 9999": (dict(not_after=253402300799), "signer-lint"),
    "no date at all": (dict(not_after=2 ** 62), "signer-lint"),
    "CSR with trailing bytes": (dict(csr=make_csr(STRANGER) + b"\0"), "csr-trailing-bytes"),
    "RSA key": (dict(csr=make_csr(rsa.generate_private_key(65537, 2048))), "csr-key-algorithm"),
    "RSA-1024 key": (dict(csr=(VECTORS / "weak-rsa1024.der").read_bytes()), "csr-key-algorithm"),
    "secp256k1": (dict(csr=(VECTORS / "policy-secp256k1.der").read_bytes()), "csr-key-algorithm"),
    "P-192": (dict(csr=(VECTORS / "weak-p192.der").read_bytes()), "csr-key-algorithm"),
    "Ed25519": (dict(csr=make_csr(ed25519.Ed25519PrivateKey.generate(), digest=lambda: None)), "csr-key-algorithm"),
    "SHA-1": (dict(csr=(VECTORS / "weak-sha1-sig.der").read_bytes()), "csr-signature-algorithm"),
}


@pytest.mark.parametrize("case", REFUSALS)
def test_refused(signer, case):
    changes, reason = REFUSALS[case]
    request = signer.request(**dict(changes))
    size = signer.journal.stat().st_size
    assert refusal(signer.peers[-1], request) == reason
    assert signer.ask(find(request[2])) is None
    assert signer.journal.stat().st_size == size


@pytest.mark.parametrize("name, reason", [
    ("policy-known-test-key", "csr-published-test-key"), ("bad-selfsig", "csr-signature"),
    ("bad-spki-swapped", "csr-signature"), ("bad-point-not-on-curve", "csr-key-point"), ("bad-truncated", "csr-der")])
def test_bad_requests_of_the_vectors_are_refused(signer, name, reason):
    assert refusal(signer.peers[-1], signer.request(csr=(VECTORS / f"{name}.der").read_bytes())) == reason


def test_no_profile_without_evidence_unless_configured(signer):
    assert refusal(signer.peers[-1], signer.unattested()) == "signer-profile"
    request = {k: v for k, v in signer.request().items() if k < 8}
    assert refusal(signer.peers[-1], request) == "signer-profile"


def old_instance_id(rot):
    numbers = rot.public_key().public_numbers()
    digest = hashes.Hash(hashes.SHA256())
    digest.update(b"\x04" + numbers.x.to_bytes(32, "big") + numbers.y.to_bytes(32, "big"))
    return b"\x01" + digest.finalize()


@pytest.mark.parametrize("derivation", [instance_id, old_instance_id])
def test_the_rot_key_itself_gets_no_certificate(signer, derivation):
    rot = ec.generate_private_key(ec.SECP256R1())
    assert refusal(signer.peers[-1], signer.request(key=rot, instance=derivation(rot))) == "csr-key-is-rot-key"


def test_a_result_speaks_for_one_intent(signer):
    request = signer.request()
    signer.ask(request)
    other = {**request, 2: os.urandom(16), 4: b"\x01" + os.urandom(15)}
    assert refusal(signer.peers[-1], other) == "ear-reused"


def test_a_serial_exists_once(signer):
    request = signer.request()
    signer.ask(request)
    assert refusal(signer.peers[-1], signer.request(serial=request[4])) == "signer-serial-used"


@pytest.mark.parametrize("change", [dict(serial=b"\x02" + bytes(14) + b"\x01"), dict(not_after=NOW + 3600),
                                    dict(not_before=NOW - 1800), dict(key=STRANGER), dict(rot=STRANGER)])
def test_an_intent_has_one_certificate(signer, change):
    key, rot = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    request = signer.request(key=key, rot=rot)
    signer.ask(request)
    same = dict(key=key, rot=rot, intent=request[2], serial=request[4], not_before=request[5], not_after=request[6])
    assert refusal(signer.peers[-1], signer.request(**{**same, **change})) == "signer-intent-conflict"


def test_refusals_outlive_a_restart(lone):
    lone.start()
    request = lone.request()
    certificate = lone.ask(request)
    voided = lone.request()
    lone.ask(void(voided[2]))
    lone.restart()
    assert lone.ask(request) == certificate
    assert refusal(lone.peers[-1], {**request, 2: os.urandom(16), 4: b"\x01" + os.urandom(15)}) == "ear-reused"
    assert refusal(lone.peers[-1], lone.request(serial=request[4])) == "signer-serial-used"
    assert refusal(lone.peers[-1], voided) == "signer-intent-conflict"


# -- certificates without evidence ------------------------------------------------------------------------------------


def test_unattested_is_named_by_its_key_short_lived_and_rationed(lone):
    lone.settings.update(unattested_key=lone.ca / "unattested.key", unattested_cert=lone.ca / "unattested.pem",
                         unattested_per_minute=3)
    lone.start()
    request = lone.unattested()
    certificate = load(lone.ask(request))
    verify(certificate, x509.load_pem_x509_certificate((lone.ca / "unattested.pem").read_bytes()))
    spki = load(lone.ask(find(request[2]))).public_key().public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    digest = hashes.Hash(hashes.SHA256())
    digest.update(spki)
    thing = lone.thing(b"\x00" + digest.finalize())
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert list(names) == [x509.UniformResourceIdentifier(f"spiffe://example.com/unattested/{thing}")]
    assert refusal(lone.peers[-1], lone.unattested(days=31)) == "signer-lint"
    for _ in range(2):
        lone.ask(lone.unattested())
    assert refusal(lone.peers[-1], lone.unattested()) == "rate-limited"
    assert lone.ask(request) == certificate.public_bytes(serialization.Encoding.DER)
    lone.ask(lone.request())  # attested ones are not rationed with them


# -- who may ask, and how ---------------------------------------------------------------------------------------------


@pytest.mark.skipif(not ROOT, reason="needs a second uid")
def test_a_foreign_uid_is_dropped(signer):
    code = ("import socket,sys; s=socket.socket(socket.AF_UNIX); s.settimeout(10); s.connect(sys.argv[1])\n"
            "try:\n    s.sendall(bytes.fromhex(sys.argv[2])); print(len(s.recv(10)))\n"
            "except OSError: print(0)\n")
    message = cbor2.dumps(find(bytes(16)), canonical=True)
    framed = len(message).to_bytes(4, "big") + message
    for parent in (signer.socket.parent, *signer.socket.parent.parents):
        if parent.stat().st_uid == os.geteuid() and str(parent).startswith("/tmp"):
            parent.chmod(parent.stat().st_mode | 0o011)
    done = subprocess.run([sys.executable, "-c", code, signer.socket, framed.hex()], user=64999, group=64999,
                          capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "0"
    assert any(line.get("reason") == "signer-peer" and "64999" in line["rule"] for line in signer.log())
    assert signer.ask(find(bytes(16))) is None


@pytest.mark.parametrize("bytes_sent", [
    b"\x00\x00\x00\x00", b"\xff\xff\xff\xff", b"\x00\x00\x80\x01", b"\x00\x00\x00\x01\xff", b"\x00\x00\x00\x01\x80",
    *(len(m).to_bytes(4, "big") + m for m in map(cbor2.dumps, [
        {0: 2, 1: "find", 2: bytes(16)}, {0: 1, 1: "sign", 2: bytes(16)}, {0: 1, 1: "find", 2: bytes(15)},
        {0: 1, 1: "find"}, {0: 1, 1: "find", 2: bytes(16), 12: 1}, {0: 1, 1: "void", 2: bytes(16), 4: bytes(16)},
        {0: 1, 1: "issue", 2: bytes(16)}]))])
def test_what_is_no_request_ends_its_connection_alone(signer, bytes_sent):
    peer = signer.peer()
    peer.socket.sendall(bytes_sent)
    with pytest.raises(ConnectionError):
        peer.receive()
    signer.peers.remove(peer)
    assert signer.ask(find(bytes(16))) is None


def test_requests_in_pieces_and_in_heaps(signer):
    peer = signer.peer()
    one = cbor2.dumps(find(bytes(16)), canonical=True)
    for byte in len(one).to_bytes(4, "big") + one:
        peer.socket.sendall(bytes([byte]))
    assert peer.receive()[1] == "none"
    wanted = [os.urandom(16) for _ in range(3000)]
    peer.send(*map(find, wanted))
    assert {peer.receive()[2] for _ in wanted} == set(wanted)
    signer.peers.remove(peer)
    peer.close()


def test_one_sync_for_all_that_came_together(lone):
    trace = lone.folder / "trace"
    lone.start("strace", "-D", "-f", "-o", trace, "-e", "trace=fdatasync,pwrite64,sendto")
    requests = [lone.request() for _ in range(200)]
    lone.peers[-1].send(*requests)
    answers = {a[2]: a for a in (lone.peers[-1].receive() for _ in requests)}
    assert all(answers[r[2]][1] == "ok" for r in requests)
    lone.stop()
    calls = re.findall(r"(fdatasync|sendto)\(", trace.read_text())
    assert 1 <= calls.count("fdatasync") <= 40
    assert calls.index("fdatasync") < calls.index("sendto")
    assert len(read_journal(lone.journal)) == 200


def test_slow_reader_stops_nobody_and_gets_all(signer):
    slow, fast = signer.peer(), signer.peer()
    request = signer.request()
    fast.ask(request)
    slow.socket.settimeout(30)
    count, framed = 6000, cbor2.dumps(find(request[2]), canonical=True)
    heap = (len(framed).to_bytes(4, "big") + framed) * count
    slow.socket.setblocking(False)
    sent = 0
    while sent < len(heap):  # until neither side takes more
        try:
            sent += slow.socket.send(heap[sent:])
        except BlockingIOError:
            if fast.ask(find(request[2])) is None:
                pytest.fail("lost")
            break
    slow.socket.setblocking(True)
    slow.socket.settimeout(30)
    got = 0
    while got < sent // (4 + len(framed)):
        assert slow.receive()[1] == "ok"
        got += 1
    for peer in (slow, fast):
        signer.peers.remove(peer)
        peer.close()


# -- the journal ------------------------------------------------------------------------------------------------------


def trace_kill(*calls, when):
    return ["strace", "-D", "-f", "-qq", "-o", "/dev/null", "-e", f"trace={','.join(calls)}",
            "-e", f"inject={','.join(calls)}:signal=SIGKILL:when={when}"]


def crash_run(signer, wrapper, count=4):
    """Asks until the signer is dead: what was asked, what was answered with a certificate, and whether it died."""
    signer.launch(*wrapper)
    asked, got = [], {}
    try:
        signer.ready()
        for _ in range(count):
            asked.append(signer.request())
            got[asked[-1][2]] = signer.ask(asked[-1])
    except (OSError, StackError):
        signer.daemon.process.wait(10)
    signer.daemon.process.terminate()  # no news to one that is dead
    code = signer.daemon.process.wait(10)
    assert code in (0, -signal.SIGKILL), signer.daemon.tail()
    signer.stop()
    return asked, got, code != 0


@pytest.mark.parametrize("call", ["fdatasync", "write", "sendto"])
def test_killed_anywhere_it_remembers_what_it_gave_out(lone, call):
    asked, got, kills = [], {}, 0
    for when in range(1, 40):
        more, answered, died = crash_run(lone, trace_kill(call, when=when))
        asked += more
        got.update(answered)
        kills += died
        if not died:
            break
    assert not died and kills >= 3, "the sweep must end with a run that nothing killed"
    lone.start()
    serials = set()
    for request in asked:
        found = lone.ask(find(request[2]))
        if request[2] in got:
            assert found == got[request[2]]
        if found:
            serials.add(request[4])
            assert lone.ask(request) == found
            assert refusal(lone.peers[-1], lone.request(serial=request[4])) == "signer-serial-used"
    lone.stop()
    records = [record for _, record in read_journal(lone.journal)]
    assert sorted(r[3] for r in records) == sorted(serials) and len(serials) >= len(got)


def fill(signer, count=5):
    signer.start()
    requests = [signer.request() for _ in range(count)]
    certificates = [signer.ask(r) for r in requests]
    signer.stop()
    return requests, certificates


def test_a_torn_last_record_is_cut_off(lone):
    requests, certificates = fill(lone)
    whole = lone.journal.read_bytes()
    last = read_journal(lone.journal)[-1][0]
    for size in [last + 1, last + 7, last + 8, last + 9, last + 300, len(whole) - 1]:
        lone.journal.write_bytes(whole[:size])
        lone.start()
        assert lone.ask(find(requests[-1][2])) is None
        assert lone.ask(find(requests[-2][2])) == certificates[-2]
        lone.stop()
        assert lone.journal.read_bytes() == whole[:last]
        assert any(f"cut off {size - last} bytes" in line["message"] for line in lone.log())


def test_blocks_that_were_never_written_count_as_torn(lone):
    requests, certificates = fill(lone)
    whole = lone.journal.read_bytes()
    last = read_journal(lone.journal)[-1][0]
    for zeros_from in (last, last + 8, len(whole) - 32):
        lone.journal.write_bytes(whole[:zeros_from] + bytes(len(whole) - zeros_from + 100))
        lone.start()
        assert lone.ask(find(requests[-2][2])) == certificates[-2]
        lone.stop()
        assert lone.journal.read_bytes() == whole[:last]


def damages(records, size):
    first, middle, last = records[0][0], records[2][0], records[-1][0]
    return {"header": 3, "first length": first, "middle length": middle + 2, "middle check": middle + 5,
            "middle record": middle + 60, "certificate": last - 200, "last record": last + 50, "last length": last + 3,
            "last chain": size - 1}


def test_any_other_damage_refuses_to_start(lone):
    fill(lone)
    whole = lone.journal.read_bytes()
    for place, at in damages(read_journal(lone.journal), len(whole)).items():
        broken = bytearray(whole)
        broken[at] ^= 0x10
        lone.journal.write_bytes(broken)
        lone.launch()
        assert lone.daemon.process.wait(10) == 1, place
        line = lone.log()[-1]
        assert line["reason"] == "journal-damaged" and str(lone.journal) in line["rule"], place
        assert lone.journal.read_bytes() == broken, place
    for removed in (range(0, 100), range(read_journal_offsets(whole)[1], read_journal_offsets(whole)[2])):
        lone.journal.write_bytes(bytes(b for i, b in enumerate(whole) if i not in removed))
        lone.launch()
        assert lone.daemon.process.wait(10) == 1
        assert lone.log()[-1]["reason"] == "journal-damaged"
    lone.journal.write_bytes(b"")
    lone.launch()
    assert lone.daemon.process.wait(10) == 1
    lone.daemon = None


def read_journal_offsets(data):
    offsets, at = [], 0
    while at < len(data):
        offsets.append(at)
        at += 40 + int.from_bytes(data[at:at + 4], "big")
    return offsets


def start_failing(signer, call, error, when):
    signer.start("strace", "-D", "-f", "-qq", "-o", signer.folder / "trace", "-P", signer.journal, "-e", f"trace={call}",
                 "-e", f"inject={call}:error={error}:when={when}")


@pytest.mark.skipif(not ROOT, reason="strace sees paths of a non-dumpable process as root only")
@pytest.mark.parametrize("call, error", [("write", "EIO"), ("fdatasync", "EIO"), ("fdatasync", "ENOSPC"),
                                         ("fdatasync", "EDQUOT")])
def test_a_signer_that_does_not_know_its_journal_refuses_and_ends(lone, call, error):
    """What a kernel could not sync it may forget, and call the next sync a success: only a new start knows what is there."""
    fill(lone, 1)
    start_failing(lone, call, error, "1")
    requests = [lone.request() for _ in range(3)]
    peer = lone.peers[-1]
    peer.send(*requests)
    answers = []
    with pytest.raises(ConnectionError):
        while True:
            answers.append(peer.receive())
    assert answers and all(answer[4] == "journal-io" for answer in answers), answers
    assert lone.daemon.process.wait(10) == 1
    assert any("the signer ends" in line["message"] for line in lone.log())
    lone.peers, lone.daemon = [], None
    lone.start()
    certificates = {request[2]: lone.ask(request) for request in requests}
    lone.restart()
    for intent, certificate in certificates.items():
        assert certificate and lone.ask(find(intent)) == certificate
    lone.stop()
    assert len(read_journal(lone.journal)) == 4


@pytest.mark.skipif(not ROOT, reason="strace sees paths of a non-dumpable process as root only")
@pytest.mark.parametrize("error", ["ENOSPC", "EDQUOT"])
def test_a_journal_without_room_signs_nothing_and_recovers(lone, error):
    fill(lone, 1)
    before = lone.journal.read_bytes()
    start_failing(lone, "write", error, "1..3")
    requests = [lone.request() for _ in range(4)]
    reasons, certificates = [], {}
    for request in requests:
        try:
            certificates[request[2]] = lone.ask(request)
        except Refused as refused:
            reasons.append(refused.reason)
            assert lone.ask(find(request[2])) is None
            assert lone.journal.read_bytes() == before
    assert reasons and set(reasons) == {"disk-full"}
    for request in requests:  # space is back
        certificates[request[2]] = lone.ask(request)
    lone.restart()
    for request in requests:
        assert lone.ask(find(request[2])) == certificates[request[2]]
    lone.stop()
    assert len(read_journal(lone.journal)) == 5
    assert any("cannot be written" in line["message"] for line in lone.log())


@pytest.fixture
def small_disk(tmp_path):
    folder = reachable(tmp_path) / "disk"
    folder.mkdir()
    if not ROOT or subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", folder],
                                  stderr=subprocess.DEVNULL).returncode:
        pytest.skip("needs the right to mount")
    folder.chmod(0o755)
    yield folder
    subprocess.run(["umount", folder], check=True)


def test_a_full_disk_refuses_and_recovers_alone(small_disk, tmp_path):
    signer = SignerProcess(BUILD, tmp_path, state_dir=small_disk)
    signer.state = small_disk
    filler = small_disk / "filler"
    filler.write_bytes(bytes(50000))
    signer.start()
    given, refused = {}, []
    for _ in range(40):
        request = signer.request()
        try:
            given[request[2]] = (request, signer.ask(request))
        except Refused as error:
            assert error.reason == "disk-full"
            refused.append(request)
    assert given and refused
    assert len(read_journal(signer.journal)) == len(given)
    filler.unlink()
    for request in refused[:5]:
        given[request[2]] = (request, signer.ask(request))
    signer.restart()
    for intent, (_, certificate) in given.items():
        assert signer.ask(find(intent)) == certificate
    signer.stop()
    assert len(read_journal(signer.journal)) == len(given)


# -- starting ---------------------------------------------------------------------------------------------------------


def run_signer(signer, *extra):
    return subprocess.run(signer.argv(*extra), capture_output=True, text=True, timeout=30)


def test_two_signers_do_not_share_a_journal(lone):
    lone.start()
    second = run_signer(lone)
    assert second.returncode == 1 and "another signer runs on it" in second.stderr
    assert lone.ask(find(bytes(16))) is None


def test_no_signer_takes_anothers_socket(lone):
    lone.start()
    (lone.folder / "other").mkdir()
    before, lone.settings["state_dir"] = lone.settings["state_dir"], lone.folder / "other"
    second = run_signer(lone)
    lone.settings["state_dir"] = before
    assert second.returncode == 1 and "another process listens" in second.stderr
    assert lone.peer().ask(find(bytes(16))) is None


def test_configuration_is_tested_and_printed(lone):
    done = run_signer(lone, "-t")
    assert done.returncode == 0 and not lone.journal.exists(), done.stderr
    printed = run_signer(lone, "--print-config")
    assert printed.returncode == 0
    config = lone.folder / "printed.yaml"
    config.write_text(printed.stdout)
    again = subprocess.run([lone.build / "mooring-signer", "--config", config, "--print-config"], capture_output=True, text=True)
    assert again.stdout == printed.stdout and "# " in again.stdout


def replace_key(signer):
    shutil.copy(signer.ca / "service.key", signer.ca / "device.key")


BAD_STARTS = {
    "unknown key": (lambda s: s.settings.update(bogus=1), "there is no such key"),
    "key of another CA": (replace_key, "is not the key of the issuing certificate"),
    "key others can read": (lambda s: (s.ca / "device.key").chmod(0o644), "others can read it"),
    "salt others can read": (lambda s: (s.ca / "salt").chmod(0o640), "others can read it"),
    "no salt": (lambda s: (s.ca / "salt").write_bytes(b"short"), "not 32"),
    "no CA": (lambda s: s.settings.update(issuer_cert=s.ca.parent / "leaf.pem"), "may not sign certificates"),
    "no key": (lambda s: s.settings.update(issuer_key="/nonexistent"), "/nonexistent"),
    "no such provider": (lambda s: s.settings.update(issuer_key="nosuch:token=x"), "provider"),
    "origin with a slash": (lambda s: s.settings.update(origins=["https://a.example/"]), "origins"),
    "uid that is none": (lambda s: s.settings.update(peer_uids=["mosquitto"]), "not the number of a user"),
    "half of unattested": (lambda s: s.settings.update(unattested_key=s.ca / "unattested.key"), "go together"),
    "state folder missing": (lambda s: s.settings.update(state_dir="/nonexistent"), "/nonexistent"),
    "socket is a file": (lambda s: s.socket.write_text("x"), "is no socket"),
}


@pytest.mark.parametrize("case", BAD_STARTS)
def test_refuses_to_start_with(lone, case):
    subprocess.run([lone.build / "mooring-ca", "issue-service", "x", "--dir", lone.ca, "--client", "--out", lone.folder / "x"],
                   check=True, stdout=subprocess.DEVNULL)
    leaf = (lone.folder / "x.pem").read_text().split("-----END CERTIFICATE-----")[0] + "-----END CERTIFICATE-----\n"
    (lone.folder / "leaf.pem").write_text(leaf)
    change, says = BAD_STARTS[case]
    change(lone)
    done = run_signer(lone)
    assert done.returncode == 1 and says in done.stderr, done.stderr


def test_a_stale_socket_is_replaced_and_a_key_may_be_a_uri(lone):
    left = socket.socket(socket.AF_UNIX)
    left.bind(str(lone.socket))
    left.close()
    lone.settings["issuer_key"] = f"file:{lone.ca / 'device.key'}"
    lone.start()
    assert load(lone.ask(lone.request()))


def test_the_signer_shows_its_memory_to_nobody_and_has_no_network(lone):
    lone.start()
    lone.ask(find(bytes(16)))  # it listens before it is confined, and answers after
    status = dict(line.split(":\t", 1) for line in Path(f"/proc/{lone.daemon.pid}/status").read_text().splitlines())
    assert status["NoNewPrivs"].strip() == "1" and status["Seccomp"].strip() == "2"
    if ROOT:
        assert set(status["Uid"].split()) == {"64202"}
        reader = subprocess.run(["cat", f"/proc/{lone.daemon.pid}/maps"], user=64202, group=64202, capture_output=True)
        assert reader.returncode != 0
    environ = os.stat(f"/proc/{lone.daemon.pid}/environ")
    assert environ.st_uid == 0  # a non-dumpable process's files are root's
