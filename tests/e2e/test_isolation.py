"""From inside the gateway's own confinement: the issuing key is out of reach, and nothing is signed without a genuine, fresh attestation result
on that very request. mooring-intruder (intruder.c) enters what the gateway enters, and does what is asked for here."""

import ctypes
import os
import shutil
import socket
import struct
import subprocess
import sys
import time
from pathlib import Path

import cbor2
import pytest
from attester import make_csr
from conftest import REPO, folder_for_daemons, listens, new_stack
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from ledgers import signed
from signer_peer import encode, find, make_request
from stack import ROOT, UIDS, wait_until

PLAIN_UID = 64210
STRANGER = ec.generate_private_key(ec.SECP256R1())


class Intruder:
    def __init__(self, stack, *options):
        self.process = subprocess.Popen(
            [stack.program("mooring-intruder"), stack.folder / "config/gateway.yaml", *options], text=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=open(stack.folder / "log/intruder.log", "ab"), bufsize=1,
            env={**os.environ, "ASAN_OPTIONS": "detect_leaks=0"})

    def do(self, *words):
        print(*words, file=self.process.stdin)
        return self.process.stdout.readline().strip()

    def ask(self, stack, *requests):
        """The answers of the signer, None where it ended the connection."""
        messages = [struct.pack(">I", len(m)) + m for m in map(encode, requests)]
        status, *answers = self.do("ask", stack.folder / "run/signer/signer.sock", *(m.hex() for m in messages)).split()
        assert status == "ok" and len(answers) == len(messages)
        return [None if answer == "gone" else cbor2.loads(bytes.fromhex(answer)) for answer in answers]

    def status(self):
        return status_of(self.process.pid)

    def end(self):
        self.process.stdin.close()
        assert self.process.wait(20) == 0
        self.process.stdout.close()


