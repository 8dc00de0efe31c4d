"""A device in Python: an independent maker of CSRs and evidence, so that tests can also send what no device would."""

import base64
import hashlib
import json
import os

import cbor2
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, utils
from cryptography.x509.oid import NameOID

LABEL = b"oem-enrol-att/1\x00"
IMPLEMENTATION = hashlib.sha256(b"example implementation").digest()
DER, SPKI = serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo


def b64(data):
    return base64.b64encode(data).decode()


def b64url(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def b64url_decode(text):
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def spki(key):
    return key.public_key().public_bytes(DER, SPKI)


def binding(nonce, audience, csr):
    return hashlib.sha256(LABEL + b"C" + nonce + hashlib.sha256(audience.encode()).digest()
                          + hashlib.sha256(csr).digest()).digest()


P256_ORDER = 0xffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551


def raw_signature(key, message, digest=hashes.SHA256):
    """r || s with the smaller s, which provenance asks for and everything else takes."""
    r, s = utils.decode_dss_signature(key.sign(message, ec.ECDSA(digest())))
    s = min(s, P256_ORDER - s)
    return r.to_bytes(32, "big") + s.to_bytes(32, "big")


def sign1(key, payload, protected=None, tag=18, unprotected=None):
    header = cbor2.dumps({1: -7} if protected is None else protected)
    signature = raw_signature(key, cbor2.dumps(["Signature1", header, b"", payload]))
    return cbor2.dumps(cbor2.CBORTag(tag, [header, unprotected or {}, payload, signature]))


def instance_id(rot):
    numbers = rot.public_key().public_numbers()
    key = b"\xa4\x01\x02\x20\x01\x21\x58\x20" + numbers.x.to_bytes(32, "big") + b"\x22\x58\x20" + numbers.y.to_bytes(32, "big")
    return b"\x01" + hashlib.sha256(key).digest()


def make_csr(key, name="thermometer", digest=hashes.SHA256):
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    return x509.CertificateSigningRequestBuilder().subject_name(subject).sign(key, digest()).public_bytes(DER)


class Attester:
    """A chip with a RoT key. Every part of what it sends can be overridden by the caller."""

    def __init__(self, rot=None, batch="PY", model="thermo-1"):
        self.rot = rot or ec.generate_private_key(ec.SECP256R1())
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.instance = instance_id(self.rot)
        self.batch, self.model = batch, model
        self.chain = None  # supply_chain.py: where it comes from

    def record(self):
        return {"instance_id": self.instance.hex(), "implementation_id": IMPLEMENTATION.hex(), "public_key": b64(spki(self.rot)),
                "batch": self.batch, "model": self.model, "evidence": ["psa-token", "cose-csr"]}

    def claims(self, bound, **changes):
        claims = {
            10: bound, 256: self.instance, 2396: IMPLEMENTATION, 2394: -1, 2395: 0x3000,
            265: "tag:psacertified.org,2023:psa#tfm",
            2399: [{1: "BL", 2: b"\x11" * 32, 4: "2.1.0", 5: b"\x22" * 32, 6: "sha-256"}],
        }
        for label, value in changes.pop("claims", {}).items():
            claims.pop(label, None) if value is None else claims.update({label: value})
        return claims

    def evidence(self, kind, bound, csr, **changes):
        signer = changes.get("signer", self.rot)
        if kind == "psa-token":
            return sign1(signer, cbor2.dumps(self.claims(bound, **changes)), changes.get("protected"))
        protected = {1: -7, 3: "application/pkcs10", 15: {10: bound, 256: self.instance}}
        return sign1(signer, changes.get("payload", csr), protected)


class Client:
    """Speaks to the gateway's device port."""

    def __init__(self, stack):
        self.stack = stack

    def post(self, path, body, headers=None):
        data = body if isinstance(body, (bytes, str)) else json.dumps(body)
        status, headers, answer = self.stack.https("POST", self.stack.ports["device"], path, data,
                                                   {"Content-Type": "application/json", **(headers or {})})
        try:
            return status, headers, json.loads(answer) if answer else None
        except ValueError:
            return status, headers, answer

    def challenge(self):
        status, _, answer = self.post("/v1/challenges", {})
        assert status == 201, answer
        return b64url_decode(answer["nonce"])

    def request(self, device, kind="psa-token", csr=None, nonce=None, audience=None, **changes):
        """The JSON of an enrolment, genuine unless a change makes it otherwise."""
        csr = csr if csr is not None else make_csr(device.key)
        nonce = nonce or self.challenge()
        audience = audience or self.stack.origin
        bound = changes.pop("bound", None) or binding(nonce, audience, csr)
        chain = {"chain": b64url(device.chain.encode())} if device.chain else {}
        return {"csr": b64(csr), "evidence": {"type": kind, "value": b64(device.evidence(kind, bound, csr, **changes))},
                "nonce": b64url(nonce), "audience": audience, "mode": "C", **chain}

    def enrol(self, device, **changes):
        return self.post("/v1/enrolments", self.request(device, **changes))

    def renew(self, device, current_key, certificate_id, new_key, **changes):
        csr = make_csr(new_key)
        nonce = self.challenge()
        body = self.request(device, csr=csr, nonce=nonce, **changes)
        bound = binding(nonce, self.stack.origin, csr)
        signature = current_key.sign(b"mooring-renew/1\x00" + bound, ec.ECDSA(hashes.SHA256()))
        body["renews"] = {"certificateId": certificate_id, "signature": b64(signature)}
        return self.post("/v1/renewals", body)


def published(stack, count=1, folder=None, **options):
    """Attesters whose records the attestation service holds."""
    devices = [Attester(**options) for _ in range(count)]
    records = (folder or stack.folder) / f"records-{os.urandom(6).hex()}.ndjson"
    records.write_text("".join(json.dumps(d.record()) + "\n" for d in devices))
    stack.publish(records)
    return devices
