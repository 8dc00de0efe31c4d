"""Every moment at which Mosquitto lets a client do something, each with the plugin's word and the reason for it.

test_plugin_feed.py has the states of a certificate; here are the ways of the broker: wills, retained and queued
messages, take-overs, listeners, SIGHUP, restarts.
"""

import os
import re
import signal
import socket
import ssl
import threading
import time

import pytest

import stack as stacks
from broker_bench import text, tls_context
from feed_peer import ACTIVE, INACTIVE, REVOKED
from plugin_bench import allow, put_default
from stack import free_port

VERSIONS = pytest.mark.parametrize("version", [4, 5])
EVERYTHING = [allow(action, "*") for action in ("Connect", "Publish", "RetainPublish", "Subscribe", "Receive")]


def put_policy(bench, name, *statements):
    seq, _ = bench.feed.policy(name, {"Version": "2012-10-17", "Statement": list(statements)})
    bench.feed.wait_receipt(seq)
    return name


def revoke(bench, identity, **record):
    bench.register(identity, state=REVOKED, **record)


# -- CONNECT -----------------------------------------------------------------------------------------------------------

@VERSIONS
def test_a_client_id_that_the_broker_made_up_is_held_to_the_policy(bench, version):
    thing = bench.device("thing")
    bench.refused(thing, "refused auto-", version, client_id="")
    assert "policy-denied" in bench.broker.text()
    put_default(bench, *EVERYTHING)
    assert bench.admitted(thing, version=version, client_id="").publish("dt/x", qos=1) in (0, 0x10)


def test_a_username_is_no_identity(bench):
    """AWS's SDKs send telemetry there; another's fingerprint there gives nothing."""
    thing, other = bench.device("thing"), bench.device("other")
    sdk = bench.admitted(thing, username="?SDK=IoTDeviceSDK/JS&Platform=Unix")
    assert sdk.subscribe("cmd/thing/x") == 0
    liar = bench.admitted(thing, version=5, username=other.fingerprint.hex(), password="x")
    assert liar.publish("dt/other/x") == 0x87
    bench.refused(bench.device("stranger", registered=False), "certificate-unregistered", username=thing.fingerprint.hex())


def test_a_username_that_becomes_the_client_id_is_held_to_the_policy(unstarted):
    unstarted.broker = unstarted.new_broker(options=["use_username_as_clientid true"])
    unstarted.start()
    thing = unstarted.device("thing")
    unstarted.device("other")
    unstarted.refused(thing, "policy-denied", client_id="thing", username="other")
    unstarted.admitted(thing, client_id="other", username="thing")


def test_a_second_connect_on_a_connection_ends_it(bench):
    live = bench.admitted(bench.device("thing"))
    live.connect()
    assert live.code != 0 or live.wait_end()
    assert "already connected" not in bench.broker.text()


def test_authentication_by_other_means_than_the_certificate_is_refused(bench):
    """MQTT 5's enhanced authentication would not ask the plugin."""
    thing = bench.device("thing")
    client = bench.connect(thing, version=5, connect=False)
    method = b"\x15" + text("PLAIN")
    client.send(0x10, b"\x00\x04MQTT\x05\x02\x00\x3c" + bytes((len(method),)) + method + text("thing"))
    kind, answer = client.read()
    assert (kind, answer[1]) == (0x20, 0x8c)
    client.wait_end()


# -- wills -------------------------------------------------------------------------------------------------------------

def fence(bench, reader):
    """All wills of connections that ended before have been published, or not: what the reader has by now."""
    name = f"fence-{len(bench.clients)}"
    bench.admitted(bench.device(name), will=(f"dt/{name}/will", "fence")).close()
    messages = []
    while not messages or messages[-1].payload != "fence":
        messages.append(reader.take())
    return [(m.topic, m.payload, m.retain) for m in messages[:-1]]


