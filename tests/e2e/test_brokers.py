"""Brokers at the gateway: a name has one of them, and an operator can revoke it."""

import contextlib
import json
import os
import shutil
import signal
import time

import pytest
from stack import ROOT, Daemon, free_port, system_program, wait_until


@contextlib.contextmanager
def another_broker(stack, broker, folder, state=None):
    """A second Mosquitto of this name with the first one's certificate, started; `state`: whose table it has."""
    home = stack.folder / folder
    shutil.copytree(stack.folder / "broker/pki", home / "pki")
    (home / "data").mkdir()
    shutil.copytree(state, home / "mooring") if state else (home / "mooring").mkdir()
    config = stack.folder / f"config/{folder}.conf"
    stack.render("mosquitto.conf.in", config, DIR=home, USER="user mosquitto" if ROOT else "", BIND="127.0.0.1",
                 PORT=free_port(), PKI=home / "pki", PLUGIN=stack.folder / "config/mosquitto_mooring.so", GATEWAY=f"127.0.0.1:{stack.ports['admin']}",
                 BROKER=broker, CONFIG_FILE=config)
    if ROOT:
        owner = (stack.folder / "broker").stat()
        for path in (home, *home.rglob("*")):
            os.chown(path, owner.st_uid, owner.st_gid)
    made = Daemon(folder, [system_program("mosquitto"), "-c", config], stack.folder / f"log/{folder}.log",
                  stack.environment.get("broker"))
    stack.daemons[folder] = made.start()
    try:
        yield made
    finally:
        del stack.daemons[folder]
        made.stop()


def logged(daemon, text):
    return text in daemon.tail(10000)


def alarms(stack, reason):
    return [a for a in stack.ctl_json("alarms")["alarms"] if a["reason"] == reason]


def broker(stack, name):
    return next((b for b in stack.ctl_json("brokers")["brokers"] if b["name"] == name), None)


def metric(stack, name):
    text = stack.https("GET", stack.ports["admin"], "/metrics")[2].decode()
    return next(float(line.split()[1]) for line in text.splitlines() if line.startswith(f"{name} "))


def test_a_second_broker_under_a_name_gets_no_feed_and_raises_an_alarm(own):
    first = own.daemons["broker"]
    lost_before = first.tail(10000).count("the feed is lost")  # at its start the gateway may not have been there
    with another_broker(own, "broker-1", "twin") as twin:
        wait_until(lambda: logged(twin, "broker-name-taken"), "the second broker is told why it has no feed")
        wait_until(lambda: alarms(own, "broker-name-taken"), "an alarm", 40)
        assert "two brokers are alive under the name broker-1" in alarms(own, "broker-name-taken")[0]["detail"]
        assert metric(own, "mooring_feed_rivals_total") > 0
        assert metric(own, "mooring_feed_streams") == 1
        assert broker(own, "broker-1")["state"] == "live"
        assert first.tail(10000).count("the feed is lost") == lost_before
        device = own.device(own.make_devices(1)[0])
        thing = device.wait_for("enrolled")["thing"]
        device.wait_for("puback")
        revoked = own.ctl_json("revoke", thing, "--reason", "key-compromise")
        assert revoked["effective"] and [b["name"] for b in revoked["brokers"]] == ["broker-1"]
        device.wait_for("cut-off")


def test_a_killed_broker_is_back_at_once_and_alarms_nobody(own):
    for _ in range(3):
        own.daemons["broker"].kill()
        own.start("broker")
        wait_until(own.broker_live, "the broker's feed", 8)
    assert not alarms(own, "broker-name-taken")
    assert metric(own, "mooring_feed_replaced_total") == 0


@pytest.mark.parametrize("has_table", [True, False])
def test_a_broker_on_another_machine_takes_the_place_of_one_that_is_gone(own, has_table):
    """As after a loss of power: the old connections stay open, and nobody answers on them."""
    old = own.daemons["broker"]
    wait_until(lambda: broker(own, "broker-1")["seq"], "a receipt of the broker's")
    os.kill(old.pid, signal.SIGSTOP)
    try:
        began = time.monotonic()
        with another_broker(own, "broker-1", "successor", own.folder / "broker/mooring" if has_table else None) as new:
            wait_until(lambda: metric(own, "mooring_feed_replaced_total") == 1, "the silent feed ends", 60)
            assert time.monotonic() - began > 5  # it was heard of not long before
            wait_until(lambda: broker(own, "broker-1")["state"] == "live", "the successor's feed")
            assert not alarms(own, "broker-name-taken")
            os.kill(old.pid, signal.SIGCONT)
            wait_until(lambda: logged(old, "broker-name-taken"), "the old one is refused")
            wait_until(lambda: alarms(own, "broker-name-taken"), "an alarm: both are alive", 40)
            assert not logged(new, "feed-stream-unknown")
    finally:
        os.kill(old.pid, signal.SIGCONT)


