"""Parts that go away, disks that fill, daemons that are stopped: a clear refusal, nothing half-done, and all is well again alone."""

import concurrent.futures
import json
import os
import shutil
import signal
import threading
import time

import pytest
from attester import Attester, Client, b64url_decode, published
from ledgers import certificates_of, check_agreement, open_intents, signed
from stack import wait_until
from tracing import Failing, needs_tracing
from verifier_peer import Verifier


def refused(answer, status, code):
    got, headers, problem = answer
    assert (got, problem["code"]) == (status, code), problem
    assert headers["Content-Type"] == "application/problem+json"
    if status == 503:
        assert int(headers["Retry-After"]) > 0
    return problem.get("request_id")  # the edge's own answers have none


def enrolled_again(client, device, seconds=20):
    """As a device does: it asks until there is an answer."""
    def attempt():
        status, _, answer = client.enrol(device)
        if status in (200, 201):
            return answer
        assert status in (429, 503), answer
        return None
    return wait_until(attempt, "an enrolment after the fault", seconds)


def readiness(stack):
    try:
        return json.loads(stack.https("GET", stack.ports["admin"], "/readyz")[2])
    except (OSError, ValueError):
        return {}


def logged_reason(stack, request_id):
    """For refusals that the store cannot log because it is the store that failed."""
    for line in stack.daemons["gateway"].log.read_text().splitlines():
        if request_id in line:
            return json.loads(line).get("reason")
    return None


def others_work(stack, thing):
    """What needs neither attestation service nor signer."""
    assert stack.https("GET", stack.ports["device"], "/healthz")[0] == 200
    assert stack.https("GET", stack.ports["device"], "/v1/ca/chain.pem")[0] == 200
    state = "suspended" if stack.show(thing)["state"] == "active" else "active"
    stack.ctl("suspend" if state == "suspended" else "resume", thing, *(["--reason", "test"] if state == "suspended" else []),
              check=False)
    assert stack.show(thing)["state"] == state


# -- the attestation service ---------------------------------------------------------------------------------------------

@pytest.mark.parametrize("part", ["attestd", "attestation-edge"])
def test_without_the_attestation_service_nobody_enrols_and_the_rest_goes_on(services, part):
    client = Client(services)
    first, second = published(services, 2)
    thing = client.enrol(first)[2]["thing"]
    if part == "attestd":
        services.daemons[part].kill()
    else:
        services.daemons[part].stop()  # nginx's workers outlive a master that was killed
    request = refused(client.enrol(second), 503, "try-later")
    assert services.explain(request)[0] == "verifier-unavailable"
    others_work(services, thing)
    wait_until(lambda: readiness(services).get("attestation") == "unavailable", "/readyz says so")
    services.start(part)
    assert enrolled_again(client, second)["thing"] != thing
    others_work(services, thing)
    check_agreement(services)


def test_a_service_with_anothers_certificate_is_told_nothing(cold):
    cold.start("signer", "gateway", "edge")
    with Verifier(cold, tls=cold.folder / "edge/pki/edge") as impostor:
        client = Client(cold)
        wait_until(lambda: readiness(cold).get("recovery") == "ok", "the gateway")
        request = refused(client.enrol(Attester()), 503, "try-later")
        assert cold.explain(request)[0] == "verifier-unavailable"
        assert impostor.calls == []
    with Verifier(cold):
        wait_until(lambda: readiness(cold).get("ready"), "the gateway sees the right one")
        assert client.enrol(Attester())[0] == 201


# -- the signer ----------------------------------------------------------------------------------------------------------

def test_without_the_signer_nobody_enrols_and_the_rest_goes_on(services):
    client = Client(services)
    first, second = published(services, 2)
    thing = client.enrol(first)[2]["thing"]
    services.daemons["signer"].kill()
    began = time.monotonic()
    request = refused(client.enrol(second), 503, "try-later")
    assert time.monotonic() - began < 5  # it could be back: two seconds are waited for a restart
    assert services.explain(request)[0] == "signer-unavailable"
    assert readiness(services)["signer"] == "unavailable"
    others_work(services, thing)
    services.start("signer")
    enrolled_again(client, second)
    assert len(certificates_of(services, second)) == 1
    check_agreement(services)