@VERSIONS
def test_a_retained_will_needs_the_right_to_retain(bench, version):
    put_default(bench, allow("Connect", "client/*"), allow("Publish", "topic/dt/*"), allow("RetainPublish", "topic/dt/keeps/*"))
    reader = bench.reader()
    assert reader.subscribe("dt/#") == 0
    bench.admitted(bench.device("loses"), version=version, will=("dt/loses/w", "retained", 1, 1)).close()
    assert fence(bench, reader) == []
    bench.admitted(bench.device("keeps"), version=version, will=("dt/keeps/w", "retained", 1, 1)).close()
    assert fence(bench, reader) == [("dt/keeps/w", "retained", 0)]
    late = bench.reader("reader-late")
    assert late.subscribe("dt/#") == 0
    assert [(m.topic, m.payload, m.retain) for m in late.arrived()] == [("dt/keeps/w", "retained", 1)]


def test_a_will_is_held_to_the_policy_of_the_hour_of_death(bench):
    reader = bench.reader()
    assert reader.subscribe("dt/#") == 0
    dying = bench.admitted(bench.device("thing"), will=("dt/thing/w", "gone"))
    put_default(bench, allow("Connect", "client/*"), allow("Publish", "topic/dt/*/will"))
    dying.close()
    assert fence(bench, reader) == []


def test_a_delayed_will_is_not_published_once_its_certificate_is_revoked(bench):
    reader = bench.reader()
    assert reader.subscribe("dt/#") == 0
    gone, stays = bench.device("gone"), bench.device("stays")
    for identity in (gone, stays):
        bench.admitted(identity, version=5, clean=True, expiry=60, will=(f"dt/{identity.name}/w", "late"), will_delay=1).close()
    stacks.wait_until(lambda: re.search("Client gone.* (closed|disconnected)", bench.broker.text()), "the will waits")
    revoke(bench, gone)
    assert reader.message() == ("dt/stays/w", "late")
    assert fence(bench, reader) == []


def test_a_will_does_not_reach_topics_that_no_device_may_use(bench):
    put_default(bench, *EVERYTHING, allow("Publish", "topic/$SYS/*"), allow("Subscribe", "topicfilter/$SYS/*"),
                allow("Receive", "topic/$SYS/*"))
    reader = bench.reader()
    assert reader.subscribe("dt/#") == 0
    bench.admitted(bench.device("a"), will=("$SYS/broker/uptime", "forged")).close()
    bench.admitted(bench.device("b"), will=("$aws/certificates/create/json", "{}")).close()
    watching = bench.admitted(bench.device("watching"))
    assert watching.subscribe("$SYS/broker/uptime") == 0
    assert fence(bench, reader) == []
    assert all(m.payload != "forged" for m in watching.arrived())


# -- PUBLISH -----------------------------------------------------------------------------------------------------------

@VERSIONS
@pytest.mark.parametrize("qos", [0, 1, 2])
def test_what_may_not_be_published_reaches_nobody(bench, version, qos):
    """MQTT 5 is told; MQTT 3.1.1 has no word for it and is told that all is well."""
    reader = bench.reader()
    assert reader.subscribe("dt/#", 2) == 0 or reader.subscribe("dt/#", 2) == 2
    thing = bench.admitted(bench.device("thing"), version=version)
    denied = 0x87 if version == 5 and qos else 0
    assert thing.publish("dt/other/x", "forged", qos) == denied
    assert thing.publish("dt/thing/x", "retained", qos, retain=True) == denied
    assert thing.publish("dt/thing/x", "own", qos) == 0
    assert reader.message() == ("dt/thing/x", "own")
    assert thing.ping() and reader.arrived() == []


def test_a_retained_message_is_cleared_only_by_who_may_retain(bench):
    put_policy(bench, "keeper", allow("Connect", "*"), allow("Publish", "topic/dt/*"), allow("RetainPublish", "topic/dt/*"))
    keeper = bench.admitted(bench.device("keeper", policy="keeper"))
    assert keeper.publish("dt/thing/x", "kept", retain=True) == 0
    thing = bench.admitted(bench.device("thing"), version=5)
    assert thing.publish("dt/thing/x", "", retain=True) == 0x87
    reader = bench.reader()
    assert reader.subscribe("dt/#") == 0
    assert reader.arrived()[0][:2] == ("dt/thing/x", "kept")


