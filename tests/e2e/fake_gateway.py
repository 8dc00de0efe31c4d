"""A gateway for tests of the device alone: checks a request as the specification says, with other people's parsers.

CBOR is read by cbor2, CSRs and signatures by python3-cryptography: nothing of what is tested is used to test it.
"""

import base64
import contextlib
import datetime
import hashlib
import http.server
import ipaddress
import json
import os
import ssl
import threading

import cbor2
from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, utils
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

PSA_PROFILE = "tag:psacertified.org,2023:psa#tfm"


def utc(seconds=0):
    return datetime.datetime.now(datetime.timezone.utc).replace(tzinfo=None) + datetime.timedelta(seconds=seconds)


def der_spki(key):
    return key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)


def pem(certificate):
    return certificate.public_bytes(serialization.Encoding.PEM).decode()


class Authority:
    """A root, an issuing CA for devices, and whatever else a test wants certified."""

    def __init__(self, name="Test OEM", born=-30 * 86400):
        self.born = born
        self.root_key, self.device_key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
        self.root = self.sign(f"{name} root", self.root_key.public_key(), None, ca=1)
        self.device_ca = self.sign(f"{name} devices", self.device_key.public_key(), None, ca=0)

    def sign(self, name, public_key, issuer, ca=None, sans=(), usage=None, lifetime=365 * 86400):
        issuer_name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]) if ca == 1 else (issuer or self.root).subject
        key = self.root_key if issuer is None else self.device_key
        builder = (x509.CertificateBuilder()
                   .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]))
                   .issuer_name(issuer_name).public_key(public_key).serial_number(x509.random_serial_number())
                   .not_valid_before(utc(self.born if ca is not None else -3600) if usage != "server" else utc(self.born))
                   .not_valid_after(utc(lifetime))
                   .add_extension(x509.BasicConstraints(ca is not None, ca), critical=True)
                   .add_extension(x509.SubjectKeyIdentifier.from_public_key(public_key), critical=False)
                   .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(key.public_key()), critical=False))
        if sans:
            builder = builder.add_extension(x509.SubjectAlternativeName(sans), critical=False)
        if usage:
            oid = ExtendedKeyUsageOID.SERVER_AUTH if usage == "server" else ExtendedKeyUsageOID.CLIENT_AUTH
            builder = builder.add_extension(x509.ExtendedKeyUsage([oid]), critical=False)
        return builder.sign(key, hashes.SHA256())

    def save(self, folder, name, usage="server", sans=("127.0.0.1", "localhost")):
        """A certificate of the root's with its key, for a server or a client: (certificate path, key path)."""
        key = ec.generate_private_key(ec.SECP256R1())
        names = [x509.IPAddress(ipaddress.ip_address(s)) if s[0].isdigit() else x509.DNSName(s) for s in sans]
        certificate, private = folder / f"{name}.pem", folder / f"{name}.key"
        certificate.write_text(pem(self.sign(name, key.public_key(), None, sans=names, usage=usage)))
        private.write_bytes(key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8,
                                              serialization.NoEncryption()))
        private.chmod(0o600)
        return certificate, private


class Broken(Exception):
    """The request breaks a rule that a device must keep."""


class Spent(Exception):
    """The challenge was used before: libcurl itself sends a request again when a kept connection dies under it."""