def status_of(pid):
    return dict(line.split(":\t", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines() if ":\t" in line)


@pytest.fixture(scope="module")
def stack():
    with folder_for_daemons() as folder, new_stack(folder) as made:
        made.prepare().start("signer", "gateway")
        wait_until(lambda: listens(made.folder / "run/signer/signer.sock"), "the signer")
        wait_until(lambda: listens(made.folder / "run/gateway/scgi.sock"), "the gateway")
        yield made


@pytest.fixture(scope="module")
def intruder(stack):
    made = Intruder(stack)
    # It has answered, so it is confined.
    assert made.do("open", "/dev/null") == "ok"
    yield made
    made.end()


@pytest.fixture(scope="module")
def unconfined(stack):
    made = Intruder(stack, "--free")
    yield made
    made.end()


@pytest.fixture
def ear_key(stack):
    return serialization.load_pem_private_key((stack.folder / "attestd/pki/ear.key").read_bytes(), None)


def landlock_abi():
    return ctypes.CDLL(None).syscall(444, None, 0, 1)


# -- reaching the key ----------------------------------------------------------------------------------------------------

DENIED = ("EACCES", "EPERM")
KEY_FILES = ["signer/pki/device.key", "signer/pki/salt", "signer/state/journal", "attestd/pki/ear.key", "oem-ca/device.key", "oem-ca/root.key",
             "edge/pki/edge.key"]


def test_it_is_confined_as_the_gateway_is(stack, intruder):
    gateway, here = status_of(stack.daemons["gateway"].pid), intruder.status()
    for name in ("Uid", "Gid", "Groups", "CapEff", "CapPrm", "CapBnd", "NoNewPrivs", "Seccomp"):
        assert here.get(name) == gateway.get(name), name
    assert (here["NoNewPrivs"], here["Seccomp"], int(here["CapEff"], 16)) == ("1", "2", 0)
    if ROOT:
        assert {int(uid) for uid in here["Uid"].split()} == {UIDS["gateway"]}


@pytest.mark.parametrize("path", KEY_FILES)
def test_no_key_and_no_journal_can_be_opened(stack, intruder, unconfined, path):
    assert unconfined.do("open", stack.folder / path) == "ok"
    assert intruder.do("open", stack.folder / path) in DENIED
    assert intruder.do("write", stack.folder / path) in DENIED
    assert intruder.do("unlink", stack.folder / path) in DENIED


@pytest.mark.parametrize("path", ["signer", "signer/pki", "signer/state", "attestd/state", "oem-ca"])
def test_no_folder_of_others_can_be_listed(stack, intruder, unconfined, path):
    assert unconfined.do("list", stack.folder / path) == "ok"
    assert intruder.do("list", stack.folder / path) in DENIED


@pytest.mark.parametrize("deed", ["ptrace", "vm", "mem", "pidfd"])
def test_the_signers_memory_cannot_be_reached(stack, intruder, unconfined, deed):
    signer = stack.daemons["signer"].pid
    if ROOT:  # for anybody else the kernel refuses already because the signer is not dumpable
        assert unconfined.do(deed, signer) == "ok"
    assert intruder.do(deed, signer) in DENIED
    assert stack.daemons["signer"].running()


@pytest.mark.parametrize("name", ["environ", "maps", "fd", "task"])
def test_proc_shows_nothing_of_the_signer(stack, intruder, name):
    signer = stack.daemons["signer"].pid
    assert intruder.do("list" if name in ("fd", "task") else "open", f"/proc/{signer}/{name}") in (*DENIED, "ENOENT")


def test_the_signer_cannot_be_signalled(stack, intruder):
    if not ROOT and landlock_abi() < 6:
        pytest.skip("this kernel's Landlock does not know signals, and there is one user alone")
    assert intruder.do("signal", stack.daemons["signer"].pid) == "EPERM"


def test_nothing_else_can_be_run_and_no_other_network_is_there(intruder, unconfined):
    assert unconfined.do("exec", "/bin/true") == "ok"
    assert intruder.do("exec", "/bin/true") in DENIED
    for family, kind in ((socket.AF_PACKET, socket.SOCK_RAW), (socket.AF_VSOCK, socket.SOCK_STREAM), (socket.AF_ALG, socket.SOCK_SEQPACKET)):
        assert intruder.do("socket", int(family), int(kind)) == "EPERM"


# -- asking the signer ---------------------------------------------------------------------------------------------------

def reason(answer):
    assert answer is not None and answer[1] == "refused" and 3 not in answer, answer
    return answer[4]


def genuine(stack, ear_key, **changes):
    return make_request(ear_key, audience=stack.origin, **changes)


def other_csr(stack, key, **changes):
    """A genuine result, on somebody else's request."""
    return genuine(stack, key, fields={7: make_csr(STRANGER)}, **changes)


REFUSED = {
    "no JWT": (lambda s, k: genuine(s, k, fields={8: "affirming"}), "ear-malformed"),
    "another key's EAR": (lambda s, k: genuine(s, STRANGER), "ear-signature"),
    "the result on another CSR": (other_csr, "ear-nonce"),
    "the result on another challenge": (lambda s, k: genuine(s, k, fields={9: bytes(32)}), "ear-nonce"),
    "the result for another gateway": (lambda s, k: genuine(s, k, fields={10: "https://evil.example"}), "origin-unknown"),
    "the result of a bare nonce": (lambda s, k: genuine(s, k, bound=bytes(32)), "ear-nonce"),
    "a stale result": (lambda s, k: genuine(s, k, iat=int(time.time()) - 400), "ear-age"),
    "a result of the future": (lambda s, k: genuine(s, k, iat=int(time.time()) + 400), "ear-age"),
    "a result against the device": (lambda s, k: genuine(s, k, status="contraindicated"), "ear-not-affirming"),
    "a result on nobody": (lambda s, k: genuine(s, k, instance=None), "ear-instance-mismatch"),
    "the profile without evidence": (lambda s, k: genuine(s, k, profile="unattested"), "signer-profile"),
    "the profile of services": (lambda s, k: genuine(s, k, profile="service"), "signer-profile"),
    "ten years": (lambda s, k: genuine(s, k, not_after=int(time.time()) + 10 * 365 * 86400), "signer-lint"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_nothing_is_signed_without_a_genuine_result_on_it(stack, intruder, ear_key, case):
    make, expected = REFUSED[case]
    request, before = make(stack, ear_key), signed(stack)
    refusal, found = intruder.ask(stack, request, find(request[2]))
    assert reason(refusal) == expected
    assert found[1] == "none" and signed(stack) == before


def test_a_request_without_a_result_is_none(stack, intruder, ear_key):
    request, before = genuine(stack, ear_key), signed(stack)
    without = {field: value for field, value in request.items() if field != 8}
    assert intruder.ask(stack, without) == [None]
    assert intruder.ask(stack, {**request, 8: ""}) == [None]
    assert signed(stack) == before


def test_a_result_gets_one_certificate(stack, intruder, ear_key):
    """The control: a genuine one is signed. Then the same result is worn out, and so are its intent and its serial."""
    request = genuine(stack, ear_key)
    answer, again = intruder.ask(stack, request, request)
    assert answer[1] == "ok" and again == answer
    assert x509.load_der_x509_certificate(answer[3]).public_key() is not None
    replays = [
        ({2: os.urandom(16), 4: b"\x01" + os.urandom(15)}, "ear-reused"),
        ({6: request[6] - 60}, "signer-intent-conflict"),
    ]
    fresh = genuine(stack, ear_key)
    replays.append(({**fresh, 4: request[4]}, "signer-serial-used"))
    before = signed(stack)
    for changes, expected in replays:
        assert reason(intruder.ask(stack, {**request, **changes})[0]) == expected
    assert signed(stack) == before


# -- a normal user -------------------------------------------------------------------------------------------------------

@pytest.mark.skipif(not ROOT, reason="these tests run as a normal user already")
def test_the_same_holds_for_a_normal_user(stack):
    """Single-user mode: one user, Landlock between the daemons. All of this file, as that user."""
    if landlock_abi() < 1:
        pytest.skip("this kernel has no Landlock: the daemons refuse single-user mode")
    with folder_for_daemons() as folder:
        home = folder.parent
        for part in ("demo", "config", "tests/e2e"):
            shutil.copytree(REPO / part, home / "repo" / part, ignore=shutil.ignore_patterns("__pycache__"))
        (home / "build").mkdir()
        for program in stack.build.glob("*moori*"):
            shutil.copy(program, home / "build")
        for path in (home, *home.rglob("*")):
            os.chown(path, PLAIN_UID, PLAIN_UID)
        done = subprocess.run(
            [sys.executable, "-B", "-m", "pytest", "-q", "-rs", "-p", "no:cacheprovider", "-p", "no:xdist", f"--basetemp={home}/pytest",
             "tests/e2e/test_isolation.py"], cwd=home / "repo", user=PLAIN_UID, group=PLAIN_UID, extra_groups=[], text=True,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=120,
            env={**os.environ, "MOORING_BUILD": str(home / "build"), "TMPDIR": str(home), "HOME": str(home)})
    assert done.returncode == 0, done.stdout
    assert " passed" in done.stdout
