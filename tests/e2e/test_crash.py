"""kill -9 at every durable step of an enrolment: the device ends with exactly one certificate, the store and the signer's journal agree.

strace kills a daemon as one of its threads enters its k-th system call of a kind; k grows until an enrolment survives. In the
gateway the first fdatasync is *reserve*, the second *record*, writev is *sign*, the last sendto *respond*; in the signer they
are the journal and its answer; in the attestation service the evidence and the result on their way.
"""

import concurrent.futures
import json
import socket
import ssl

import pytest
from attester import Client, published
from conftest import configure, start_services
from ledgers import check_agreement
from stack import wait_until
from tracing import Trap, needs_tracing

CALLS_MAX = 60


@pytest.fixture
def services(cold):
    """One worker each, so that it is always the same thread that counts."""
    for name in ("gateway", "attestd"):
        configure(cold, name, workers=1)
    return start_services(cold)


def enrol_with_a_death(stack, client, device, trap):
    """Asks once while the trap is armed; a daemon that dies is started again at once. (died, answer)"""
    body = client.request(device)
    with concurrent.futures.ThreadPoolExecutor(1) as pool, trap() as armed:
        asked = pool.submit(client.post, "/v1/enrolments", body)
        wait_until(lambda: asked.done() or armed.dead(), "an answer or a death")
        died = armed.release()
        if died:
            armed.daemon.process.wait()
            armed.daemon.start()
            stack.services_ready()
        return died, asked.result()


def enrol_until_done(client, device):
    """As a device does: again with the same key, until there is an answer."""
    def attempt():
        status, _, answer = client.enrol(device)
        if status in (200, 201):
            return answer
        assert status in (429, 503), answer
        return None
    return wait_until(attempt, "the device's certificate", 30)


# The daemon, the call, how many calls from one death to the next, and how many deaths there are at least.
STEPS = [
    ("gateway", "fdatasync", 1, 2), ("gateway", "pwrite64", 4, 8), ("gateway", "write", 1, 3), ("gateway", "writev", 1, 1),
    ("gateway", "sendto", 1, 2), ("gateway", "readv", 1, 1),
    ("signer", "fdatasync", 1, 1), ("signer", "write", 1, 1), ("signer", "sendto", 1, 1),
    ("attestd", "sendto", 1, 1), ("attestd", "recvfrom", 1, 1),
]


@needs_tracing
@pytest.mark.parametrize("name,call,stride,least", STEPS, ids=[f"{name}-{call}" for name, call, _, _ in STEPS])
def test_killed_at_every_call_of_an_enrolment(services, name, call, stride, least):
    client, daemon = Client(services), services.daemons[name]
    devices = iter(published(services, CALLS_MAX // stride + 1))
    deaths = 0
    for k in range(1, CALLS_MAX, stride):
        device = next(devices)
        died, (status, _, first) = enrol_with_a_death(services, client, device, lambda: Trap(daemon, call, k))
        assert status in (200, 201, 503), first
        last = enrol_until_done(client, device)
        shown = services.show(last["thing"])["certificates"]
        assert [(c["certificateId"], c["state"]) for c in shown] == [(last["certificateId"], "active")]
        if status in (200, 201):
            assert first["certificatePem"] == last["certificatePem"]
        if not died:
            break
        deaths += 1
    else:
        pytest.fail(f"{name} still dies at call {CALLS_MAX} of {call}")
    assert deaths >= least
    check_agreement(services)


def test_the_answer_lost_on_the_way_is_found_again(services):
    """The client leaves as soon as the request is sent; the next request gets what that one made."""
    client = Client(services)
    device = published(services)[0]
    body = json.dumps(client.request(device)).encode()
    head = f"POST /v1/enrolments HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    tls = ssl.create_default_context(cafile=str(services.pki / "root.pem"))
    with socket.create_connection(("127.0.0.1", services.ports["device"])) as plain:
        with tls.wrap_socket(plain, server_hostname="127.0.0.1") as s:
            s.sendall(head.encode() + body)
    wait_until(lambda: services.ctl_json("devices")["devices"], "the enrolment without its client")
    status, _, answer = client.enrol(device)
    assert status == 200, answer
    assert len(services.show(answer["thing"])["certificates"]) == 1
    check_agreement(services)