def feed_of(stack, certificate):
    """What a stranger gets who has this certificate and its key: (status, code)."""
    status, _, body = stack.https("GET", stack.ports["admin"], "/v1/feed?epoch=0&after=0", cert=certificate)
    return status, json.loads(body).get("code")


def test_a_revoked_broker_is_cut_off_at_once_and_stays_so(own):
    stolen = own.folder / "broker/pki/broker-client"
    own.ctl("broker", "remove", "broker-1", check=False)
    assert broker(own, "broker-1")["state"] == "live"  # it has a feed: not forgotten
    done = own.ctl("broker", "revoke", "broker-1", "--reason", "machine sold")
    assert done.stdout.startswith("revoked for good: broker broker-1, whatever its certificate\nrecorded at ")
    assert "\nnext: stop the broker's machine, " in done.stdout and "plugin_opt_staleness" in done.stdout
    wait_until(lambda: logged(own.daemons["broker"], "broker-revoked"), "the broker is told why it has no feed")
    assert metric(own, "mooring_feed_streams") == 0
    assert feed_of(own, stolen) == (403, "broker-revoked")
    assert len(alarms(own, "broker-revoked")) == 1
    again = own.ctl_json("broker", "revoke", "broker-1", "--reason", "once more")
    assert again["already"] and again["reason"] == "machine sold"
    own.daemons["gateway"].stop()
    own.start("gateway").services_ready()
    assert feed_of(own, stolen) == (403, "broker-revoked")
    listed = own.ctl_json("brokers")
    assert listed["brokers"] == []  # and no change waits for it
    assert [(b["name"], b["spki_sha256"], b["reason"]) for b in listed["revoked"]] == [("broker-1", None, "machine sold")]
    assert "broker-1  every" in own.ctl("brokers").stdout
    assert own.ctl("brokers").stdout.startswith("no broker has a feed\n")
    asked = own.ctl("sessions", check=False)  # it may be serving still: nobody can say who is connected
    assert (asked.returncode, asked.stdout) == (1, "")
    assert asked.stderr == "mooringctl: not complete: no broker was asked: none has a feed (`mooringctl brokers`)\n"
    assert '"kind":"broker-revoked"' in own.ctl("--json", "log").stdout
    assert own.ctl("log", "--verify").returncode == 0


def test_a_broker_whose_certificate_was_stolen_goes_on_with_another(own, tmp_path):
    pki = own.folder / "broker/pki"
    for kind in ("key", "pem"):
        shutil.copy(pki / f"broker-client.{kind}", tmp_path / f"stolen.{kind}")
    done = own.ctl("broker", "revoke", "broker-1", "--certificate", tmp_path / "stolen.pem", "--reason", "stolen")
    assert "broker broker-1, this certificate's key\n" in done.stdout
    assert "\nnext: give the broker a new certificate " in done.stdout
    wait_until(lambda: broker(own, "broker-1")["state"] == "lost", "its feed ends")
    owner = (pki / "broker-client.key").stat()
    for kind in ("key", "pem"):
        (pki / f"broker-client.{kind}").unlink()
    own.issue("broker-1", "--client", "--role", "broker", out=pki / "broker-client")
    for kind in ("key", "pem"):
        os.chown(pki / f"broker-client.{kind}", owner.st_uid, owner.st_gid)
    wait_until(own.broker_live, "the broker reads its new certificate by itself", 40)
    assert feed_of(own, tmp_path / "stolen") == (403, "broker-revoked")
    assert broker(own, "broker-1")["state"] == "live"
    device = own.device(own.make_devices(1)[0])
    thing = device.wait_for("enrolled")["thing"]
    device.wait_for("puback")
    assert own.ctl_json("revoke", thing, "--reason", "key-compromise")["effective"]
