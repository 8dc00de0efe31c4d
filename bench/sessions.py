"""Effective revocation at N live sessions: from the durable row to the client's end of file."""

import json
import select
import socket
import ssl
import statistics
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests/e2e"))

from attester import Attester, Client  # noqa: E402
from cryptography.hazmat.primitives import serialization  # noqa: E402

SESSIONS, REVOKED = 1000, 300
PEM, PKCS8, PLAIN = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()


def enrolled(stack, count):
    """(thing, PEM file with chain and key) of as many new devices."""
    folder = stack.folder / "sessions"
    folder.mkdir()
    devices = [Attester(batch="SESSIONS") for _ in range(count)]
    records = folder / "records.ndjson"
    records.write_text("".join(json.dumps(d.record()) + "\n" for d in devices))
    stack.publish(records)
    client = Client(stack)

    def one(device):
        status, _, answer = client.enrol(device)
        if status != 201:
            raise SystemExit(f"enrolment: {status} {answer}")
        path = folder / f"{answer['thing']}.pem"
        key = device.key.private_bytes(PEM, PKCS8, PLAIN).decode()
        path.write_text(answer["certificatePem"] + answer["chainPem"] + key)
        return answer["thing"], path

    with ThreadPoolExecutor(8) as pool:
        return list(pool.map(one, devices))


def connect(stack, thing, path):
    tls = ssl.create_default_context(cafile=str(stack.pki / "root.pem"))
    tls.load_cert_chain(str(path))
    s = tls.wrap_socket(socket.create_connection(("127.0.0.1", stack.ports["mqtt"]), timeout=30), server_hostname="127.0.0.1")
    name = thing.encode()
    body = b"\x00\x04MQTT\x04\x02\x00\x00" + len(name).to_bytes(2, "big") + name
    s.sendall(bytes((0x10, len(body))) + body)
    answer = s.recv(4)
    if answer != b"\x20\x02\x00\x00":
        raise SystemExit(f"{thing} was not admitted: {answer.hex()}")
    s.setblocking(False)
    return s


class Watch(threading.Thread):
    """Notes the wall time at which each session ends."""

    def __init__(self, sockets):
        super().__init__(daemon=True)
        self.ended, self.poller = {}, select.epoll()
        self.things = {s.fileno(): (thing, s) for thing, s in sockets.items()}
        for number in self.things:
            self.poller.register(number, select.EPOLLIN)
        self.news = threading.Condition()

    def run(self):
        while self.things:
            for number, _ in self.poller.poll():
                now = time.time() * 1000
                thing, s = self.things[number]
                try:
                    if s.recv(4096):
                        continue
                except ssl.SSLWantReadError:
                    continue
                except (ssl.SSLError, ConnectionError):
                    pass
                self.poller.unregister(number)
                del self.things[number]
                with self.news:
                    self.ended[thing] = now
                    self.news.notify_all()

    def wait_for(self, thing):
        with self.news:
            if not self.news.wait_for(lambda: thing in self.ended, 10):
                raise SystemExit(f"{thing} was revoked and is still connected")
            return self.ended[thing]


def bench(bench_run):
    stack = bench_run.stack
    print(f"\nEffective revocation at {SESSIONS} live sessions: ms from the durable row to the client's end of file, {REVOKED} revocations")
    things = enrolled(stack, SESSIONS)
    with ThreadPoolExecutor(4) as pool:
        sockets = dict(pool.map(lambda t: (t[0], connect(stack, *t)), things))
    watch = Watch(sockets)
    watch.start()
    cut, receipts = [], []
    for thing, _ in things[:REVOKED]:
        answer = stack.ctl_json("revoke", thing, "--reason", "key-compromise")
        if not answer["effective"]:
            raise SystemExit(f"not effective: {answer}")
        cut.append(watch.wait_for(thing) - answer["recorded_at_ms"])
        receipts += [b["effective_ms"] for b in answer["brokers"] if b["state"] == "effective"]
    for label, values in (("session cut", cut), ("receipt at the gateway", receipts)):
        values.sort()
        print(f"    {label:<28}p50 {statistics.median(values):6.2f}   p99 {values[len(values) * 99 // 100]:6.2f}   max {values[-1]:6.2f}")
    print("    (target: p99 at most 10 ms)")
    for s in sockets.values():
        s.close()