def test_a_topic_alias_hides_no_topic(bench):
    thing = bench.admitted(bench.device("thing"), version=5)
    alias = b"\x03\x23\x00\x01"
    def publish(topic, number):
        thing.send(0x32, text(topic) + number.to_bytes(2, "big") + alias + b"x")
        kind, body = thing.answer(0x40)
        return body[2] if len(body) > 2 else 0
    assert publish("dt/thing/x", 1) in (0, 0x10)
    assert publish("", 2) in (0, 0x10)
    assert publish("dt/other/x", 3) == 0x87
    assert publish("", 4) == 0x87


# -- SUBSCRIBE and delivery --------------------------------------------------------------------------------------------

@VERSIONS
def test_each_filter_of_a_subscription_has_an_answer_of_its_own(bench, version):
    thing = bench.admitted(bench.device("thing"), version=version)
    filters = ["cmd/thing/#", "cmd/other/#", "#", "cmd/thing/x", "$SYS/#", "+/thing/x", "$share/g/cmd/thing/#"]
    thing.send(0x82, thing.next_packet() + thing.properties() + b"".join(text(f) + b"\x01" for f in filters))
    codes = list(thing.answer(0x90)[1][-len(filters):])
    no = 0x87 if version == 5 else 0x80
    assert codes == [1, no, no, 1, no, no, no]


@VERSIONS
def test_a_policy_change_bites_what_is_subscribed(bench, version):
    put_default(bench, *EVERYTHING)
    sender = bench.admitted(bench.device("sender"))
    thing = bench.admitted(bench.device("thing"), version=version)
    assert thing.subscribe("#", 1) == 1
    assert sender.publish("dt/secret") == 0
    assert thing.message() == ("dt/secret", "x")
    put_default(bench, *EVERYTHING, {"Effect": "Deny", "Action": "iot:Receive", "Resource": "arn:aws:iot:*:*:topic/dt/secret"})
    assert sender.publish("dt/secret") == 0
    assert sender.publish("dt/open") == 0
    assert [m.topic for m in thing.arrived()] == ["dt/open"]


def test_an_offline_session_receives_what_its_policy_allowed_when_it_came_and_when_it_goes_out(bench):
    """Asked once when a message is queued and once more when it is delivered."""
    put_default(bench, *EVERYTHING)
    sender, thing = bench.admitted(bench.device("sender")), bench.device("thing")
    session = bench.admitted(thing, clean=False)
    assert session.subscribe("dt/#", 1) == 1
    session.leave()
    assert sender.publish("dt/secret", "queued while allowed") == 0
    put_default(bench, *EVERYTHING, {"Effect": "Deny", "Action": "iot:Receive", "Resource": "arn:aws:iot:*:*:topic/dt/secret"})
    assert sender.publish("dt/secret", "while denied") == 0
    assert sender.publish("dt/open", "while allowed") == 0
    back = bench.admitted(thing, clean=False)
    assert back.session_present
    assert [m.payload for m in back.arrived()] == ["while allowed"]


# -- queued messages, persistent sessions, take-overs ------------------------------------------------------------------

@VERSIONS
def test_nothing_is_queued_for_a_suspended_certificate(bench, version):
    put_default(bench, *EVERYTHING)
    sender, thing = bench.admitted(bench.device("sender")), bench.device("thing")
    session = bench.admitted(thing, version=version, clean=False, expiry=3600)
    assert session.subscribe("cmd/thing", 1) == 1
    session.leave()
    assert sender.publish("cmd/thing", "before") == 0
    bench.register(thing, state=INACTIVE)
    assert sender.publish("cmd/thing", "meanwhile") == 0
    bench.refused(thing, "certificate-inactive", version, clean=False)
    bench.register(thing, state=ACTIVE)
    back = bench.admitted(thing, version=version, clean=False, expiry=3600)
    assert back.session_present
    assert [m.payload for m in back.arrived()] == ["before"]