def test_a_signer_that_hangs_is_given_up_in_time(services):
    client, device = Client(services), published(services)[0]
    signer = services.daemons["signer"]
    signer.process.send_signal(signal.SIGSTOP)
    try:
        request = refused(client.enrol(device), 503, "try-later")
    finally:
        signer.process.send_signal(signal.SIGCONT)
    assert services.explain(request)[0] == "signer-unavailable"
    enrolled_again(client, device)
    assert len(certificates_of(services, device)) == 1
    check_agreement(services)


def test_intents_that_a_killed_gateway_left_open_are_settled_when_the_signer_is_back(services):
    client, device = Client(services), published(services)[0]
    services.daemons["signer"].kill()
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        lost = pool.submit(client.enrol, device)
        wait_until(lambda: open_intents(services) == 1, "the intent is durable")
        services.daemons["gateway"].kill()
        refused(lost.result(), 503, "try-later")
    services.start("gateway")
    wait_until(lambda: readiness(services).get("recovery") == "under way", "the gateway waits for the signer")
    refused(client.enrol(device), 503, "try-later")
    assert open_intents(services) == 1 and signed(services) == []
    services.start("signer").services_ready()
    assert open_intents(services) == 0
    assert client.enrol(device)[0] == 201
    check_agreement(services)


# -- disks ---------------------------------------------------------------------------------------------------------------

@needs_tracing
def test_a_full_disk_under_the_store(services):
    client = Client(services)
    first, second = published(services, 2)
    thing = client.enrol(first)[2]["thing"]
    database = services.folder / "gateway/state/gateway.db"
    with Failing(services.daemons["gateway"], "pwrite64,fallocate", "ENOSPC", database, f"{database}-wal"):
        request = refused(client.enrol(second), 503, "try-later")
        revoked = services.ctl("suspend", thing, "--reason", "test", check=False)
        assert revoked.returncode == 1 and "disk is full" in revoked.stderr
        assert services.https("GET", services.ports["device"], "/healthz")[0] == 200
        assert services.show(thing)["state"] == "active"
        assert readiness(services)["store"] == "unavailable"
    wait_until(lambda: readiness(services)["store"] == "ok", "the store finds out by itself", 3)
    assert logged_reason(services, request) == "disk-full"
    enrolled_again(client, second)
    assert readiness(services)["store"] == "ok"
    services.ctl("suspend", thing, "--reason", "test", check=False)
    assert services.show(thing)["state"] == "suspended"
    check_agreement(services)
    assert services.ctl("log", "--verify").returncode == 0


@needs_tracing
@pytest.mark.parametrize("call,error,reason", [("write", "ENOSPC", "disk-full"), ("fdatasync", "EIO", "journal-io")])
def test_a_failing_disk_under_the_signers_journal(services, call, error, reason):
    client, device = Client(services), published(services)[0]
    journal = services.folder / "signer/state/journal"
    before = journal.read_bytes()
    with Failing(services.daemons["signer"], call, error, journal):
        request = refused(client.enrol(device), 503, "try-later")
    assert services.explain(request)[0] == reason
    assert certificates_of(services, device) == []
    if reason == "journal-io":  # it does not go on with a journal that it does not know
        assert services.daemons["signer"].process.wait(10) == 1
        services.start("signer")
    else:
        assert signed(services) == []
    assert journal.read_bytes()[:len(before)] == before
    enrolled_again(client, device)
    assert len(certificates_of(services, device)) == 1
    check_agreement(services)


@needs_tracing
def test_a_full_disk_under_the_records(services):
    client = Client(services)
    known = published(services)[0]
    database = services.folder / "attestd/state/attestd.db"
    with Failing(services.daemons["attestd"], "pwrite64,fallocate", "ENOSPC", database, f"{database}-wal"):
        done = services.ctl("records", "suspend", "--device", known.instance.hex(), "--reason", "test", check=False)
        assert done.returncode == 1 and "disk is full" in done.stderr
        assert client.enrol(known)[0] == 201
    services.ctl("records", "suspend", "--device", known.instance.hex(), "--reason", "test")


# -- stopping ------------------------------------------------------------------------------------------------------------

