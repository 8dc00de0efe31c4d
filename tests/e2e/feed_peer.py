"""A gateway's feed for brokers, in Python: signs frames, remembers receipts, and breaks rules where a test asks it to."""

import hashlib
import http.server
import json
import os
import queue
import ssl
import threading
import time
import urllib.parse

import cbor2
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

SNAPSHOT, SNAPSHOT_LAST, CHANGES, HEARTBEAT = range(4)
ACTIVE, INACTIVE, REVOKED = range(3)
REPORT_CONNECT, SERVICE, DETACHED = 1, 2, 4
HEARTBEAT_S = 0.2


def seal(key, payload):
    """One element of the stream: a byte string that holds a COSE_Sign1 (ES256)."""
    protected, body = cbor2.dumps({1: -7}), cbor2.dumps(payload)
    signed = cbor2.dumps(["Signature1", protected, b"", body])
    r, s = decode_dss_signature(key.sign(signed, ec.ECDSA(hashes.SHA256())))
    cose = cbor2.CBORTag(18, [protected, {}, body, r.to_bytes(32, "big") + s.to_bytes(32, "big")])
    return cbor2.dumps(cbor2.dumps(cose)), hashlib.sha256(body).digest()


class Stream:
    """What is sent to one broker, in order. Its owner's lock is held by whoever puts."""

    def __init__(self, feed, seq):
        self.feed, self.seq, self.digest = feed, seq, bytes(32)
        self.out = queue.Queue()

    def frame(self, kind, first, last, records=(), head=None, key=None, **changed):
        """Seals the next frame; `changed` replaces parts of its payload."""
        payload = {1: self.feed.epoch, 2: first, 3: last, 4: self.feed.now_ms(), 5: self.digest, 6: kind,
                   7: list(records), 8: self.feed.heads[last] if head is None else head}
        payload.update({int(name[1:]): value for name, value in changed.items()})
        data, digest = seal(key or self.feed.key, payload)
        return data, digest

    def send(self, kind, first, last, records=(), **changed):
        data, self.digest = self.frame(kind, first, last, records, **changed)
        self.seq = last
        self.out.put(data)
        return data

    def snapshot(self):
        records = self.feed.records()
        last = len(self.feed.log)
        parts = [records[i:i + 500] for i in range(0, len(records), 500)] or [[]]
        for part in parts[:-1]:
            self.send(SNAPSHOT, 0, last, part)
        self.send(SNAPSHOT_LAST, 0, last, parts[-1])

    def changes(self):
        while self.seq < len(self.feed.log):
            self.send(CHANGES, self.seq + 1, self.seq + 1, self.feed.log[self.seq])

    def heartbeat(self):
        self.send(HEARTBEAT, self.seq + 1, self.seq)


