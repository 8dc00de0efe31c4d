"""What a test of the plugin alone needs: keys and certificates, Mosquitto with the plugin, and a small MQTT client."""

import collections
import contextlib
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
from stack import free_port

REPO = Path(__file__).resolve().parents[2]
BUILD = Path(os.environ.get("MOORING_BUILD") or REPO / "build").resolve()
YEAR_S = 365 * 86400
DEFAULT_POLICY = json.loads((REPO / "config/policy-default.json").read_text())


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
    """One CA for all: what chains to what is not what these tests are about. It and servers outlive jumps of the clock."""

    def __init__(self, folder):
        self.folder = folder
        folder.mkdir()
        self.root_key = ec.generate_private_key(ec.SECP256R1())
        self.root_name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "test root")])
        self.root = self.issue("root", ca=True)
        self.edge = self.issue("edge", server=True)
        self.broker = self.issue("broker", server=True)
        self.issue("broker-client", lifetime_s=15 * YEAR_S)
        self.feed_key = ec.generate_private_key(ec.SECP256R1())
        Path(self.path("feed.pub.pem")).write_bytes(self.feed_key.public_key().public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo))

    def path(self, name):
        return str(self.folder / name)

    def issue(self, name, ca=False, server=False, lifetime_s=86400, subject=None):
        """`subject` takes the place of a common name that is `name`."""
        key = self.root_key if ca else ec.generate_private_key(ec.SECP256R1())
        now = datetime.datetime.utcnow()
        lifetime_s = 15 * YEAR_S if ca or server else lifetime_s
        subject = self.root_name if ca else subject or x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        builder = (x509.CertificateBuilder().subject_name(subject).issuer_name(self.root_name)
                   .public_key(key.public_key()).serial_number(x509.random_serial_number())
                   .not_valid_before(now - datetime.timedelta(days=1))
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

    def __init__(self, folder, pki, feed_port, options=(), staleness=900, plugin_options=(), environment=None):
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
        if os.environ.get("MOORING_SANITIZED") == "1":
            environment = {**sanitized_environment(), **(environment or {})}
        super().__init__("broker", [stacks.system_program("mosquitto"), "-c", self.conf], folder / "broker.log", environment)

    def text(self):
        return self.log.read_text(errors="replace") if self.log.exists() else ""

    def start(self):
        self.before = self.text().count(" running\n")
        return super().start()

    def ready(self):
        """Listens, and takes signals: before it says so SIGTERM just ends it."""
        def running():
            self.check()
            with socket.socket() as s:
                return self.text().count(" running\n") > self.before and s.connect_ex(("127.0.0.1", self.port)) == 0
        stacks.wait_until(running, "the broker listens")
        return self

    def logged(self, text, seconds=10):
        stacks.wait_until(lambda: text in self.text(), f"the broker logs {text!r}", seconds)

    def wait_exit(self, seconds=10):
        return self.process.wait(seconds)


def sanitized_environment():
    """The broker itself is not sanitized: it is given the runtime that the plugin needs."""
    import conftest
    return conftest.sanitizer_environment()["broker"]


@contextlib.contextmanager
def its_own_errors():
    """Python 3.13 leaves the error of a connection that was reset in OpenSSL's queue, and the thread's next connection that has
    to wait for something is told of it as its own. A list of ciphers that holds none empties the queue."""
    try:
        yield
    except OSError:
        with contextlib.suppress(ssl.SSLError):
            ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).set_ciphers("none")
        raise


Message = collections.namedtuple("Message", "topic payload qos retain dup")


