"""A real mooring-signer with keys made by mooring-ca, and a gateway in Python that asks it: an independent maker of the
protocol, of attestation results, and an independent reader of the journal."""

import base64
import hashlib
import json
import os
import socket
import struct
import subprocess
import time
from pathlib import Path

import cbor2
from attester import binding, instance_id, make_csr, raw_signature
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from stack import ROOT, Daemon, wait_until

ORIGIN = "https://enrol.example.com"
TRUST_DOMAIN = "example.com"
EAR_PROFILE = "tag:ietf.org,2026:rats/ear#03"
HOUR, YEAR = 3600, 365 * 86400


def b64url(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def jws(key, payload, header=None):
    parts = [b64url(json.dumps(part).encode()) for part in (header or {"alg": "ES256", "typ": "JWT"}, payload)]
    signed = ".".join(parts)
    return signed + "." + b64url(raw_signature(key, signed.encode()))


def ear_claims(bound, instance, now=None, status="affirming"):
    submod = {"ear_status": status, "ear_trustworthiness_vector": {"instance-identity": 2, "executables": 2, "hardware": 2}}
    if instance:
        submod["ear.veraison.annotated-evidence"] = {"psa-instance-id": base64.b64encode(instance).decode()}
    return {"eat_profile": EAR_PROFILE, "iat": int(time.time()) if now is None else now, "eat_nonce": b64url(bound),
            "ear_verifier_id": {"developer": "tests", "build": "1"}, "submods": {"PSA_IOT": submod}}


def public_pem(key):
    return key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)


class Refused(Exception):
    def __init__(self, reason, sentence):
        super().__init__(f"{reason}: {sentence}")
        self.reason, self.sentence = reason, sentence


class Peer:
    """One connection to the signer."""

    def __init__(self, path, timeout=20):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(timeout)
        self.socket.connect(str(path))
        self.held = b""

    def close(self):
        self.socket.close()

    def send(self, *requests):
        self.socket.sendall(b"".join(struct.pack(">I", len(m)) + m for m in map(encode, requests)))

    def receive(self):
        """The next answer; ConnectionError when the signer has gone."""
        while len(self.held) < 4 or len(self.held) < 4 + struct.unpack(">I", self.held[:4])[0]:
            chunk = self.socket.recv(65536)
            if not chunk:
                raise ConnectionError("the signer closed the connection")
            self.held += chunk
        size = struct.unpack(">I", self.held[:4])[0]
        message, self.held = self.held[4:4 + size], self.held[4 + size:]
        return cbor2.loads(message)

    def ask(self, request):
        """The certificate (None where there is none); Refused otherwise."""
        self.send(request)
        answer = self.receive()
        assert answer[0] == 1 and (request is None or answer[2] == request[2]), answer
        if answer[1] == "refused":
            raise Refused(answer[4], answer[5])
        assert set(answer) <= {0, 1, 2, 3} and (answer[1] == "ok" or 3 not in answer), answer
        return answer.get(3)


def encode(request):
    return request if isinstance(request, bytes) else cbor2.dumps(request, canonical=True)


def find(intent):
    return {0: 1, 1: "find", 2: intent}


def void(intent):
    return {0: 1, 1: "void", 2: intent}


def make_request(ear_key, **changes):
    """An honest request; `changes` replace what goes into it, and fields of it by their names or, in `fields`, numbers."""
    fields = changes.pop("fields", {})
    key = changes.pop("key", None) or ec.generate_private_key(ec.SECP256R1())
    rot = changes.pop("rot", None) or ec.generate_private_key(ec.SECP256R1())
    csr = changes.pop("csr", None) or make_csr(key)
    nonce, audience, now = os.urandom(32), changes.pop("audience", ORIGIN), int(time.time())
    bound = binding(nonce, audience, csr)
    claims = ear_claims(changes.pop("bound", bound), changes.pop("instance", instance_id(rot)), changes.pop("iat", None),
                        changes.pop("status", "affirming"))
    claims.update(changes.pop("claims", {}))
    request = {
        0: 1, 1: "issue", 2: os.urandom(16), 3: "device", 4: b"\x01" + os.urandom(15), 5: now - HOUR, 6: now + YEAR,
        7: csr, 8: jws(ear_key, claims), 9: nonce, 10: audience}
    names = {"intent": 2, "profile": 3, "serial": 4, "not_before": 5, "not_after": 6}
    request.update({names[name]: value for name, value in changes.items()})
    return {**request, **fields}


