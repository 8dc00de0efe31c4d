"""Policies and things, as an admin changes them: recorded, in force at live sessions at once, kept over restarts."""

import json
import socket

import pytest
from live import allow, enrolled, policy, service
from stack import wait_until
from test_ctl_live import new_key, with_key

OWN = [allow("Connect", "client/${iot:Connection.Thing.ThingName}"), allow("Publish", "topic/own/${iot:Connection.Thing.ThingName}"),
       allow("Subscribe", "topicfilter/own/*"), allow("Receive", "topic/own/*")]
DENIED = 0x87


def write(folder, *statements, name="policy"):
    path = folder / f"{name}.json"
    path.write_text(policy(*statements))
    return path


def name_of(device, kind):
    """A policy's name of the test's own."""
    return f"{kind}-{device.name[:12]}"


@pytest.fixture(name="device")
def enrol_device(shared, tmp_path):
    return enrolled(shared, tmp_path)[0]


def listening(port):
    with socket.socket() as s:
        return s.connect_ex(("127.0.0.1", port)) == 0


def is_done(live, topic):
    return live.publish(topic) in (0, 0x10)


# -- policies ------------------------------------------------------------------------------------------------------------

def test_a_policy_of_its_own_is_attached_edited_and_detached_under_a_live_session(shared, device, tmp_path):
    name, live = name_of(device, "own"), device.live(version=5)
    assert is_done(live, f"dt/{device.name}/x")
    done = shared.ctl("policy", "set", name, write(tmp_path, *OWN))
    assert f"set policy: {name}" in done.stdout and done.stdout.endswith("effective\n")
    done = shared.ctl("policy", "attach", name, device.name)
    assert f"attached to {device.name}: {name}" in done.stdout and done.stdout.endswith("effective\n")
    assert live.publish(f"dt/{device.name}/x") == DENIED and is_done(live, f"own/{device.name}")
    sender = service(shared, tmp_path, allow("Connect", "*"), allow("Publish", "topic/own/*")).live(version=5)
    assert live.subscribe("own/#", 1) == 1
    assert is_done(sender, "own/a") and live.message() == ("own/a", "x")
    shared.ctl("policy", "set", name, write(tmp_path, *OWN[:3], allow("Receive", "topic/own/b")))
    assert is_done(sender, "own/a") and is_done(sender, "own/b")
    assert [m.topic for m in live.arrived()] == ["own/b"]
    shown = shared.ctl_json("policy", "show", name)
    assert shown["things"] == [device.name] and shown["policy"]["things"] == 1 and not shown["policy"]["shipped"]
    shared.ctl("policy", "detach", name, device.name)
    assert is_done(live, f"dt/{device.name}/x") and live.publish(f"own/{device.name}") == DENIED
    assert [e["kind"] for e in shared.ctl_json("show", device.name)["history"]][-2:] == ["policy-attached", "policy-detached"]
    assert shared.ctl("policy", "delete", name).stdout.endswith("effective\n")
    assert "not-found" in shared.ctl("policy", "show", name, check=False).stderr


def test_each_edit_is_one_entry_and_nothing_new_is_none(shared, device, tmp_path):
    name = name_of(device, "once")
    first = shared.ctl_json("policy", "set", name, write(tmp_path, *OWN))
    again = shared.ctl_json("policy", "set", name, write(tmp_path, *OWN))
    assert (first["already"], again["already"], again["seq"]) == (False, True, first["seq"])
    attached = shared.ctl_json("policy", "attach", name, device.name)
    assert attached["certificates"] == 1 and attached["seq"] == first["seq"] + 1 and attached["effective"]
    assert shared.ctl_json("policy", "attach", name, device.name)["already"]
    assert shared.ctl_json("policy", "detach", name, device.name)["seq"] == attached["seq"] + 1
    assert shared.ctl_json("policy", "detach", name, device.name)["already"]


def test_a_services_policy_is_edited_and_reset(shared, tmp_path):
    back_end = service(shared, tmp_path, allow("Connect", "client/${iot:ClientId}"), allow("Publish", "topic/a/b"))
    live, name = back_end.live(version=5), f"service/{back_end.name}"
    assert is_done(live, "a/b")
    shared.ctl("policy", "set", name, write(tmp_path, allow("Connect", "client/${iot:ClientId}"), allow("Publish", "topic/c/d")))
    assert live.publish("a/b") == DENIED and is_done(live, "c/d")
    listed = {p["name"]: p for p in shared.ctl_json("policy", "list", "--limit", "500")["policies"]}
    assert listed[name]["edited"] and listed["default"]["shipped"]
    shared.ctl("policy", "reset", name)
    assert is_done(live, "a/b") and live.publish("c/d") == DENIED
    assert shared.ctl_json("policy", "reset", name)["already"]


