"""kill -9 at every durable step of an enrolment: the device ends with exactly one certificate, the store and the signer's journal agree.

strace kills a daemon as it enters its k-th system call of a kind after the request was sent; k grows until an enrolment
survives. For the gateway the first fdatasync is *reserve*, the next *record*, the writes are *sign* (to the signer) and *respond*
(to the edge); for the signer they are the journal and its answer; for the attestation service the verdict on its way.
"""

import contextlib
import sqlite3
import subprocess
import threading

import pytest
from attester import Client, published
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from signer_peer import read_journal
from stack import StackError, wait_until

DER = serialization.Encoding.DER
CALLS_MAX = 12


class Trap:
    """Kills `daemon` at its k-th `call`, once armed."""

    def __init__(self, daemon, call, k):
        self.daemon = daemon
        self.tracer = subprocess.Popen(
            ["strace", "-f", "-qq", "-o", "/dev/null", "-p", str(daemon.pid), "-e", f"trace={call}", "-e",
             f"inject={call}:signal=SIGKILL:when={k}"], stdin=subprocess.DEVNULL, stderr=subprocess.PIPE)
        wait_until(lambda: self.traced() or self.tracer.poll() is not None, "strace to attach")
        assert self.tracer.poll() is None, self.tracer.stderr.read()

    def traced(self):
        tasks = list(self.path("task").iterdir())
        return all("TracerPid:\t0" not in (t / "status").read_text() for t in tasks)

    def path(self, name):
        import pathlib
        return pathlib.Path(f"/proc/{self.daemon.pid}/{name}")

    def release(self):
        """True if the daemon died in it."""
        died = not self.daemon.running()
        self.tracer.terminate()
        self.tracer.wait()
        return died


def enrol_until_done(client, device):
    """As a device does: again with the same key, until there is an answer."""
    def attempt():
        with contextlib.suppress(OSError):
            status, _, answer = client.enrol(device)
            if status in (200, 201):
                return answer
            assert status in (409, 429, 503, 500, 502), answer
        return None
    return wait_until(attempt, "the device's certificate", 30)


def check_agreement(stack):
    """No serial twice; what the store calls issued is what the signer's journal holds, byte for byte."""
    journal = [r for r in read_journal(stack.folder / "signer/state/journal") if isinstance(r[1], dict) and r[1].get(7)]
    signed = {r[1][7] for r in journal}
    serials = [r[1][3] for r in journal]
    assert len(serials) == len(set(serials))
    with contextlib.closing(sqlite3.connect(f"file:{stack.folder}/gateway/state/gateway.db?mode=ro", uri=True)) as db:
        stored = {row[0] for row in db.execute("SELECT der FROM certificates")}
        open_intents = db.execute("SELECT count(*) FROM intents WHERE state = 'open'").fetchone()[0]
    assert stored == signed
    assert open_intents == 0


@pytest.mark.parametrize("name,call", [
    ("gateway", "fdatasync"), ("gateway", "writev"), ("gateway", "write"), ("gateway", "sendto"), ("gateway", "pwrite64"),
    ("signer", "fdatasync"), ("signer", "write"), ("signer", "pwrite64"), ("signer", "sendto"),
    ("attestd", "writev"),
])
def test_killed_at_every_call_of_an_enrolment(own, name, call):
    client, daemon = Client(own), own.daemons[name]
    devices = iter(published(own, CALLS_MAX + 1))
    deaths = 0
    for k in range(1, CALLS_MAX + 1):
        device = next(devices)
        trap = Trap(daemon, call, k)
        with contextlib.suppress(OSError, StackError):
            client.enrol(device)
        died = trap.release()
        if died:
            deaths += 1
            daemon.process.wait()
            daemon.start()
            own.ready()
        answer = enrol_until_done(client, device)
        shown = own.show(answer["thing"])
        assert [c["state"] for c in shown["certificates"]] == ["active"]
        assert x509.load_pem_x509_certificate(answer["certificatePem"].encode())
        if not died:
            break
    else:
        pytest.fail(f"{name} still dies at call {CALLS_MAX} of {call}")
    check_agreement(own)
    print(f"{name}: {deaths} deaths at {call}")


def test_the_answer_lost_on_the_way_is_found_again(own):
    """The client leaves as soon as the request is sent; the next request gets what that one made."""
    import json
    import socket
    import ssl
    client = Client(own)
    device = published(own)[0]
    body = json.dumps(client.request(device)).encode()
    tls = ssl.create_default_context(cafile=str(own.pki / "root.pem"))
    with socket.create_connection(("127.0.0.1", own.ports["device"])) as plain:
        with tls.wrap_socket(plain, server_hostname="127.0.0.1") as s:
            s.sendall(b"POST /v1/enrolments HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
                      % len(body) + body)
    wait_until(lambda: own.ctl_json("devices")["devices"], "the enrolment without its client")
    status, _, answer = client.enrol(device)
    assert status == 200, answer
    assert len(own.show(answer["thing"])["certificates"]) == 1