class SignerProcess:
    """The signer with a folder, keys, and configuration of its own."""

    def __init__(self, build, folder, **settings):
        self.build, self.folder = Path(build), Path(folder)
        self.ear_key = ec.generate_private_key(ec.SECP256R1())
        self.ca = self.folder / "ca"
        self.state = self.folder / "state"
        self.state.mkdir(parents=True)
        (self.folder / "run").mkdir()
        self.socket = self.folder / "run/signer.sock"
        subprocess.run([self.build / "mooring-ca", "init", "--dir", self.ca, "--name", "Example OEM",
                        "--trust-domain", TRUST_DOMAIN], check=True, stdout=subprocess.DEVNULL)
        (self.folder / "ear.pub.pem").write_bytes(public_pem(self.ear_key))
        self.settings = {
            "socket": self.socket, "state_dir": self.state, "issuer_key": self.ca / "device.key",
            "issuer_cert": self.ca / "device.pem", "ear_keys": [str(self.folder / "ear.pub.pem")], "origins": [ORIGIN],
            "salt_file": self.ca / "salt", "trust_domain": TRUST_DOMAIN, "peer_uids": [str(os.geteuid())], **settings}
        if ROOT:
            self.settings.update(run_as_uid=64202, run_as_gid=64202)
        self.daemon, self.peers = None, []

    @property
    def journal(self):
        return self.state / "journal"

    def config(self):
        path = self.folder / "signer.yaml"
        lines = [f"{key}: {json.dumps(value if isinstance(value, (int, list)) else str(value))}"
                 for key, value in self.settings.items()]
        path.write_text("\n".join(lines) + "\n")
        return path

    def argv(self, *extra):
        return [self.build / "mooring-signer", "--config", self.config(), *extra]

    def launch(self, *wrapper):
        """Starts it, and does not wait; `wrapper` goes before: strace and its options."""
        environment = {"ASAN_OPTIONS": "detect_leaks=0:allocator_may_return_null=1"}
        self.daemon = Daemon("signer", [*wrapper, *self.argv()], self.folder / "log", env=environment).start()
        return self

    def ready(self):
        def listening():
            self.daemon.check()
            try:
                return Peer(self.socket)
            except OSError:
                return None
        self.peers.append(wait_until(listening, "the signer listens"))
        return self

    def start(self, *wrapper):
        return self.launch(*wrapper).ready()

    def peer(self):
        self.peers.append(Peer(self.socket))
        return self.peers[-1]

    def ask(self, request):
        return self.peers[-1].ask(request)

    def stop(self):
        for peer in self.peers:
            peer.close()
        self.peers = []
        if self.daemon:
            self.daemon.stop()

    def restart(self):
        self.stop()
        return self.start()

    def request(self, **changes):
        return make_request(changes.pop("ear_key", self.ear_key), **changes)

    def unattested(self, days=1):
        request = self.request(profile="unattested", not_after=int(time.time()) + days * 86400)
        return {key: value for key, value in request.items() if key < 8}

    def thing(self, instance):
        digest = hashlib.sha256(b"mooring-thing/1" + (self.ca / "salt").read_bytes() + instance).digest()
        return base64.b32encode(digest[:15]).decode().lower()

    def log(self):
        lines = self.daemon.log.read_text(errors="replace").splitlines()
        return [json.loads(line) for line in lines if line.startswith("{")]


def read_journal(path):
    """Every record of a journal whose frames and hash chain are right; an assertion where they are not."""
    data, at, chain, records = Path(path).read_bytes(), 0, bytes(32), []
    while at < len(data):
        size, check = struct.unpack(">II", data[at:at + 8])
        assert check == size ^ struct.unpack(">I", chain[:4])[0]
        record = data[at + 8:at + 8 + size]
        chain = hashlib.sha256(chain + data[at:at + 4] + record).digest()
        assert data[at + 8 + size:at + 40 + size] == chain
        records.append((at, cbor2.loads(record)))
        at += 40 + size
    assert records[0][1][0] == "mooring-journal/1"
    return records[1:]


def load(certificate):
    return x509.load_der_x509_certificate(certificate)
