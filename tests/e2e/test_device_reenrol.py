"""A device whose key was revoked comes back: what it, its keeper and the operator are told, and what they do about it."""

import json
import os
import subprocess

import pytest


class Thermometer:
    """A device of the factory's, run to its end each time."""

    def __init__(self, stack, folder):
        self.stack, self.folder = stack, folder

    def run(self, *more):
        """(exit code, events)"""
        done = subprocess.run([str(a) for a in (
            self.stack.program("mooring-device"), "run", "--dir", self.folder, "--gateway", self.stack.origin, "--ca",
            self.stack.pki / "root.pem", "--mqtt", f"127.0.0.1:{self.stack.ports['mqtt']}", "--count", "1", *more)],
            capture_output=True, text=True, timeout=60, check=False,
            env={**os.environ, **self.stack.environment.get("device", {})})
        return done.returncode, [json.loads(line) for line in done.stdout.splitlines()]

    def keys(self):
        return sorted(path.name for path in (self.folder / "secure").glob("device-*.key"))


@pytest.fixture
def thermometer(shared):
    return Thermometer(shared, shared.make_devices(1, f"B{os.urandom(4).hex()}")[0])


def named(events, name):
    return next(e for e in events if e["event"] == name)


def test_a_revoked_device_comes_back_with_a_new_key(shared, thermometer):
    code, events = thermometer.run()
    assert code == 0
    first = named(events, "enrolled")
    shared.ctl("revoke", first["thing"], "--reason", "key-compromise")
    code, events = thermometer.run()
    refused = events[-1]
    assert (code, refused["code"]) == (4, "policy-refused") and refused["detail"] and "remedy" not in refused
    assert shared.explain(refused["request_id"])[0] == "device-revoked"
    allowed = shared.ctl("allow-reenrol", first["thing"], "--reason", "returned and checked").stdout
    assert allowed.startswith("allowed to enrol once with a new key: ") and "mooring-device run --new-key" in allowed

    code, events = thermometer.run()  # the old key is of no use, and everybody is told so
    refused = events[-1]
    assert (code, refused["code"]) == (4, "key-refused") and "new key" in refused["detail"]
    assert refused["remedy"].endswith("mooring-device run --new-key")
    reason, rule = shared.explain(refused["request_id"])
    assert reason == "key-revoked" and "--new-key" in rule

    code, events = thermometer.run("--new-key")
    assert code == 0 and named(events, "puback")
    second = named(events, "enrolled")
    assert second["thing"] == first["thing"] and second["certificateId"] != first["certificateId"]
    assert named(events, "key-destroyed")["key"] == 1 and thermometer.keys() == ["device-2.key"]
    shown = shared.show(first["thing"])
    assert (shown["state"], shown["generation"]) == ("active", 2)
    code, events = thermometer.run()
    assert code == 0 and named(events, "certificate-kept")["certificateId"] == second["certificateId"]


def test_a_new_key_before_it_is_allowed_changes_nothing_on_a_revoked_device(shared, thermometer):
    thing = named(thermometer.run()[1], "enrolled")["thing"]
    shared.ctl("revoke", thing, "--reason", "cessation-of-operation")
    code, events = thermometer.run("--new-key")
    assert (code, named(events, "refused")["code"]) == (4, "policy-refused")
    assert thermometer.keys() == ["device-1.key"]
    shared.ctl("allow-reenrol", thing)
    code, events = thermometer.run("--new-key")
    assert code == 0 and named(events, "enrolled")["thing"] == thing


def test_a_new_key_that_nobody_allowed_is_a_clone_and_the_old_one_serves_on(shared, thermometer):
    enrolled = named(thermometer.run()[1], "enrolled")
    code, events = thermometer.run("--new-key")
    assert (code, named(events, "refused")["code"]) == (4, "policy-refused")
    assert shared.explain(named(events, "refused")["request_id"])[0] == "clone-suspect"
    shared.ctl("resume", enrolled["thing"])
    code, events = thermometer.run()
    assert code == 0 and named(events, "certificate-kept")["certificateId"] == enrolled["certificateId"]