class Feed:
    """The log that brokers follow: log[i] holds the records of number i + 1, heads[i] the hash at number i."""

    def __init__(self, pki, port=0):
        self.pki, self.key = pki, pki.feed_key
        self.epoch, self.log, self.heads = 1, [], [bytes(32)]
        self.policies, self.certificates = {}, {}
        self.lock, self.news = threading.RLock(), threading.Condition()
        self.streams, self.receipts = [], []
        self.now_ms = lambda: int(time.time() * 1000)
        self.beating, self.refuse_receipts, self.on_stream = True, False, None
        self.port, self.server = port, None

    # -- the log ----------------------------------------------------------------------------------------------------

    def records(self):
        return [[2, name, document] for name, document in self.policies.items()] + list(self.certificates.values())

    def policy(self, name, document):
        text = json.dumps(document, separators=(",", ":"))
        self.policies[name] = text
        return self.change([2, name, text])

    def certificate(self, identity, state=ACTIVE, policy="default", flags=0, name=None, not_after=None, kind=None,
                    attributes=None):
        """`kind` is the thing's type."""
        record = [1, identity.fingerprint, state, identity.not_before, not_after or identity.not_after,
                  name or identity.name, policy, flags]
        if kind or attributes:
            record += [kind or "", [text for pair in sorted((attributes or {}).items()) for text in pair]]
        self.certificates[identity.fingerprint] = record
        return self.change(record)

    def policy_removed(self, name):
        del self.policies[name]
        return self.change([6, name])

    def remove(self, identity):
        del self.certificates[identity.fingerprint]
        return self.change([4, identity.fingerprint])

    def change(self, *records):
        """Returns the number of the entry and when it was handed to the streams."""
        with self.lock:
            self.log.append(list(records))
            self.heads.append(hashlib.sha256(self.heads[-1] + cbor2.dumps(list(records))).digest())
            for stream in self.streams:
                stream.changes()
            return len(self.log), time.monotonic()

    # -- the server -------------------------------------------------------------------------------------------------

    def start(self):
        feed = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def log_message(self, *_):
                pass

            def do_GET(self):
                feed.serve_stream(self)

            def do_POST(self):
                feed.serve_receipt(self)

        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.pki.path("edge.pem"), self.pki.path("edge.key"))
        context.load_verify_locations(self.pki.path("root.pem"))
        context.verify_mode = ssl.CERT_REQUIRED

        class Server(http.server.ThreadingHTTPServer):
            daemon_threads = True
            allow_reuse_address = True

            def get_request(self):
                plain, address = self.socket.accept()
                return context.wrap_socket(plain, server_side=True, do_handshake_on_connect=False), address

            def handle_error(self, *_):
                pass  # a broker that leaves is no error

        self.server = Server(("127.0.0.1", self.port), Handler)
        self.port = self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        return self

    def stop(self):
        if self.server:
            self.server.shutdown()
            self.server.server_close()
            self.server = None
        self.drop_streams()

    def drop_streams(self):
        with self.lock:
            for stream in self.streams:
                stream.out.put(None)
            self.streams.clear()

    def stream(self):
        """The newest live stream."""
        with self.lock:
            return self.streams[-1] if self.streams else None

    def serve_stream(self, handler):
        asked = {k: v[0] for k, v in urllib.parse.parse_qs(urllib.parse.urlsplit(handler.path).query).items()}
        after, head = int(asked["after"]), bytes.fromhex(asked["head"])
        handler.send_response(200)
        handler.send_header("Connection", "close")
        handler.send_header("Mooring-Stream", os.urandom(16).hex())
        handler.end_headers()
        with self.lock:
            stream = Stream(self, after)
            if self.on_stream:
                self.on_stream(stream, asked)
            elif int(asked["epoch"]) == self.epoch and after < len(self.heads) and self.heads[after] == head:
                stream.changes()
                stream.heartbeat()
            else:
                stream.snapshot()
            self.streams.append(stream)
        with self.news:
            self.news.notify_all()
        self.pump(handler, stream)

    def pump(self, handler, stream):
        try:
            while True:
                try:
                    data = stream.out.get(timeout=HEARTBEAT_S)
                except queue.Empty:
                    if self.beating:
                        with self.lock:
                            if stream in self.streams:
                                stream.heartbeat()
                    continue
                if data is None:
                    break
                handler.wfile.write(data)
        except OSError:
            pass
        with self.lock:
            if stream in self.streams:
                self.streams.remove(stream)
        handler.close_connection = True

    def serve_receipt(self, handler):
        body = json.loads(handler.rfile.read(int(handler.headers["Content-Length"])))
        if not self.refuse_receipts:
            with self.news:
                self.receipts.append((time.monotonic(), body))
                self.news.notify_all()
        handler.send_response(503 if self.refuse_receipts else 204)
        handler.send_header("Content-Length", "0")
        handler.end_headers()

    def wait_receipt(self, seq, seconds=10):
        """When the broker said that `seq` is effective."""
        def found():
            return next((at for at, body in self.receipts if body["epoch"] == self.epoch and body["seq"] >= seq), None)
        with self.news:
            assert self.news.wait_for(found, seconds), f"no receipt for {seq} in {self.receipts}"
            return found()