class FakeGateway:
    """`script` is what becomes of the next requests for a certificate: "ok" (and when it is used up), "lose" (certified, answer
    lost), "other-key", or (status, problem code, headers). `requests` holds the requests that were checked and found good."""

    def __init__(self, folder, records, sans=("127.0.0.1", "localhost"), authority=None, lifetime=86400):
        folder.mkdir(parents=True, exist_ok=True)
        self.authority = authority or Authority()
        self.root = folder / "root.pem"
        self.root.write_text(pem(self.authority.root))
        self.records = {r["instance_id"]: r for r in map(json.loads, records.read_text().splitlines())}
        self.lifetime, self.script, self.challenge_script = lifetime, [], []
        self.challenges, self.requests, self.broken, self.issued = {}, [], [], {}
        self.lock, self.released = threading.Lock(), threading.Event()
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler_for(self))
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*self.authority.save(folder, "server", sans=sans))
        self.server.socket = context.wrap_socket(self.server.socket, server_side=True, do_handshake_on_connect=False)
        self.port = self.server.server_address[1]
        self.origin = f"https://127.0.0.1:{self.port}"
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True)
        self.thread.start()

    def stop(self):
        self.released.set()
        self.server.shutdown()
        self.server.server_close()
        assert not self.broken, f"the device broke rules: {self.broken}"

    # -- what a device asks ---------------------------------------------------------------------------------------

    def challenge(self):
        nonce = os.urandom(32)
        with self.lock:
            self.challenges[nonce] = False
        return 201, {"nonce": base64.urlsafe_b64encode(nonce).decode().rstrip("="), "expires_in": 300}, {}

    def certify(self, path, body):
        """What a certificate was asked for with: checked, remembered, answered as the script says."""
        try:
            asked = self.check(path, body)
        except Spent:
            return 409, {"code": "nonce-spent", "request_id": "REQ3"}, {}
        except (Broken, KeyError, ValueError, InvalidSignature) as error:
            self.broken.append(repr(error))
            return 400, {"code": "bad-request", "detail": repr(error), "request_id": "broken"}, {}
        with self.lock:
            self.requests.append(asked)
            act = self.script.pop(0) if self.script else "ok"
        if isinstance(act, tuple):
            status, code, headers = act
            return status, {"code": code, "title": code, "status": status, "request_id": "REQ1"}, headers
        key = ec.generate_private_key(ec.SECP256R1()).public_key() if act == "other-key" else asked["key"]
        if act == "hang":
            self.released.wait(60)
            return None
        answer = self.issue(key, asked["thing"])
        return None if act == "lose" else answer

    def issue(self, key, thing):
        spki = der_spki(key)
        known = self.issued.get(spki)
        if not known or known.not_valid_after <= utc():
            self.issued[spki] = self.authority.sign(thing, key, self.authority.device_ca, usage="client", lifetime=self.lifetime)
        certificate = self.issued[spki]
        return 200 if known else 201, {
            "thing": thing, "certificatePem": pem(certificate), "chainPem": pem(self.authority.device_ca),
            "certificateId": hashlib.sha256(certificate.public_bytes(serialization.Encoding.DER)).hexdigest(),
            "notBefore": 0, "notAfter": 0, "requestId": "REQ0"}, {}

    def check(self, path, body):
        request = json.loads(body)
        if request["mode"] != "C" or request["audience"] != self.origin:
            raise Broken(f"mode {request['mode']}, audience {request['audience']}")
        nonce = base64.urlsafe_b64decode(request["nonce"] + "=")
        with self.lock:
            if nonce not in self.challenges:
                raise Broken("a challenge that was not given out")
            if self.challenges[nonce]:
                raise Spent
            self.challenges[nonce] = True
        csr_der = base64.b64decode(request["csr"], validate=True)
        csr = x509.load_der_x509_csr(csr_der)
        if not csr.is_signature_valid:
            raise Broken("the CSR's signature")
        b = binding(nonce, self.origin, csr_der)
        evidence = base64.b64decode(request["evidence"]["value"], validate=True)
        instance_id = self.check_evidence(request["evidence"]["type"], evidence, b, csr_der)
        if path == "/v1/renewals":
            self.check_renewal(request["renews"], b)
        elif "renews" in request:
            raise Broken("an enrolment that renews")
        thing = base64.b32encode(hashlib.sha256(instance_id).digest()[:15]).decode().lower()
        return {"path": path, "key": csr.public_key(), "spki": hashlib.sha256(der_spki(csr.public_key())).hexdigest(),
                "thing": thing, "nonce": nonce, "body": request}

    def check_evidence(self, kind, evidence, b, csr_der):
        tag = cbor2.loads(evidence)
        if tag.tag != 18 or len(tag.value) != 4:
            raise Broken("not a tagged COSE_Sign1")
        protected, _, payload, signature = tag.value
        header = cbor2.loads(protected)
        if header[1] != -7:
            raise Broken(f"algorithm {header[1]}")
        claims = cbor2.loads(payload) if kind == "psa-token" else header[15]
        if claims[10] != b:
            raise Broken("the nonce is not the binding of this request")
        if kind == "psa-token":
            check_psa_claims(claims)
        elif payload != csr_der:
            raise Broken("the payload is not the CSR")
        record = self.records[claims[256].hex()]
        rot = serialization.load_der_public_key(base64.b64decode(record["public_key"]))
        to_sign = cbor2.dumps(["Signature1", protected, b"", payload])
        half = len(signature) // 2
        rot.verify(utils.encode_dss_signature(int.from_bytes(signature[:half], "big"), int.from_bytes(signature[half:], "big")),
                   to_sign, ec.ECDSA(hashes.SHA256()))
        return claims[256]

    def check_renewal(self, renews, b):
        for certificate in self.issued.values():
            der = certificate.public_bytes(serialization.Encoding.DER)
            if hashlib.sha256(der).hexdigest() == renews["certificateId"]:
                certificate.public_key().verify(base64.b64decode(renews["signature"]), b"mooring-renew/1\0" + b,
                                                ec.ECDSA(hashes.SHA256()))
                return
        raise Broken("it renews a certificate that was never issued")


def check_psa_claims(claims):
    """RFC 9783 4 and 5.2."""
    if claims[265] != PSA_PROFILE or claims[2395] != 0x3000 or not -2**31 <= claims[2394] < 0:
        raise Broken(f"profile, life cycle or client: {claims}")
    if len(claims[2396]) != 32 or len(claims[256]) != 33 or claims[256][0] != 1 or not 8 <= len(claims[268]) <= 32:
        raise Broken("a claim's length")
    if not claims[2399] or any(len(c[2]) != 32 or len(c[5]) != 32 for c in claims[2399]):
        raise Broken("software components")


def binding(nonce, audience, csr_der):
    return hashlib.sha256(b"oem-enrol-att/1\0" + b"C" + nonce + hashlib.sha256(audience.encode()).digest() +
                          hashlib.sha256(csr_der).digest()).digest()


def handler_for(gateway):
    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self):
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            if self.path == "/v1/challenges":
                with gateway.lock:
                    act = gateway.challenge_script.pop(0) if gateway.challenge_script else None
                answer = (act[0], {"code": act[1], "request_id": "REQ2"}, act[2]) if act else gateway.challenge()
            elif self.path in ("/v1/enrolments", "/v1/renewals"):
                answer = gateway.certify(self.path, body)
            else:
                answer = 404, {"code": "not-found"}, {}
            if answer is None:
                self.close_connection = True
                return
            self.answer(*answer)

        def answer(self, status, members, headers):
            text = json.dumps(members).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json" if status < 400 else "application/problem+json")
            self.send_header("Content-Length", str(len(text)))
            for name, value in headers.items():
                self.send_header(name, str(value))
            self.end_headers()
            with contextlib.suppress(OSError):
                self.wfile.write(text)

        def handle(self):
            with contextlib.suppress(OSError, ssl.SSLError):
                super().handle()

        def log_message(self, *_):
            pass

    return Handler
