"""Several brokers at one gateway: a name has one of them."""

import contextlib
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
