"""An attestation service that can lie, stall and break off, in the place of the real one: with its TLS certificate and its result key."""

import base64
import contextlib
import dataclasses
import hashlib
import hmac
import http.server
import json
import socket
import ssl
import struct
import threading
from urllib.parse import parse_qs, urlsplit

import cbor2
from attester import binding, make_csr
from cryptography.hazmat.primitives import serialization
from signer_peer import b64url, ear_claims, jws

SESSION = "application/vnd.veraison.challenge-response-session+json"
TYPES = ["application/eat-cwt; profile=\"http://arm.com/psa/2.0.0\""]


@dataclasses.dataclass
class Plan:
    """What is done at one device's request, each time honest where None. `session` and `evidence` take the exchange; `claims`
    changes the result before it is signed; `result` makes the compact JWT itself; `at_once` answers the evidence that came with
    the request for the session."""
    session: object = None
    evidence: object = None
    claims: object = None
    result: object = None
    at_once: bool = False


class Exchange:
    """One request to the service, and the ways to answer it."""

    def __init__(self, handler, service, nonce, evidence=b""):
        self.handler, self.service, self.nonce, self.evidence = handler, service, nonce, evidence

    def session(self, status="waiting", **more):
        return {"status": status, "nonce": self.nonce, "expiry": "2099-01-01T00:00:00Z", "accept": TYPES, **more}

    def send(self, status, body, kind=SESSION, length=None, **headers):
        data = json.dumps(body).encode() if isinstance(body, (dict, list)) else body
        h = self.handler
        h.send_response(status)
        h.send_header("Content-Type", kind)
        h.send_header("Content-Length", str(len(data) if length is None else length))
        for name, value in headers.items():
            h.send_header(name, value)
        h.end_headers()
        h.wfile.write(data)

    def open(self, status=201, body=None, location=None, **more):
        location = f"session/{self.nonce}" if location is None else location
        self.send(status, self.session() if body is None else body, Location=location, **more)

    def drip(self, status, body, period=1.0, **headers):
        """The head at once, the body at a byte a period."""
        self.send(status, b"", length=len(body), **headers)
        for at in range(len(body)):
            self.handler.wfile.write(body[at:at + 1])
            if self.service.stopped.wait(period):
                return

    def stall(self):
        self.service.stopped.wait(60)

    def reset(self):
        """RST: what was sent may never arrive."""
        plain = self.handler.connection
        plain.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.handler.close_connection = True
        plain.close()

    def claims(self):
        instance = cbor2.loads(cbor2.loads(self.evidence).value[2])[256]
        return ear_claims(base64.urlsafe_b64decode(self.nonce + "="), instance)


def unsigned(claims, header, key=b""):
    """A JWT with a signature that is none, or an HMAC."""
    parts = ".".join(b64url(json.dumps(part).encode()) for part in (header, claims))
    return parts + "." + (b64url(hmac.digest(key, parts.encode(), hashlib.sha256)) if key else "")


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = 60

    def log_message(self, *_):
        pass

    def do_GET(self):
        url, service = urlsplit(self.path), self.server.service
        exchange = Exchange(self, service, "")
        if url.path == "/.well-known/veraison/verification":
            exchange.send(200, service.discovery(), "application/vnd.veraison.discovery+json")
        elif url.path == "/v1/withdrawals":
            after = int(parse_qs(url.query)["after"][0])
            exchange.send(200, service.withdrawals(after), "application/json")
        else:
            exchange.send(404, b"")

    def do_POST(self):
        url, service = urlsplit(self.path), self.server.service
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        opens = url.path.endswith("/newSession")
        nonce = parse_qs(url.query)["nonce"][0] if opens else url.path.rsplit("/", 1)[1]
        plan = service.plans.get(nonce, Plan())
        exchange = Exchange(self, service, nonce, body)
        service.calls.append((nonce, "session" if opens else "evidence"))
        if opens and plan.at_once:
            exchange.open(body=exchange.session("complete", result=service.result(exchange, plan)))
        elif opens:
            (plan.session or Exchange.open)(exchange)
        elif plan.evidence:
            plan.evidence(exchange)
        else:
            exchange.send(200, exchange.session("complete", result=service.result(exchange, plan)))


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True
    service = None

    def __init__(self, *args):
        super().__init__(*args)
        self.connections = set()

    def process_request_thread(self, request, client_address):
        self.connections.add(request)
        super().process_request_thread(request, client_address)
        self.connections.discard(request)

    def end(self):
        """Connections that a client keeps are not served on."""
        self.shutdown()
        self.server_close()
        for connection in tuple(self.connections):
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def handle_error(self, request, client_address):
        """Connections end in every way here."""


class Verifier:
    """Listens where the stack's gateway looks for the attestation service."""

    def __init__(self, stack, tls=None):
        """`tls`: path of another certificate and key, without .pem and .key."""
        self.stack, self.plans, self.calls = stack, {}, []
        self.ear_key = serialization.load_pem_private_key((stack.folder / "attestd/pki/ear.key").read_bytes(), None)
        self.stopped = threading.Event()
        self.withdrawals = lambda after: {"entries": [], "last": after}
        files = tls or stack.folder / "attestation-edge/pki/edge"
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(f"{files}.pem", f"{files}.key")
        self.server = Server(("127.0.0.1", stack.ports["attestation"]), Handler)
        self.server.service = self
        self.server.socket = context.wrap_socket(self.server.socket, server_side=True, do_handshake_on_connect=False)
        threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stopped.set()
        self.server.end()

    def discovery(self):
        return {"service-state": "READY", "version": "1", "media-types": TYPES, "api-endpoints": {}}

    def result(self, exchange, plan):
        claims = exchange.claims()
        if plan.claims:
            plan.claims(claims)
        return plan.result(self, claims) if plan.result else jws(self.ear_key, claims)

    def request(self, client, device, plan=None):
        """The JSON of an enrolment for which the service will do as `plan` says."""
        nonce, csr = client.challenge(), make_csr(device.key)
        if plan:
            self.plans[b64url(binding(nonce, self.stack.origin, csr))] = plan
        return client.request(device, nonce=nonce, csr=csr)