def test_another_things_client_id_is_out_of_reach(bench):
    """The session of a client id, its subscriptions and what waits for it belong to whom the policy gives the id."""
    victim, thief = bench.device("victim"), bench.device("thief")
    live = bench.admitted(victim)
    bench.refused(thief, "policy-denied", client_id="victim")
    bench.refused(thief, "policy-denied", client_id="victim", version=5, clean=False)
    assert live.ping() and live.subscribe("cmd/victim/x") == 0


@VERSIONS
def test_what_waits_for_a_client_id_goes_to_another_certificate_by_its_own_policy(bench, version):
    for name, topic in (("first", "*"), ("second", "cmd/second")):
        put_policy(bench, name, allow("Connect", "client/shared"), allow("Subscribe", "*"), allow("Receive", f"topic/{topic}"))
    put_default(bench, *EVERYTHING)
    sender = bench.admitted(bench.device("sender"))
    first, second = (bench.device(name, policy=name) for name in ("first", "second"))
    session = bench.admitted(first, client_id="shared", version=version, clean=False, expiry=3600)
    assert session.subscribe("cmd/#", 1) == 1
    session.leave()
    for name in ("first", "second"):
        assert sender.publish(f"cmd/{name}", f"for {name}") == 0
    taken = bench.admitted(second, client_id="shared", version=version, clean=False, expiry=3600)
    assert taken.session_present
    assert [m.payload for m in taken.arrived()] == ["for second"]


@VERSIONS
def test_a_renewed_certificate_takes_its_session_over_and_the_end_of_the_old_one_ends_nothing(bench, version):
    old, new = (bench.device(name, registered=False) for name in ("old", "new"))
    for identity in (old, new):
        bench.register(identity, name="thing")
    sender = bench.admitted(bench.device("sender", policy=put_policy(bench, "all", *EVERYTHING)))
    first = bench.admitted(old, client_id="thing", version=version, clean=False, expiry=3600)
    assert first.subscribe("cmd/thing/x", 1) == 1
    second = bench.admitted(new, client_id="thing", version=version, clean=False, expiry=3600)
    assert first.wait_end()[1] in (None, 0x8e)
    assert second.session_present
    revoke(bench, old, name="thing")
    assert sender.publish("cmd/thing/x", "to the new one") == 0
    assert second.message() == ("cmd/thing/x", "to the new one")
    bench.refused(old, "certificate-revoked", version, client_id="thing")
    assert second.ping()
    revoke(bench, new, name="thing")
    second.wait_end()


@VERSIONS
@pytest.mark.parametrize("cut_by", ["suspension", "expiry", "revocation"])
def test_a_session_that_was_cut_keeps_its_subscriptions(bench, version, cut_by):
    """A device that finds its session takes it that they are there. The last one comes back with another certificate."""
    put_policy(bench, "all", *EVERYTHING)
    sender = bench.admitted(bench.device("sender", policy="all"))
    thing, new = (bench.device(name, registered=False) for name in ("old", "new"))
    bench.register(thing, name="thing", not_after=int(time.time()) + 2 if cut_by == "expiry" else None)
    bench.register(new, name="thing")
    live = bench.admitted(thing, client_id="thing", version=version, clean=False, expiry=3600)
    assert live.subscribe("cmd/thing/#", 1) == 1
    if cut_by != "expiry":
        bench.register(thing, name="thing", state=INACTIVE if cut_by == "suspension" else REVOKED)
    live.wait_end()
    assert sender.publish("cmd/thing/x", "meanwhile") == 0
    if cut_by != "revocation":
        bench.register(thing, name="thing")
    back = bench.admitted(new if cut_by == "revocation" else thing, client_id="thing", version=version, clean=False, expiry=3600)
    assert back.session_present
    assert sender.publish("cmd/thing/x", "afterwards") == 0
    assert [m.payload for m in back.arrived()] == ["afterwards"]