class Client:
    """A raw MQTT connection, 3.1.1 or 5: what arrives, and when, is seen as it is."""

    def __init__(self, broker, identity, client_id=None, version=4, clean=True, session=None, context=None,
                 will=None, expiry=None, connect=True, source=None, **more):
        self.identity, self.version, self.code, self.session_present = identity, version, None, None
        self.client_id = identity.name if client_id is None else client_id
        self.context = context or tls_context(broker.pki, identity)
        plain = socket.create_connection(("127.0.0.1", broker.port), timeout=10, source_address=source and (source, 0))
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.sock = self.context.wrap_socket(plain, server_hostname="127.0.0.1", session=session)
        self.packet, self.inbox = 0, []
        if connect:
            self.connect(clean, will, expiry, **more)

    def connect(self, clean=True, will=None, expiry=None, username=None, password=None, will_delay=None, keepalive=60):
        """`will` is (topic, payload) and, where they are not 0, QoS and retain."""
        topic, payload, qos, retain = (*(will or ("", "")), 0, 0)[:4]
        flags = (2 if clean else 0) | (4 | qos << 3 | retain << 5 if will else 0)
        flags |= (0x80 if username is not None else 0) | (0x40 if password is not None else 0)
        body = (b"\x00\x04MQTT" + bytes((self.version, flags)) + keepalive.to_bytes(2, "big")
                + self.properties((0x11, expiry)) + text(self.client_id))
        if will:
            body += self.properties((0x18, will_delay)) + text(topic) + text(payload)
        body += b"".join(text(value) for value in (username, password) if value is not None)
        try:
            self.send(0x10, body)
            kind, answer = self.read()
        except (OSError, EOFError):
            return
        assert kind == 0x20
        self.session_present, self.code = answer[0], answer[1]

    def properties(self, *numbers):
        """The four-byte properties that have a value; nothing before MQTT 5."""
        if self.version < 5:
            return b""
        inner = b"".join(bytes((key,)) + value.to_bytes(4, "big") for key, value in numbers if value is not None)
        return bytes((len(inner),)) + inner

    def send(self, kind, body):
        n, length = len(body), b""
        while True:
            length += bytes((n % 128 | (0x80 if n > 127 else 0),))
            n //= 128
            if n == 0:
                break
        with its_own_errors():
            self.sock.sendall(bytes((kind,)) + length + body)

    def read(self, seconds=10):
        """The next packet: (first byte, body). EOFError at the end. What ends a delivery with QoS 2 is answered here."""
        self.sock.settimeout(seconds)
        while True:
            first = self.exactly(1)[0]
            length = shift = 0
            while True:
                byte = self.exactly(1)[0]
                length |= (byte & 127) << shift
                shift += 7
                if byte < 128:
                    break
            body = self.exactly(length)
            if first != 0x62:
                return first, body
            self.send(0x70, body[:2])

    def exactly(self, n):
        data = b""
        while len(data) < n:
            with its_own_errors():
                more = self.sock.recv(n - len(data))
            if not more:
                raise EOFError
            data += more
        return data

    def answer(self, *kinds):
        """The next packet that is one of these; messages before it are kept."""
        while True:
            kind, body = self.read()
            if kind in kinds:
                return kind, body
            assert kind & 0xf0 == 0x30, hex(kind)
            self.inbox.append(self.taken(kind, body))

    def next_packet(self):
        self.packet += 1
        return self.packet.to_bytes(2, "big")

    def subscribe(self, topic, qos=0):
        """The broker's return code."""
        self.send(0x82, self.next_packet() + self.properties() + text(topic) + bytes((qos,)))
        return self.answer(0x90)[1][-1]

    def unsubscribe(self, topic):
        self.send(0xa2, self.next_packet() + self.properties() + text(topic))
        return self.answer(0xb0)[0] == 0xb0

    def publish(self, topic, payload="x", qos=1, retain=False):
        """The reason code of the PUBACK or PUBREC: 0 where there is none."""
        number = self.next_packet() if qos else b""
        self.send(0x30 | qos << 1 | int(retain), text(topic) + number + self.properties() + payload.encode())
        if not qos:
            return 0
        kind, body = self.answer(0x40, 0x50)
        reason = body[2] if len(body) > 2 else 0
        if kind == 0x50 and reason < 0x80:
            self.send(0x62, number)
            self.answer(0x70)
        return reason

    def taken(self, kind, body):
        """The message of a PUBLISH, acknowledged."""
        qos, n = kind >> 1 & 3, int.from_bytes(body[:2], "big")
        at = 2 + n
        if qos:
            self.send(0x40 if qos == 1 else 0x50, body[at:at + 2])
            at += 2
        if self.version == 5:
            at += 1 + body[at]
        return Message(body[2:2 + n].decode(), body[at:].decode(), qos, kind & 1, kind >> 3 & 1)

    def take(self, seconds=10):
        """The next message, with its QoS and flags."""
        if self.inbox:
            return self.inbox.pop(0)
        kind, body = self.read(seconds)
        assert kind & 0xf0 == 0x30, hex(kind)
        return self.taken(kind, body)

    def message(self, seconds=10):
        """(topic, payload) of the next PUBLISH."""
        return self.take(seconds)[:2]

    def ping(self):
        self.send(0xc0, b"")
        return self.answer(0xd0)[0] == 0xd0

    def arrived(self):
        """All messages that the broker has sent before it answers a ping."""
        self.ping()
        messages, self.inbox = self.inbox, []
        return messages

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

    def leave(self):
        """DISCONNECT: without the will."""
        self.send(0xe0, b"")
        self.close()

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
