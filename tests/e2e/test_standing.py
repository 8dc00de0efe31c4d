"""Changes of standing at once, and seen by the operator: real daemons, real Mosquitto, live sessions."""

import json
import os
import pty
import re
import signal
import subprocess

import pytest
from live import enrolled
from stack import wait_until


@pytest.fixture(name="device")
def enrol_device(shared, tmp_path):
    return enrolled(shared, tmp_path)[0]


# -- --watch -------------------------------------------------------------------------------------------------------------

def environment(stack):
    return {**os.environ, "MOORING_ENDPOINT": stack.admin, "MOORING_CA": str(stack.pki / "root.pem"),
            "MOORING_KEY": str(stack.pki / "admin.json")}


class Watching:
    """mooringctl with --watch, looked at while it runs."""

    def __init__(self, stack, *arguments, **options):
        options = {"stdout": subprocess.PIPE, **options}
        self.process = subprocess.Popen([stack.program("mooringctl"), *arguments, "--watch"], env=environment(stack),
                                        stderr=subprocess.PIPE, text=True, **options)

    def line_with(self, text):
        for line in self.process.stdout:
            if text in line:
                return line
        raise AssertionError(f"no {text!r}: {self.process.stderr.read()}")

    def end(self):
        out = self.process.stdout.read() if self.process.stdout else ""
        error = self.process.stderr.read()
        return self.process.wait(20), out, error


def test_a_watched_revocation_shows_the_brokers_receipt(shared, device):
    live = device.live()
    code, out, _ = Watching(shared, "revoke", device.name, "--reason", "key-compromise").end()
    assert code == 0
    assert re.fullmatch(rf"revoked for good: {device.name}\nrecorded at .*, log entry \d+\n(broker-1: pending\n)?"
                        r"broker-1: effective after \d+ ms\neffective\n", out), out
    live.wait_end()


@pytest.mark.parametrize("verb", ["suspend", "resume"])
def test_other_changes_can_be_watched_too(shared, device, verb):
    if verb == "resume":
        shared.ctl("suspend", device.name)
    code, out, _ = Watching(shared, verb, device.name).end()
    assert code == 0 and out.endswith("ms\neffective\n"), out


def test_a_watch_tells_scripts_an_object_a_line(shared, device):
    code, out, _ = Watching(shared, "--json", "suspend", device.name).end()
    events = [json.loads(line) for line in out.splitlines()]
    assert code == 0
    assert events[0]["event"] == "recorded" and events[0]["certificates"] == 1
    assert {e["event"] for e in events[1:-1]} == {"broker"}
    last = events[-2]
    assert (last["name"], last["state"]) == ("broker-1", "effective") and last["effective_ms"] >= 0
    assert events[-1] == {"event": "effective", "seq": events[0]["seq"]}


def test_a_watch_goes_on_until_the_last_broker_has_come_back(own, tmp_path):
    device = enrolled(own, tmp_path)[0]
    own.daemons["broker"].stop()
    wait_until(lambda: own.ctl_json("brokers")["brokers"][0]["state"] == "lost", "its feed is lost")
    watching = Watching(own, "revoke", device.name, "--reason", "key-compromise")
    watching.line_with("broker-1: lost")
    own.start("broker")
    watching.line_with("broker-1: effective")
    assert watching.end()[:2] == (0, "effective\n")
    assert device.connect().code == 5


def test_ctrl_c_ends_a_watch_and_not_the_change(own, tmp_path):
    device = enrolled(own, tmp_path)[0]
    own.daemons["broker"].stop()
    wait_until(lambda: own.ctl_json("brokers")["brokers"][0]["state"] == "lost", "its feed is lost")
    watching = Watching(own, "suspend", device.name)
    watching.line_with("broker-1: lost")
    watching.process.send_signal(signal.SIGINT)
    code, out, _ = watching.end()
    assert code == 3
    assert out.startswith("recorded; not yet effective at: broker-1 (feed lost ")
    assert own.show(device.name)["state"] == "suspended"
    scripted = Watching(own, "--json", "suspend", device.name)
    scripted.line_with('"lost"')
    scripted.process.send_signal(signal.SIGINT)
    code, out, _ = scripted.end()
    assert (code, json.loads(out)["event"]) == (3, "stopped")


def test_on_a_terminal_the_table_is_kept_up_to_date(shared, device):
    ours, theirs = pty.openpty()
    watching = Watching(shared, "suspend", device.name, stdout=theirs)
    code = watching.process.wait(20)
    os.close(theirs)
    shown = ""
    try:
        while True:
            shown += os.read(ours, 65536).decode()
    except OSError:
        pass
    os.close(ours)
    assert code == 0
    assert "BROKER" in shown and shown.rstrip().endswith("effective")
    tables = shown.split("\x1b[2A\x1b[J")  # a heading and a broker are gone over
    assert re.search(r"effective\S* +\d+ ms", tables[-1])


def test_watch_and_wait_exclude_each_other(shared, device):
    done = shared.ctl("suspend", device.name, "--watch", "--wait", "5", check=False)
    assert done.returncode == 2 and "--watch waits until it is effective" in done.stderr
    assert shared.show(device.name)["state"] == "active"
