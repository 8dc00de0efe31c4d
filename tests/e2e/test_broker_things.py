"""What a broker is told of things, and of policies of their own: in force at once, kept over a restart."""

import pytest

from feed_peer import DETACHED
from plugin_bench import allow, put_default

BY_ROOM = [allow("Connect", "client/${iot:ClientId}"),
           allow("Publish", "topic/room/${iot:Connection.Thing.Attributes[room]}/*"),
           allow("Subscribe", "topicfilter/room/*"),
           allow("Receive", "topic/room/${iot:Connection.Thing.Attributes[room]}/*"),
           allow("Receive", "topic/kind/*", StringEquals={"iot:Connection.Thing.ThingTypeName": "lamp"}),
           allow("Subscribe", "topicfilter/kind/*")]
EVERYTHING = [allow(action, "*") for action in ("Connect", "Publish", "Subscribe", "Receive")]


def put_policy(bench, name, *statements):
    seq, _ = bench.feed.policy(name, {"Version": "2012-10-17", "Statement": list(statements)})
    bench.feed.wait_receipt(seq)
    return name


@pytest.mark.parametrize("version", [4, 5])
def test_attributes_and_types_resolve_and_change_during_a_session(bench, version):
    """Publishing, and what is delivered of subscriptions that are there."""
    put_default(bench, *BY_ROOM)
    sender = bench.admitted(bench.device("sender", policy=put_policy(bench, "all", *EVERYTHING)))
    thing = bench.device("thing", kind="lamp", attributes={"room": "kitchen", "site": "2"})
    live = bench.admitted(thing, version=version)
    assert live.subscribe("room/#", 1) == 1 and live.subscribe("kind/#", 1) == 1
    no = 0x87 if version == 5 else 0

    def say():
        for topic in ("room/kitchen/x", "room/bath/x", "kind/x"):
            assert sender.publish(topic) == 0
        return sorted(m.topic for m in live.arrived() if m.payload == "x")

    assert live.publish("room/kitchen/own", "own") == 0 and live.publish("room/bath/own", "own") == no
    assert say() == ["kind/x", "room/kitchen/x"]
    bench.register(thing, kind="lamp", attributes={"room": "bath"})
    assert live.publish("room/kitchen/own", "own") == no and live.publish("room/bath/own", "own") == 0
    assert say() == ["kind/x", "room/bath/x"]
    bench.register(thing, kind="heater")
    assert live.publish("room/bath/own", "own") == no
    assert say() == []


def test_a_detached_certificate_is_denied_what_its_thing_may(bench):
    thing = bench.device("thing")
    live = bench.admitted(thing, version=5)
    assert live.publish("dt/thing/x") in (0, 0x10)
    bench.register(thing, flags=DETACHED)
    assert live.publish("dt/thing/x") == 0x87
    bench.refused(thing, "policy-denied", version=5)
    bench.register(thing)
    assert bench.admitted(thing, version=5).publish("dt/thing/x") in (0, 0x10)


def test_a_policy_of_ones_own_takes_the_place_of_the_default(bench):
    put_policy(bench, "own", allow("Connect", "client/thing"), allow("Publish", "topic/own/x"))
    thing = bench.device("thing")
    live = bench.admitted(thing, version=5)
    assert live.publish("own/x") == 0x87
    bench.register(thing, policy="own")
    assert live.publish("own/x") in (0, 0x10) and live.publish("dt/thing/x") == 0x87
    bench.register(thing)
    assert live.publish("own/x") == 0x87


def test_without_its_gateway_a_broker_knows_things_and_policies_over_a_restart(bench):
    """From the snapshot and from the journal: the second change was made after the first had been written."""
    put_default(bench, *BY_ROOM)
    put_policy(bench, "own", allow("Connect", "client/other"), allow("Publish", "topic/own/x"))
    put_policy(bench, "gone", *EVERYTHING)
    thing, detached = bench.device("thing", kind="lamp", attributes={"room": "kitchen"}), bench.device("detached")
    other, orphan = bench.device("other"), bench.device("orphan", policy="gone")
    bench.register(thing, kind="lamp", attributes={"room": "bath"})
    bench.register(other, policy="own")
    bench.register(detached, flags=DETACHED, attributes={"room": "bath"})
    bench.feed.wait_receipt(bench.feed.policy_removed("gone")[0])
    for _ in range(2):
        bench.feed.stop()
        bench.broker.stop()
        bench.broker.start().ready()
        assert bench.admitted(thing, version=5).publish("room/bath/x") in (0, 0x10)
        assert bench.admitted(other, version=5).publish("own/x") in (0, 0x10)
        assert bench.admitted(detached, version=5).publish("room/bath/x") == 0x87
        bench.refused(orphan, "policy-denied", version=5)
