"""A recall: a batch or a list of devices is revoked or suspended, at a pace, and their live sessions are cut."""

import json
import os
import pty
import re
import signal
import subprocess
import time

import pytest
from attester import Client, published
from live import enrolled
from stack import wait_until
from test_ctl_live import new_key


def environment(stack):
    return {**os.environ, **stack.services()}


def ctl(stack, *arguments, **options):
    return subprocess.run([stack.program("mooringctl"), *map(str, arguments)], env=environment(stack), capture_output=True,
                          text=True, timeout=60, stdin=subprocess.DEVNULL, **options)


def start(stack, *arguments):
    return subprocess.Popen([stack.program("mooringctl"), *map(str, arguments)], env=environment(stack), text=True,
                            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


@pytest.fixture
def batch():
    return f"B-{os.urandom(4).hex()}"


def listed(folder, things, name="things.txt"):
    path = folder / name
    path.write_text("# recalled\n\n" + "".join(f"{thing}  # one\n" for thing in things))
    return path


def states(stack, identities):
    return [stack.show(identity.name)["state"] for identity in identities]


def entries(stack, kind, things):
    """The things that the log has such an entry of, in its order."""
    text = stack.ctl("--json", "log").stdout
    found = [json.loads(line) for line in text.splitlines()]
    return [e["thing"] for e in found if e["kind"] == kind and e["thing"] in things]


def test_a_batch_is_recalled_live_sessions_and_all(shared, tmp_path, batch):
    devices = enrolled(shared, tmp_path, 12, batch=batch)
    boxed = published(shared, 3, batch=batch)  # made, and never switched on
    bystander = enrolled(shared, tmp_path)[0].live()
    live = [device.live(version=5) for device in devices[:5]]
    dry = ctl(shared, "recall", "--batch", batch, "--reason", "key-compromise", "--dry-run")
    assert dry.returncode == 0, dry.stderr
    assert dry.stdout == ("15 devices, 0 of them revoked already, 3 never enrolled (refused when they come)\n"
                          "5 live sessions\n")
    assert states(shared, devices) == ["active"] * 12
    done = ctl(shared, "recall", "--batch", batch, "--reason", "key-compromise", "--yes")
    assert done.returncode == 0, done.stderr
    assert re.search(r"^revoked for good: 15 devices, 12 certificates, in \d+\.\d s; 0 were already\n"
                     r"3 of them never enrolled, and will be refused\nrecorded, up to log entry \d+\n", done.stdout, re.M), done.stdout
    assert done.stdout.endswith("effective\n")
    assert [client.wait_end()[1] for client in live] == [0x98] * 5  # administrative action
    assert states(shared, devices) == ["revoked"] * 12
    assert {device.connect().code for device in devices} == {5}
    assert sorted(entries(shared, "device-revoked", {d.name for d in devices})) == sorted(d.name for d in devices)
    assert shared.ctl("log", "--verify").returncode == 0
    assert bystander.publish(f"dt/{bystander.identity.name}/x") == 0
    status, _, problem = Client(shared).enrol(boxed[0])
    assert (status, shared.explain(problem["request_id"])[0]) == (403, "device-revoked")
    bystander.close()


def test_a_recall_that_is_done_again_changes_nothing(shared, tmp_path):
    devices = enrolled(shared, tmp_path, 4)
    things = listed(tmp_path, [d.name for d in devices])
    shared.ctl("revoke", devices[0].name, "--reason", "superseded")
    first = ctl(shared, "--json", "recall", "--things", things, "--reason", "unspecified", "--yes")
    plan, *_, recorded, effective = [json.loads(line) for line in first.stdout.splitlines()]
    assert (plan["event"], plan["devices"], plan["revoked"]) == ("plan", 4, 1)
    assert "sessions" not in plan  # nobody asked how many, and no broker was waited for
    assert (recorded["event"], recorded["changed"], recorded["unchanged"]) == ("recorded", 3, 1)
    assert (effective["event"], effective["seq"]) == ("effective", recorded["seq"])
    again = ctl(shared, "recall", "--things", things, "--reason", "unspecified", "--yes")
    assert again.returncode == 0
    assert "4 devices, 4 of them revoked already" in again.stdout and "; 4 were already\n" in again.stdout
    assert len(entries(shared, "device-revoked", {d.name for d in devices})) == 4


def test_a_recall_can_suspend(shared, tmp_path, batch):
    devices = enrolled(shared, tmp_path, 3, batch=batch)
    live = devices[0].live()
    done = ctl(shared, "recall", "--batch", batch, "--suspend", "--reason", "pallet stolen", "--yes", "--watch")
    assert done.returncode == 0, done.stderr
    assert re.search(r"broker-1: effective( after \d+ ms)?\neffective\n$", done.stdout), done.stdout
    live.wait_end()
    assert states(shared, devices) == ["suspended"] * 3
    shared.ctl("resume", devices[0].name)
    devices[0].live().close()


def test_a_stopped_recall_goes_on_where_it_was(shared, tmp_path):
    devices = enrolled(shared, tmp_path, 12)
    things = listed(tmp_path, [d.name for d in devices])
    command = ("recall", "--things", things, "--reason", "unspecified", "--yes", "--rate", "10/s")
    began = time.monotonic()
    first = start(shared, "--json", *command)
    for line in first.stdout:
        event = json.loads(line)
        if event["event"] == "progress" and event["changed"] >= 4:
            break
    assert time.monotonic() - began > 0.1  # not all at once
    first.send_signal(signal.SIGINT)
    rest = [json.loads(line) for line in first.stdout]
    assert first.wait(20) == 1
    assert "not finished: " in first.stderr.read()
    changed = next(e for e in rest if e["event"] == "recorded")["changed"]
    assert 4 <= changed < 12
    assert states(shared, devices).count("revoked") == changed
    second = ctl(shared, "--json", *command)
    events = [json.loads(line) for line in second.stdout.splitlines()]
    assert second.returncode == 0
    assert events[0]["revoked"] == changed
    recorded = next(e for e in events if e["event"] == "recorded")
    assert (recorded["changed"], recorded["unchanged"]) == (12 - changed, changed)
    assert recorded["ms"] >= (12 - changed - 2) * 100 - 50  # the pace was kept, and not for those that were revoked before
    assert states(shared, devices) == ["revoked"] * 12


def test_what_a_gateway_that_is_gone_has_not_done_is_done_later(services, tmp_path):
    devices = enrolled(services, tmp_path, 8)
    things = listed(tmp_path, [d.name for d in devices])
    command = ("recall", "--things", things, "--reason", "unspecified", "--yes", "--rate", "10/s")
    first = start(services, "--json", *command)
    for line in first.stdout:
        event = json.loads(line)
        if event["event"] == "progress" and event["changed"] >= 2:
            break
    services.daemons["gateway"].kill()
    first.stdout.read()
    assert first.wait(30) == 1
    services.start("gateway").services_ready()
    done = ctl(services, "--json", *command)
    recorded = next(e for e in map(json.loads, done.stdout.splitlines()) if e["event"] == "recorded")
    assert recorded["unchanged"] >= 2 and recorded["changed"] + recorded["unchanged"] == 8
    assert states(services, devices) == ["revoked"] * 8


def test_things_that_are_not_there_are_named(shared, tmp_path):
    device = enrolled(shared, tmp_path)[0]
    things = listed(tmp_path, [device.name, "nobody", "no-one"])
    done = ctl(shared, "recall", "--things", things, "--reason", "unspecified", "--yes")
    assert done.returncode == 1
    assert "2 of these things are not known to the gateway: no-one, nobody\n" in done.stderr
    assert states(shared, [device]) == ["revoked"]


@pytest.mark.parametrize("answer, state", [("yes\n", "revoked"), ("y\n", "active"), ("\n", "active")])
def test_on_a_terminal_it_asks_first(shared, tmp_path, answer, state):
    device = enrolled(shared, tmp_path)[0]
    things = listed(tmp_path, [device.name])
    ours, theirs = pty.openpty()
    process = subprocess.Popen([shared.program("mooringctl"), "recall", "--things", things, "--reason", "unspecified"],
                               env=environment(shared), stdin=theirs, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    os.write(ours, answer.encode())
    out, error = process.communicate(timeout=20)
    os.close(ours)
    os.close(theirs)
    assert "revoke them for good? Type yes: " in error and "1 device, 0 of them" in out
    assert (process.returncode, states(shared, [device])) == (0 if state == "revoked" else 1, [state])
    assert ("nothing is changed" in error) == (state == "active")


def test_a_broker_that_is_away_is_named(own, tmp_path):
    devices = enrolled(own, tmp_path, 2)
    things = listed(tmp_path, [d.name for d in devices])
    own.daemons["broker"].stop()
    wait_until(lambda: own.ctl_json("brokers")["brokers"][0]["state"] == "lost", "its feed is lost")
    dry = ctl(own, "recall", "--things", things, "--reason", "unspecified", "--dry-run")
    assert "not complete: broker broker-1 has no feed" in dry.stderr
    assert "and those that a broker did not tell" in dry.stdout
    done = ctl(own, "recall", "--things", things, "--reason", "unspecified", "--yes")
    assert done.returncode == 3
    assert "recorded; not yet effective at: broker-1 (feed lost" in done.stdout
    own.start("broker")
    wait_until(own.broker_live, "the broker's feed")
    wait_until(lambda: {d.connect().code for d in devices} == {5}, "it has followed")


def test_roles_and_services_are_kept_apart(shared, tmp_path, batch):
    device = enrolled(shared, tmp_path, batch=batch)[0]
    things = listed(tmp_path, [device.name])
    viewer = new_key(shared, "gateway", "viewer", tmp_path)
    dry = ctl(shared, "--key", viewer, "recall", "--things", things, "--reason", "unspecified", "--dry-run")
    assert dry.returncode == 0
    refused = ctl(shared, "--key", viewer, "recall", "--things", things, "--reason", "unspecified", "--yes")
    assert refused.returncode == 1 and "forbidden" in refused.stderr
    vendor = new_key(shared, "attestd", "viewer", tmp_path)
    assert ctl(shared, "recall", "--batch", batch, "--attestation-key", vendor, "--reason", "unspecified",
               "--dry-run").returncode == 0
    swapped = ctl(shared, "recall", "--batch", batch, "--attestation-key", viewer, "--reason", "unspecified", "--yes")
    assert swapped.returncode == 1 and "unauthenticated" in swapped.stderr
    assert states(shared, [device]) == ["active"]


@pytest.mark.parametrize("arguments, complaint", [
    ((), "either --batch NAME or --things FILE"),
    (("--batch", "B", "--things", "f", "--reason", "unspecified"), "either --batch NAME or --things FILE"),
    (("--things", "f"), "recall needs --reason"),
    (("--things", "f", "--reason", "stolen"), "recall needs --reason"),
    (("--things", "f", "--reason", "unspecified"), "--yes says that it may"),
    (("--things", "f", "--reason", "unspecified", "--yes", "--rate", "0/s"), "--rate must be"),
    (("--things", "f", "--reason", "unspecified", "--yes", "--rate", "5/m"), "--rate must be"),
    (("--things", "f", "--reason", "unspecified", "--yes", "--watch", "--wait", "1"), "--watch waits"),
])
def test_wrong_usage_is_said(shared, arguments, complaint):
    done = ctl(shared, "recall", *arguments)
    assert done.returncode == 2 and complaint in done.stderr


def test_a_list_that_is_none_changes_nothing(shared, tmp_path):
    device = enrolled(shared, tmp_path)[0]
    for text, complaint in ((f"{device.name}\nnot a name\n", "broken.txt:2: this is no name of a thing"), ("# nobody\n", "broken.txt names no thing; mooringctl devices lists them")):
        (tmp_path / "broken.txt").write_text(text)
        done = ctl(shared, "recall", "--things", tmp_path / "broken.txt", "--reason", "unspecified", "--yes")
        assert done.returncode == 1 and complaint in done.stderr
    missing = {k: v for k, v in environment(shared).items() if not k.startswith("MOORING_ATTESTATION")}
    done = subprocess.run([shared.program("mooringctl"), "recall", "--batch", "B", "--reason", "unspecified", "--yes"], env=missing,
                          capture_output=True, text=True, stdin=subprocess.DEVNULL)
    assert done.returncode == 2 and "--attestation-endpoint" in done.stderr
    assert states(shared, [device]) == ["active"]