@VERSIONS
def test_a_member_that_is_cut_takes_nothing_from_its_group(bench, version):
    put_default(bench, *EVERYTHING, allow("Subscribe", "topicfilter/$share/*"))
    sender = bench.admitted(bench.device("sender"))
    gone, stays = (bench.device(name) for name in ("gone", "stays"))
    members = [bench.admitted(identity, version=version, clean=False, expiry=3600) for identity in (gone, stays)]
    for member in members:
        assert member.subscribe("$share/team/dt/#", 1) == 1
    revoke(bench, gone)
    members[0].wait_end()
    for n in range(6):
        assert sender.publish(f"dt/{n}") == 0
    assert [m.topic for m in members[1].arrived()] == [f"dt/{n}" for n in range(6)]


def test_messages_half_way_through_qos_2_end_with_the_certificate(bench):
    reader = bench.reader()
    assert reader.subscribe("dt/#", 2) == 2
    thing = bench.device("thing")
    live = bench.admitted(thing, clean=False)
    number = live.next_packet()
    live.send(0x34, text("dt/thing/x") + number + b"half way")
    live.answer(0x50)
    revoke(bench, thing)
    live.wait_end()
    bench.refused(thing, "certificate-revoked", clean=False)
    assert reader.arrived() == []


def test_a_broker_that_was_down_during_a_revocation_queues_nothing_for_the_revoked(bench):
    put_default(bench, *EVERYTHING)
    sender, thing, good = bench.device("sender"), bench.device("thing"), bench.device("good")
    for identity in (thing, good):
        session = bench.admitted(identity, clean=False)
        assert session.subscribe("cmd/all", 1) == 1
        session.leave()
    bench.broker.stop()
    bench.feed.certificate(thing, state=INACTIVE)
    bench.broker.start().ready()
    bench.feed.wait_receipt(len(bench.feed.log))
    assert bench.admitted(sender).publish("cmd/all", "after the restart") == 0
    bench.refused(thing, "certificate-inactive", clean=False)
    assert bench.admitted(good, clean=False).message() == ("cmd/all", "after the restart")
    bench.register(thing, state=ACTIVE)
    back = bench.admitted(thing, clean=False)
    assert back.session_present and back.arrived() == []


def test_a_restart_with_persistence_keeps_sessions_queues_and_retained_messages(bench):
    put_default(bench, *EVERYTHING)
    sender, thing = bench.device("sender"), bench.device("thing")
    session = bench.admitted(thing, clean=False)
    assert session.subscribe("cmd/#", 2) == 2
    session.leave()
    publisher = bench.admitted(sender)
    assert publisher.publish("cmd/queued", "queued", 2) == 0
    assert publisher.publish("dt/kept", "kept", retain=True) == 0
    for _ in range(2):
        bench.broker.stop()
        bench.broker.start().ready()
    back = bench.admitted(thing, clean=False)
    assert back.session_present
    assert back.take()[:3] == ("cmd/queued", "queued", 2)
    assert back.subscribe("dt/#") == 0
    assert [m[:2] for m in back.arrived()] == [("dt/kept", "kept")]


# -- expiry ------------------------------------------------------------------------------------------------------------

def test_an_expired_certificate_receives_publishes_and_wills_nothing(bench):
    """Here it is the table that says when; its session stays in the broker's memory."""
    put_default(bench, *EVERYTHING)
    reader, sender = bench.reader(), bench.admitted(bench.device("sender"))
    assert reader.subscribe("dt/#") == 0
    short = bench.device("short", not_after=int(time.time()) + 3)
    live = bench.admitted(short, clean=False, will=("dt/short/will", "gone"))
    assert live.subscribe("cmd/short", 1) == 1
    assert live.publish("dt/short", "alive") == 0
    assert reader.message() == ("dt/short", "alive")
    live.wait_end()
    bench.broker.logged(f"cut {short.fingerprint.hex()}: certificate-expired")
    assert sender.publish("cmd/short", "too late") == 0
    assert fence(bench, reader) == []
    bench.refused(short, "the certificate has expired", clean=False)
    bench.register(short)
    back = bench.admitted(short, clean=False)
    assert back.session_present and back.arrived() == []


