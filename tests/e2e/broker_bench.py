"""What a test of the plugin alone needs: keys and certificates, Mosquitto with the plugin, and a small MQTT client."""

import datetime
import hashlib
import ipaddress
import json
import os
import shutil
import socket
import ssl
import time
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

import stack as stacks

REPO = Path(__file__).resolve().parents[2]
BUILD = Path(os.environ.get("MOORING_BUILD") or REPO / "build").resolve()
MOSQUITTO = os.environ.get("MOORING_MOSQUITTO") or shutil.which("mosquitto", path="/usr/sbin:/usr/bin")
DEFAULT_POLICY = json.loads((REPO / "config/policy-default.json").read_text())


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


class Identity:
    """A certificate with its key, on disk as NAME.pem and NAME.key."""

    def __init__(self, pki, name, certificate, key):
        self.name, self.certificate = name, certificate
        self.pem, self.key = pki.path(f"{name}.pem"), pki.path(f"{name}.key")
        Path(self.pem).write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
        Path(self.key).write_bytes(key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8,
                                                     serialization.NoEncryption()))
        self.fingerprint = hashlib.sha256(certificate.public_bytes(serialization.Encoding.DER)).digest()
        self.not_before = int(certificate.not_valid_before.replace(tzinfo=datetime.timezone.utc).timestamp())
        self.not_after = int(certificate.not_valid_after.replace(tzinfo=datetime.timezone.utc).timestamp())


class Pki:
    """One CA for all: what chains to what is not what these tests are about."""

    def __init__(self, folder):
        self.folder = folder
        folder.mkdir()
        self.root_key = ec.generate_private_key(ec.SECP256R1())
        self.root_name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "test root")])
        self.root = self.issue("root", ca=True)
        self.edge = self.issue("edge", server=True)
        self.broker = self.issue("broker", server=True)
        self.broker_client = self.issue("broker-client")
        self.feed_key = ec.generate_private_key(ec.SECP256R1())
        Path(self.path("feed.pub.pem")).write_bytes(self.feed_key.public_key().public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo))

    def path(self, name):
        return str(self.folder / name)

    def issue(self, name, ca=False, server=False, lifetime_s=86400):
        key = self.root_key if ca else ec.generate_private_key(ec.SECP256R1())
        now = datetime.datetime.utcnow()
        subject = self.root_name if ca else x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        builder = (x509.CertificateBuilder().subject_name(subject).issuer_name(self.root_name)
                   .public_key(key.public_key()).serial_number(x509.random_serial_number())
                   .not_valid_before(now - datetime.timedelta(hours=1))
                   .not_valid_after(now + datetime.timedelta(seconds=lifetime_s))
                   .add_extension(x509.BasicConstraints(ca, None), True)
                   .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), False)
                   .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(self.root_key.public_key()), False)
                   .add_extension(x509.KeyUsage(digital_signature=not ca, key_cert_sign=ca, crl_sign=ca,
                                                content_commitment=False, key_encipherment=False, data_encipherment=False,
                                                key_agreement=False, encipher_only=False, decipher_only=False), True))
        if not ca:
            usage = ExtendedKeyUsageOID.SERVER_AUTH if server else ExtendedKeyUsageOID.CLIENT_AUTH
            builder = builder.add_extension(x509.ExtendedKeyUsage([usage]), False)
        if server:
            names = [x509.IPAddress(ipaddress.ip_address("127.0.0.1")), x509.DNSName("localhost")]
            builder = builder.add_extension(x509.SubjectAlternativeName(names), False)
        return Identity(self, name, builder.sign(self.root_key, hashes.SHA256()), key)


class Broker(stacks.Daemon):
    """Mosquitto with the plugin; `options` are further lines of its configuration."""

    def __init__(self, folder, pki, feed_port, options=(), staleness=900, plugin_options=()):
        self.folder, self.pki, self.port = folder, pki, free_port()
        self.conf = folder / "mosquitto.conf"
        for name in ("state", "data"):
            (folder / name).mkdir(parents=True, exist_ok=True)
        plugin = folder / "mosquitto_mooring.so"
        shutil.copy(BUILD / "mosquitto_mooring.so", plugin)
        lines = [
            "per_listener_settings false", *(["user root"] if os.geteuid() == 0 else []),
            f"listener {self.port} 127.0.0.1", f"cafile {pki.path('root.pem')}",
            f"certfile {pki.path('broker.pem')}", f"keyfile {pki.path('broker.key')}", "require_certificate true",
            f"plugin {plugin}", f"plugin_opt_gateway https://127.0.0.1:{feed_port}",
            f"plugin_opt_ca_file {pki.path('root.pem')}", f"plugin_opt_cert_file {pki.path('broker-client.pem')}",
            f"plugin_opt_key_file {pki.path('broker-client.key')}", f"plugin_opt_feed_key {pki.path('feed.pub.pem')}",
            f"plugin_opt_state_dir {folder / 'state'}", "plugin_opt_broker broker-1",
            f"plugin_opt_staleness {staleness}", *plugin_options,
            "set_tcp_nodelay true", "check_retain_source true", "persistence true",
            f"persistence_location {folder / 'data'}/", "persistent_client_expiration 7d",
            "log_dest stderr", "log_type all", *options]
        self.conf.write_text("\n".join(lines) + "\n")
        environment = {}
        if os.environ.get("MOORING_SANITIZED") == "1":
            environment = sanitized_environment()
        super().__init__("broker", [MOSQUITTO, "-c", self.conf], folder / "broker.log", environment)

    def text(self):
        return self.log.read_text(errors="replace") if self.log.exists() else ""

    def ready(self):
        def listening():
            self.check()
            with socket.socket() as s:
                return s.connect_ex(("127.0.0.1", self.port)) == 0
        stacks.wait_until(listening, "the broker listens")
        return self

    def logged(self, text, seconds=10):
        stacks.wait_until(lambda: text in self.text(), f"the broker logs {text!r}", seconds)

    def wait_exit(self, seconds=10):
        return self.process.wait(seconds)