def test_a_document_is_shown_alone_linted_changed_and_set_again(shared, device, tmp_path):
    name, saved = name_of(device, "saved"), tmp_path / "saved.json"
    file = write(tmp_path, *OWN[:2], allow("Publish", f"topic/{'x' * 900}"))
    shared.ctl("policy", "set", name, file)
    shared.ctl("policy", "attach", name, device.name)
    saved.write_text(shared.ctl("policy", "show", name, "--document").stdout)
    assert json.loads(saved.read_text()) == json.loads(file.read_text())
    assert shared.ctl("policy", "lint", saved).returncode == 0
    assert shared.ctl("policy", "set", name, saved).stdout.endswith("effective\n")
    shown = shared.ctl("policy", "show", name).stdout
    assert shown == f"{name}\n{saved.read_text()}\nattached to 1\n  {device.name}\n"


def test_the_default_policy_that_an_admin_has_set_stays_over_restarts_until_it_is_reset(own, tmp_path):
    device = enrolled(own, tmp_path)[0]
    shipped = own.ctl_json("policy", "show", "default")["policy"]["document"]
    live = device.live(version=5)
    own.ctl("policy", "set", "default", write(tmp_path, *OWN))
    assert live.publish(f"dt/{device.name}/x") == DENIED and is_done(live, f"own/{device.name}")
    for daemon in ("gateway", "broker"):
        own.daemons[daemon].stop()
        own.start(daemon)
    own.ready()
    assert own.ctl_json("policy", "show", "default")["policy"]["edited"]
    live = device.live(version=5)
    assert is_done(live, f"own/{device.name}") and live.publish(f"dt/{device.name}/x") == DENIED
    own.ctl("policy", "reset", "default")
    assert is_done(live, f"dt/{device.name}/x")
    assert own.ctl_json("policy", "show", "default")["policy"]["document"] == shipped


@pytest.mark.parametrize("document,said", [
    ('{"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Action": "iot:Publish", "Resource": "topic/x"}}',
     "bad-request: Statement.Resource: "),
    ("{", "bad-request: line 1 column 1: "),
    (policy({"Effect": "Allow", "Action": "iot:*", "Resource": "*"}), "bad-request: Statement[0].Resource: wide-open: "),
])
def test_a_bad_document_is_refused_with_the_place_and_changes_nothing(shared, tmp_path, document, said):
    path = tmp_path / "bad.json"
    path.write_text(document)
    before = shared.ctl_json("policy", "show", "default")
    done = shared.ctl("policy", "set", "default", path, check=False)
    assert done.returncode == 1 and said in done.stderr, done.stderr
    assert shared.ctl_json("policy", "show", "default") == before


def test_a_danger_is_refused_with_the_option_that_means_it(shared, device, tmp_path):
    wide = write(tmp_path, {"Effect": "Allow", "Action": "iot:*", "Resource": "*"})
    done = shared.ctl("policy", "set", name_of(device, "wide"), wide, check=False)
    assert done.returncode == 1 and ". Where that is meant: --accept-dangers" in done.stderr
    assert "accept_dangers" not in done.stderr


def test_a_danger_that_is_meant_is_set_and_told(shared, device, tmp_path):
    done = shared.ctl("policy", "set", name_of(device, "wide"), write(tmp_path, {"Effect": "Allow", "Action": "iot:*", "Resource": "*"}),
                      "--accept-dangers")
    assert "danger  wide-open at Statement[0].Resource" in done.stdout


def test_what_cannot_be_is_refused_with_its_reason(shared, device, tmp_path):
    good, name = write(tmp_path, *OWN), name_of(device, "used")

    def refused(reason, *words):
        done = shared.ctl("policy", *words, check=False)
        assert done.returncode == 1 and done.stderr.startswith(f"mooringctl: {reason}: "), done.stderr

    refused("bad-request", "set", "a*b", good)
    refused("bad-request", "set", "x" * 129, good)
    refused("not-found", "set", "service/nobody", good)
    refused("not-found", "attach", name, device.name)
    shared.ctl("policy", "set", name, good)
    refused("not-found", "attach", name, "nothing")
    refused("bad-request", "attach", "default", device.name)
    shared.ctl("policy", "attach", name, device.name)
    refused("conflict", "delete", name)
    refused("conflict", "reset", name)
    refused("conflict", "detach", "another", device.name)
    refused("conflict", "delete", "default")
    refused("not-found", "delete", "another")


# -- things --------------------------------------------------------------------------------------------------------------

def test_attributes_resolve_and_change_during_a_session(shared, device, tmp_path):
    name, live = name_of(device, "room"), None
    shared.ctl("policy", "set", name, write(
        tmp_path, OWN[0], allow("Publish", "topic/${iot:Connection.Thing.Attributes[room]}/x"),
        {**allow("Publish", "topic/lamps"), "Condition": {"StringEquals": {"iot:Connection.Thing.ThingTypeName": "lamp"}}}))
    shared.ctl("policy", "attach", name, device.name)
    live = device.live(version=5)
    assert live.publish("kitchen/x") == DENIED and live.publish("lamps") == DENIED
    done = shared.ctl("thing", "set", device.name, "--type", "lamp", "--attribute", "room=kitchen", "--attribute", "site=2")
    assert done.stdout.endswith("effective\n")
    assert is_done(live, "kitchen/x") and is_done(live, "lamps")
    shared.ctl("thing", "set", device.name, "--attribute", "room=bath")
    assert live.publish("kitchen/x") == DENIED and is_done(live, "bath/x")
    shown = shared.ctl_json("thing", "show", device.name)
    assert (shown["type"], shown["attributes"], shown["policy"], shown["attached"]) == ("lamp", {"room": "bath", "site": "2"}, name, True)
    shared.ctl("thing", "set", device.name, "--no-type", "--attribute", "room=")
    assert live.publish("bath/x") == DENIED and live.publish("lamps") == DENIED
    assert shared.ctl_json("thing", "set", device.name, "--attribute", "room=")["already"]


