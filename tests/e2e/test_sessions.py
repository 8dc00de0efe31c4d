"""Who is connected: mooringctl sessions, answered by real brokers."""

import json
import os
import signal
import time

import pytest
from live import allow, enrolled, service
from stack import wait_until


@pytest.fixture(name="devices")
def enrol_devices(shared, tmp_path):
    return enrolled(shared, tmp_path, 3)


def sessions(stack, *arguments):
    return stack.ctl_json("sessions", "--limit", "500", *arguments)["sessions"]


def of(stack, identity):
    return sessions(stack, "--thing", identity.name)


def test_a_live_session_is_listed_and_an_ended_one_is_not(shared, devices):
    first, second, absent = devices
    before = time.time() * 1000
    kept, other = first.live(version=5), second.live(version=4)
    (listed,) = of(shared, first)
    assert before - 1000 < listed.pop("connected_ms") < time.time() * 1000 + 1000
    assert listed == {"thing": first.name, "service": None, "client_id": first.name, "certificateId": first.certificate_id,
                      "broker": "broker-1", "address": "127.0.0.1", "protocol": "5"}
    assert of(shared, second)[0]["protocol"] == "3.1.1"
    assert of(shared, absent) == []
    names = [s["thing"] for s in sessions(shared)]
    assert names.index(first.name) < names.index(second.name)  # in the order in which they came
    kept.close()
    wait_until(lambda: of(shared, first) == [], "an ended session is listed no more")
    assert len(of(shared, second)) == 1
    other.close()


def test_a_service_is_listed_as_one(shared, tmp_path):
    reader = service(shared, tmp_path, allow("Connect", "client/*"))
    live = [reader.live(client_id=f"reader \"{i}\" \u00e9") for i in range(2)]
    listed = of(shared, reader)
    assert [(s["thing"], s["service"], s["client_id"]) for s in listed] == [
        (None, reader.name, f"reader \"{i}\" \u00e9") for i in range(2)]
    text = shared.ctl("sessions", "--thing", reader.name, "--broker", "broker-1").stdout
    assert f"{reader.name} (service)" in text and reader.certificate_id[:16] in text and "127.0.0.1" in text
    for client in live:
        client.close()


def test_pages_follow_each_other(shared, tmp_path):
    reader = service(shared, tmp_path, allow("Connect", "client/*"))
    live = [reader.live(client_id=f"r-{i}") for i in range(7)]
    found, after, pages = [], [], 0
    while True:
        page = shared.ctl_json("sessions", "--thing", reader.name, "--limit", "3", *after)
        found += [s["client_id"] for s in page["sessions"]]
        pages += 1
        if page["next"] is None:
            break
        after = ["--after", page["next"]]
    assert found == [f"r-{i}" for i in range(7)] and pages == 3
    first = shared.ctl("sessions", "--thing", reader.name, "--limit", "3").stdout
    assert first.splitlines()[-1].startswith("more: --after broker-1:")
    for client in live:
        client.close()


def test_a_name_that_nobody_has_is_refused_and_not_said_to_be_cut_off(shared, devices, tmp_path):
    reader = service(shared, tmp_path, allow("Connect", "client/*"))
    for known in (devices[0].name, reader.name):
        done = shared.ctl("sessions", "--thing", known)
        assert (done.stdout, done.stderr) == ("no sessions\n", "")
    for mode in ((), ("--json",)):
        done = shared.ctl(*mode, "sessions", "--thing", "nosuch", check=False)
        assert (done.returncode, done.stdout) == (1, "")
        assert done.stderr.startswith("mooringctl: not-found: there is no thing of this name; mooringctl devices lists them (")
        assert done.stderr.endswith("mooringctl: nor is it a service: mooringctl service list shows them\n")


def test_a_broker_that_is_unknown_is_not_said_to_have_no_sessions(shared):
    done = shared.ctl("sessions", "--broker", "nobody", check=False)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "mooringctl: not complete: no broker was asked: none named nobody has a feed (`mooringctl brokers`)\n"


@pytest.mark.parametrize("lost", [False, True])
def test_a_broker_that_does_not_say_is_named(own, lost):
    broker = own.daemons["broker"]
    if lost:
        broker.stop()
        wait_until(lambda: own.ctl_json("brokers")["brokers"][0]["state"] == "lost", "its feed is lost")
    else:
        os.kill(broker.pid, signal.SIGSTOP)
    try:
        began = time.monotonic()
        done = own.ctl("--json", "sessions", check=False)
        took = time.monotonic() - began
    finally:
        if not lost:
            os.kill(broker.pid, signal.SIGCONT)
    assert done.returncode == 1
    said = "has no feed" if lost else "has not answered within 2 s"
    assert done.stderr.startswith(f"mooringctl: not complete: broker broker-1 {said}")
    assert json.loads(done.stdout)["brokers"] == [{"name": "broker-1", "state": "lost" if lost else "silent", "sessions": None}]
    assert took < 2 if lost else 1.9 < took < 4
    if not lost:
        wait_until(lambda: own.ctl("sessions", check=False).returncode == 0, "it answers again")


def test_only_who_may_look_may_ask(shared):
    status, _, body = shared.https("GET", shared.ports["admin"], "/v1/admin/sessions")
    assert (status, json.loads(body)["code"]) == (401, "unauthenticated")