# -- listeners ---------------------------------------------------------------------------------------------------------

def plain_connect(path_or_port, client_id="thing", username=""):
    """CONNACK's code from a listener without TLS; None where the connection just ended."""
    unix = isinstance(path_or_port, str)
    with socket.socket(socket.AF_UNIX if unix else socket.AF_INET) as s:
        s.settimeout(10)
        s.connect(path_or_port if unix else ("127.0.0.1", path_or_port))
        body = b"\x00\x04MQTT\x04" + (b"\x82" if username else b"\x02") + b"\x00\x3c" + text(client_id)
        body += text(username) if username else b""
        try:
            s.sendall(b"\x10" + bytes((len(body),)) + body)
            answer = s.recv(4)
        except ConnectionError:
            return None
        return answer[3] if answer else None


def test_no_listener_is_a_way_round(unstarted):
    """A second one with TLS, one without, one that asks for no certificate, and a socket in the file system."""
    pki, ports = unstarted.pki, [free_port() for _ in range(3)]
    path = str(unstarted.folder / "mqtt.sock")
    tls = [f"cafile {pki.path('root.pem')}", f"certfile {pki.path('broker.pem')}", f"keyfile {pki.path('broker.key')}"]
    unstarted.broker = unstarted.new_broker(options=[
        f"listener {ports[0]} 127.0.0.1", *tls, "require_certificate true",
        f"listener {ports[1]} 127.0.0.1", *tls, "require_certificate false",
        f"listener {ports[2]} 127.0.0.1", f"listener 0 {path}"])
    unstarted.start()
    thing, stranger = unstarted.device("thing"), unstarted.device("stranger", registered=False)
    first_port = unstarted.broker.port

    def at(port):
        unstarted.broker.port = port

    live = unstarted.admitted(thing)
    at(ports[0])
    second = unstarted.admitted(thing)
    live.wait_end()
    unstarted.refused(stranger, "certificate-unregistered")
    at(ports[1])
    unstarted.refused(thing, "certificate-missing")
    for username in ("", thing.fingerprint.hex()):
        assert plain_connect(ports[2], username=username) == 5
        assert plain_connect(path, username=username) == 5
    at(first_port)
    assert second.ping()
    revoke(unstarted, thing)
    second.wait_end()


def test_listeners_with_settings_of_their_own_do_not_start(unstarted):
    """One of them would not have the plugin, and nothing would ever tell."""
    broker = unstarted.new_broker()
    port = free_port()
    lines = broker.conf.read_text().replace("per_listener_settings false", "per_listener_settings true")
    broker.conf.write_text(f"{lines}listener {port} 127.0.0.1\nallow_anonymous true\n")
    broker.start()
    assert broker.wait_exit() != 0
    assert f'{broker.conf} line 1: "per_listener_settings true" goes round the plugin' in broker.text()


# -- SIGHUP ------------------------------------------------------------------------------------------------------------

def reload(bench):
    """The broker forgets a SIGHUP that comes while it reloads: asked until it does."""
    before = bench.broker.text().count("Reloading config.")

    def done():
        os.kill(bench.broker.pid, signal.SIGHUP)
        return bench.broker.text().count("Reloading config.") > before

    stacks.wait_until(done, "the broker reloads")


@pytest.mark.parametrize("line", [
    "per_listener_settings true", "allow_anonymous true", "acl_file {folder}/acl", "password_file {folder}/passwords",
    "use_identity_as_username true", "use_subject_as_username true"])