def test_detach_bites_a_live_session_and_attach_undoes_it(shared, device):
    live = device.live(version=5)
    assert is_done(live, f"dt/{device.name}/x")
    assert shared.ctl("thing", "detach", device.name).stdout.endswith("effective\n")
    assert live.publish(f"dt/{device.name}/x") == DENIED
    assert device.connect(version=5).code == DENIED
    assert not shared.ctl_json("thing", "show", device.name)["attached"]
    assert shared.ctl_json("thing", "detach", device.name)["already"]
    shared.ctl("thing", "attach", device.name)
    assert is_done(device.live(version=5), f"dt/{device.name}/x")


def test_things_have_awss_limits(shared, device):
    def refused(reason, *words):
        done = shared.ctl("thing", "set", device.name, *words, check=False)
        assert done.returncode == 1 and done.stderr.startswith(f"mooringctl: {reason}: "), done.stderr

    def attributes(count):
        return [word for n in range(count) for word in ("--attribute", f"a{n}=1")]

    refused("conflict", *attributes(4))
    shared.ctl("thing", "set", device.name, *attributes(3))
    refused("conflict", "--attribute", "b=1")
    shared.ctl("thing", "set", device.name, "--type", "lamp", *attributes(50))
    refused("conflict", "--attribute", "b=1")
    refused("conflict", "--no-type")
    refused("bad-request", "--type", "a b")
    refused("bad-request", "--attribute", "a b=1")
    refused("bad-request", "--attribute", "a0=x y")
    refused("bad-request", "--attribute", f"a0={'x' * 801}")
    shared.ctl("thing", "set", device.name, "--attribute", f"a0={'x' * 800}")
    assert len(shared.ctl_json("thing", "show", device.name)["attributes"]) == 50


def test_a_broker_that_was_away_and_one_that_has_no_table_learn_of_everything(own, tmp_path):
    """From the log, and from a snapshot; and without its gateway, too, from what it has saved of either."""
    device, detached = enrolled(own, tmp_path, 2)
    document = write(tmp_path, OWN[0], allow("Publish", "topic/${iot:Connection.Thing.Attributes[room]}"), name="rooms")

    def stop():
        own.daemons["broker"].stop()
        wait_until(lambda: own.ctl_json("brokers")["brokers"][0]["state"] == "lost", "its feed is lost")

    def start():
        """With all that the gateway knows: the command waits until the broker confirms an entry after all others."""
        own.start("broker").ready()
        wait_until(lambda: own.ctl_json("brokers")["brokers"][0]["state"] == "live", "its feed is back")
        own.ctl("policy", "set", "own", document)

    def look():
        live = device.live(version=5)
        assert is_done(live, "kitchen") and live.publish("bath") == DENIED
        assert detached.connect(version=5).code == DENIED

    def look_alone():
        own.daemons["gateway"].stop()
        own.daemons["broker"].stop()
        own.start("broker")
        wait_until(lambda: listening(own.ports["mqtt"]), "the broker listens")
        look()

    stop()
    done = own.ctl("policy", "set", "own", document, check=False)
    assert done.returncode == 3 and "recorded; not yet effective at: broker-1 (feed lost" in done.stdout
    for words in (("policy", "attach", "own", device.name), ("policy", "set", "gone", write(tmp_path, *OWN)),
                  ("policy", "delete", "gone"), ("thing", "set", device.name, "--attribute", "room=kitchen"),
                  ("thing", "detach", detached.name)):
        assert own.ctl(*words, "--wait", "0", check=False).returncode == 3
    start()
    look()
    look_alone()
    own.start("gateway").ready()
    stop()
    for path in (own.folder / "broker/mooring").iterdir():
        path.unlink()
    start()
    assert "the gateway sent a table of 2 certificates" in own.daemons["broker"].tail(10000)
    look()
    look_alone()


# -- roles ---------------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("words", [("policy", "set", "x", "FILE"), ("policy", "reset", "default"), ("policy", "delete", "x"),
                                   ("policy", "attach", "x", "y"), ("policy", "detach", "x", "y"),
                                   ("thing", "set", "y", "--type", "t"), ("thing", "attach", "y"), ("thing", "detach", "y")])
def test_what_a_certificate_may_do_is_changed_by_admins_alone(shared, tmp_path, words):
    key = new_key(shared, "gateway", "operator", tmp_path)
    words = [str(write(tmp_path, *OWN)) if word == "FILE" else word for word in words]
    done = with_key(shared, key, *words)
    assert done.returncode == 1 and "forbidden" in done.stderr, done.stderr