class Shared:
    """An iterator that several threads may draw from."""

    def __init__(self, items):
        self.items, self.lock = iter(items), threading.Lock()

    def __iter__(self):
        return self

    def __next__(self):
        with self.lock:
            return next(self.items)


@pytest.mark.parametrize("name", ["gateway", "signer", "attestd"])
def test_sigterm_under_load_ends_well_and_loses_nothing(services, name):
    client = Client(services)
    devices = published(services, 60)
    todo, done, stopped = Shared(devices), {}, threading.Event()

    def work():
        for device in todo:
            if stopped.is_set():
                return
            status, _, challenge = client.post("/v1/challenges", {})
            done[device] = client.enrol(device, nonce=b64url_decode(challenge["nonce"])) if status == 201 else (status, {}, challenge)
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        workers = [pool.submit(work) for _ in range(4)]
        wait_until(lambda: len(done) > 8, "the load has begun")
        services.daemons[name].stop()
        services.start(name)
        stopped.set()
        for worker in workers:
            worker.result()
    services.services_ready()
    assert {status for status, _, _ in done.values()} <= {201, 503}, done.values()
    for device, (status, _, answer) in done.items():
        if status == 201:
            assert client.enrol(device)[2]["certificatePem"] == answer["certificatePem"]
    check_agreement(services)


# -- withdrawal of a result -----------------------------------------------------------------------------------------------

def test_a_withdrawn_result_reaches_a_live_session_and_comes_back(shared):
    folder = shared.make_devices(1, f"withdrawn-{id(shared)}")[0]
    device = shared.device(folder)
    thing = device.wait_for("enrolled")["thing"]
    device.wait_for("puback")
    instance = shared.show(thing)["instance_id"]
    shared.ctl("records", "suspend", "--device", instance, "--reason", "key-leak")
    device.wait_for("cut-off")
    shown = shared.show(thing)
    assert (shown["state"], [c["state"] for c in shown["certificates"]]) == ("suspended", ["inactive"])
    shared.ctl("records", "resume", "--device", instance, "--reason", "cleared")
    device.wait_for("connected")
    shown = shared.show(thing)
    assert (shown["state"], [c["state"] for c in shown["certificates"]]) == ("active", ["active"])


def test_an_older_copy_of_the_records_is_noticed_and_lifts_nothing(services):
    """The service forgets what it withdrew since the copy, and gives its numbers to other entries."""
    client = Client(services)
    devices = published(services, 4)
    things = [client.enrol(device)[2]["thing"] for device in devices]

    def tell(verb, n):
        services.ctl("records", verb, "--device", devices[n].instance.hex(), "--reason", "test")

    def states(expected):
        wait_until(lambda: [services.show(thing)["state"] for thing in things] == expected, expected, 40)

    def alarms(reason):
        return [a for a in services.ctl_json("alarms")["alarms"] if a["reason"] == reason]

    tell("suspend", 0)
    tell("suspend", 1)
    tell("resume", 1)
    states(["suspended", "active", "active", "active"])
    records = services.folder / "attestd/state"
    services.daemons["attestd"].stop()
    shutil.copytree(records, services.folder / "copy")
    services.start("attestd").services_ready()
    tell("resume", 0)
    tell("suspend", 1)
    tell("suspend", 2)
    states(["active", "suspended", "suspended", "active"])

    services.daemons["attestd"].stop()
    owner = records.stat()
    shutil.rmtree(records)
    shutil.copytree(services.folder / "copy", records)
    for path in (records, *records.rglob("*")):
        os.chown(path, owner.st_uid, owner.st_gid)
    services.start("attestd").services_ready()
    tell("suspend", 3)
    states(["suspended", "suspended", "suspended", "suspended"])  # 0 again, as the copy has it; 1 and 2 as was said since
    assert len(alarms("withdrawals-rolled-back")) == 1
    assert [a["thing"] for a in alarms("withdrawal-kept")] == [things[1]]
    services.daemons["gateway"].stop()
    services.start("gateway").services_ready()
    tell("resume", 3)
    states(["suspended", "suspended", "suspended", "suspended"])  # for five minutes nothing that it says lifts anything
    wait_until(lambda: len(alarms("withdrawal-kept")) == 2, "an alarm says so")
    assert len(alarms("withdrawals-rolled-back")) == 1
    assert services.ctl("log", "--verify").returncode == 0