def test_a_configuration_reloaded_unlocks_nothing_and_is_told_of(bench, line):
    folder, other = bench.broker.folder, bench.device("other")
    (folder / "acl").write_text("topic readwrite #\n")
    (folder / "passwords").write_text("")
    thing, stranger = bench.device("thing"), bench.device("stranger", registered=False)
    live = bench.admitted(thing, version=5)
    lines = bench.broker.conf.read_text().splitlines()
    if line.startswith("per_listener"):
        lines[0] = line
    else:
        lines.insert(1, line.format(folder=folder))
    bench.broker.conf.write_text("\n".join(lines) + "\n")
    for _ in range(2):
        reload(bench)
        assert live.ping()
    bench.broker.logged("WITH THIS CONFIGURATION THE BROKER WILL NOT START AGAIN")
    assert live.publish("dt/other/x") == 0x87 and live.subscribe("cmd/other/#") == 0x87
    assert live.publish("dt/thing/x") in (0, 0x10)
    bench.refused(stranger, "certificate-unregistered")
    revoke(bench, thing)
    live.wait_end()
    bench.refused(thing, "certificate-revoked")
    assert bench.admitted(other).ping()


def test_nobody_slips_in_while_the_broker_reloads(unstarted):
    """On SIGHUP all sessions pass, those without a certificate too: a connection without one must not be among them."""
    plain = free_port()
    unstarted.broker = unstarted.new_broker(options=[f"listener {plain} 127.0.0.1"])
    unstarted.start()
    thing = unstarted.device("thing")
    live, codes, done = unstarted.admitted(thing, clean=False), [], threading.Event()

    def knock():
        while not done.is_set():
            codes.append(plain_connect(plain, "thing", thing.fingerprint.hex()))

    threads = [threading.Thread(target=knock) for _ in range(2)]
    for thread in threads:
        thread.start()
    try:
        for _ in range(20):
            reload(unstarted)
    finally:
        done.set()
        for thread in threads:
            thread.join()
    assert set(codes) == {5}, codes
    assert live.ping()


def test_a_rotated_log_is_written_anew_and_nobody_notices(unstarted):
    """As logrotate does it: rename, SIGHUP."""
    unstarted.broker = unstarted.new_broker()
    log = unstarted.broker.folder / "mosquitto.log"
    unstarted.broker.conf.write_text(unstarted.broker.conf.read_text().replace("log_dest stderr", f"log_dest file {log}"))
    unstarted.broker.log = log
    unstarted.start()
    thing, gone = unstarted.device("thing"), unstarted.device("gone")
    live, away = unstarted.admitted(thing), unstarted.admitted(gone, version=5, clean=False, expiry=3600)
    away.leave()
    revoke(unstarted, gone)
    for n in range(3):
        log.rename(log.with_suffix(f".{n}"))
        os.kill(unstarted.broker.pid, signal.SIGHUP)
        stacks.wait_until(log.exists, "a new log")
        unstarted.refused(gone, "certificate-revoked", version=5)
        assert live.ping()


# -- resumed TLS sessions ----------------------------------------------------------------------------------------------

@pytest.mark.parametrize("tls", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_a_resumed_tls_session_is_no_identity_of_its_own(bench, tls):
    """Resumed after suspension, removal and another policy; and not at all after a restart of the broker."""
    thing = bench.device("thing")
    context = tls_context(bench.pki, thing, tls)
    session = bench.admitted(thing, context=context).sock.session

    def resumed():
        made = bench.connect(thing, context=context, session=session)
        assert made.sock.session_reused, "the broker did not resume: the test shows nothing"
        return made.code

    def again(reason):
        assert resumed() == 5
        bench.broker.logged(reason)

    bench.register(thing, state=INACTIVE)
    again("certificate-inactive")
    bench.register(thing, state=ACTIVE, policy="no-such-policy")
    again("policy-denied")
    bench.register(thing)
    assert resumed() == 0
    bench.feed.wait_receipt(bench.feed.remove(thing)[0])
    again("certificate-unregistered")
    bench.broker.stop()
    bench.broker.start().ready()
    last = bench.connect(thing, context=context, session=session)
    assert not last.sock.session_reused and last.code == 5