def sanitized_environment():
    """The broker itself is not sanitized: it is given the runtime that the plugin needs."""
    import conftest
    return conftest.sanitizer_environment()["broker"]


class Client:
    """A raw MQTT connection, 3.1.1 or 5: what arrives, and when, is seen as it is."""

    def __init__(self, broker, identity, client_id=None, version=4, clean=True, session=None, context=None,
                 will=None, expiry=None, connect=True):
        self.identity, self.version, self.code = identity, version, None
        self.client_id = identity.name if client_id is None else client_id
        self.context = context or tls_context(broker.pki, identity)
        plain = socket.create_connection(("127.0.0.1", broker.port), timeout=10)
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.sock = self.context.wrap_socket(plain, server_hostname="127.0.0.1", session=session)
        self.packet = 0
        self.received = b""
        if connect:
            self.connect(clean, will, expiry)

    def connect(self, clean=True, will=None, expiry=None):
        flags = (2 if clean else 0) | (4 if will else 0)
        properties = b""
        if self.version == 5:
            inner = b"\x11" + expiry.to_bytes(4, "big") if expiry else b""
            properties = bytes((len(inner),)) + inner
        body = (b"\x00\x04MQTT" + bytes((self.version, flags)) + b"\x00\x3c" + properties + text(self.client_id))
        if will:
            body += (b"\x00" if self.version == 5 else b"") + text(will[0]) + text(will[1])
        try:
            self.send(0x10, body)
            kind, answer = self.read()
        except (OSError, EOFError):
            return
        assert kind == 0x20
        self.code = answer[1]

    def send(self, kind, body):
        n, length = len(body), b""
        while True:
            length += bytes((n % 128 | (0x80 if n > 127 else 0),))
            n //= 128
            if n == 0:
                break
        self.sock.sendall(bytes((kind,)) + length + body)

    def read(self, seconds=10):
        """The next packet: (first byte, body). EOFError at the end."""
        self.sock.settimeout(seconds)
        first = self.exactly(1)[0]
        length = shift = 0
        while True:
            byte = self.exactly(1)[0]
            length |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                return first, self.exactly(length)

    def exactly(self, n):
        data = b""
        while len(data) < n:
            more = self.sock.recv(n - len(data))
            if not more:
                raise EOFError
            data += more
        return data

    def subscribe(self, topic, qos=0):
        """The broker's return code."""
        self.packet += 1
        properties = b"\x00" if self.version == 5 else b""
        self.send(0x82, self.packet.to_bytes(2, "big") + properties + text(topic) + bytes((qos,)))
        while True:
            kind, body = self.read()
            if kind == 0x90:
                return body[-1]

    def unsubscribe(self, topic):
        self.packet += 1
        properties = b"\x00" if self.version == 5 else b""
        self.send(0xa2, self.packet.to_bytes(2, "big") + properties + text(topic))
        return self.read()[0] == 0xb0

    def publish(self, topic, payload="x", qos=1, retain=False):
        """With QoS 1 the reason code of the PUBACK: 0 where there is none."""
        properties = b"\x00" if self.version == 5 else b""
        self.packet += 1
        number = self.packet.to_bytes(2, "big") if qos else b""
        self.send(0x30 | qos << 1 | int(retain), text(topic) + number + properties + payload.encode())
        if not qos:
            return 0
        kind, body = self.read()
        assert kind == 0x40
        return body[2] if len(body) > 2 else 0

    def message(self, seconds=10):
        """(topic, payload) of the next PUBLISH."""
        kind, body = self.read(seconds)
        assert kind & 0xf0 == 0x30, hex(kind)
        n = int.from_bytes(body[:2], "big")
        at = 2 + n + (2 if kind & 6 else 0) + (1 + body[2 + n + (2 if kind & 6 else 0)] if self.version == 5 else 0)
        return body[2:2 + n].decode(), body[at:].decode()

    def ping(self):
        self.send(0xc0, b"")
        return self.read()[0] == 0xd0

    def wait_end(self, seconds=10):
        """When the connection ended, and the reason code of a DISCONNECT before, if there was one."""
        reason = None
        try:
            while True:
                kind, body = self.read(seconds)
                if kind == 0xe0:
                    reason = body[0] if body else 0
        except (EOFError, ConnectionError, ssl.SSLError):
            return time.monotonic(), reason

    def close(self):
        self.sock.close()


def text(value):
    data = value.encode()
    return len(data).to_bytes(2, "big") + data


def tls_context(pki, identity, version=None):
    context = ssl.create_default_context(cafile=pki.path("root.pem"))
    context.load_cert_chain(identity.pem, identity.key)
    if version:
        context.minimum_version = context.maximum_version = version
    return context
