"""The plugin in a real Mosquitto, fed by a gateway that can lie: who is admitted, what he may do, and when it ends."""

import os
import signal
import ssl
import statistics
import time

import cbor2
import pytest
from cryptography.hazmat.primitives.asymmetric import ec

import stack as stacks
from broker_bench import DEFAULT_POLICY, tls_context
from feed_peer import ACTIVE, CHANGES, INACTIVE, REPORT_CONNECT, REVOKED, SERVICE, SNAPSHOT_LAST
from plugin_bench import READER, allow, put_default

KEEPER = {"Version": "2012-10-17", "Statement": [
    {"Effect": "Allow", "Action": "iot:Connect", "Resource": "*"},
    {"Effect": "Allow", "Action": ["iot:Publish", "iot:RetainPublish"], "Resource": "arn:aws:iot:*:*:topic/dt/*"}]}


# -- who is admitted ---------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("version", [4, 5])
def test_only_registered_active_certificates_are_admitted(bench, version):
    bench.admitted(bench.device("registered"), version=version)
    bench.refused(bench.device("stranger", registered=False), "certificate-unregistered", version)
    bench.refused(bench.device("inactive", state=INACTIVE), "certificate-inactive", version)
    bench.refused(bench.device("revoked", state=REVOKED), "certificate-revoked", version)
    ended = bench.device("ended", not_after=int(time.time()) - 5)
    bench.refused(ended, "certificate-expired", version)
    lost = bench.device("lost", policy="no-such-policy")
    bench.refused(lost, "policy-denied", version)


def test_registration_and_suspension_take_effect_without_restart(bench):
    thing = bench.device("late", registered=False)
    bench.refused(thing, "certificate-unregistered")
    bench.register(thing)
    live = bench.admitted(thing)
    bench.register(thing, state=INACTIVE)
    live.wait_end()
    bench.refused(thing, "certificate-inactive")
    bench.register(thing, state=ACTIVE)
    bench.admitted(thing)
    seq, _ = bench.feed.remove(thing)
    bench.feed.wait_receipt(seq)
    bench.refused(thing, "certificate-unregistered")


def test_client_ids_that_policies_could_misread_are_refused(bench):
    thing = bench.device("thing")
    for client_id in ("a+b", "a#b", "a/b", "a*b", "a?b", "$a", "x" * 129):
        bench.refused(thing, "client-id-refused", client_id=client_id)
    bench.refused(thing, "policy-denied", client_id="another-thing")


def test_a_client_id_cannot_write_log_lines(bench):
    thing = bench.device("thing")
    bench.connect(thing, client_id="a\u00e9b c")
    bench.broker.logged("refused a..b.c from")


def test_no_table_admits_nobody(unstarted):
    thing = unstarted.device("thing")
    unstarted.feed.stop()
    unstarted.broker.start().ready()
    unstarted.refused(thing, "table-missing")


# -- revocation --------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("version", [4, 5])
def test_revocation_cuts_the_live_session(bench, version, record_property):
    took, receipted = [], []
    for i in range(20):
        thing = bench.device(f"thing-{i}")
        live = bench.admitted(thing, version=version)
        seq, at = bench.feed.certificate(thing, state=REVOKED)
        ended, reason = live.wait_end()
        assert reason == (0x98 if version == 5 else None)
        took.append((ended - at) * 1000)
        receipted.append((bench.feed.wait_receipt(seq) - at) * 1000)
        bench.refused(thing, "certificate-revoked", version)
    took.sort()
    line = (f"revoke to end of session, ms: median {statistics.median(took):.2f}, max {took[-1]:.2f}; "
            f"to receipt: median {statistics.median(receipted):.2f}, max {max(receipted):.2f}")
    print(line)
    record_property("revocation", line)
    limit = 40 if os.environ.get("MOORING_SANITIZED") == "1" else 20
    assert statistics.median(took) < limit  # a broker that is not woken takes up to 100 ms


def test_a_cut_session_leaves_no_will_and_an_ended_one_does(bench):
    reader = bench.reader()
    assert reader.subscribe("dt/#") == 0
    keeps, loses = bench.device("keeps"), bench.device("loses")
    live = bench.admitted(loses, will=("dt/loses/will", "gone"))
    seq, _ = bench.feed.certificate(loses, state=REVOKED)
    live.wait_end()
    bench.feed.wait_receipt(seq)
    bench.admitted(keeps, will=("dt/keeps/will", "gone")).close()
    assert reader.message() == ("dt/keeps/will", "gone")


def test_all_sessions_of_a_certificate_are_cut(bench):
    bench.feed.policy("service/reader", READER)
    service = bench.device("reader", policy="service/reader", flags=SERVICE)
    live = [bench.admitted(service, client_id=f"reader-{i}") for i in range(5)]
    bench.feed.certificate(service, state=REVOKED, policy="service/reader", flags=SERVICE)
    for client in live:
        client.wait_end()


def test_a_mass_revocation_cuts_everybody(bench):
    things = [bench.device(f"thing-{i}") for i in range(30)]
    bystander = bench.admitted(bench.device("bystander"))
    live = [bench.admitted(thing) for thing in things]
    with bench.feed.lock:
        for thing in things:
            bench.feed.certificates[thing.fingerprint][2] = REVOKED
        seq, _ = bench.feed.change(*[bench.feed.certificates[thing.fingerprint] for thing in things])
    for client in live:
        client.wait_end()
    bench.feed.wait_receipt(seq)
    assert bystander.ping()


def test_a_snapshot_without_the_certificate_cuts_its_session(bench):
    stays, goes = bench.device("stays"), bench.device("goes")
    kept, lost = bench.admitted(stays), bench.admitted(goes)
    with bench.feed.lock:
        del bench.feed.certificates[goes.fingerprint]
        bench.feed.epoch += 1
        bench.feed.drop_streams()
    lost.wait_end()
    assert kept.ping()
    bench.refused(goes, "certificate-unregistered")
    bench.broker.logged("the gateway sent a table of 1 certificates")


def test_an_offline_session_is_refused_and_harms_nobody(bench):
    """Naming an offline session to the broker's kick functions would corrupt its memory."""
    thing = bench.device("thing")
    bench.reader()
    for version, expiry in ((4, None), (5, 3600)):
        bench.admitted(thing, version=version, clean=False, expiry=expiry).close()
        bench.register(thing, state=REVOKED)
        bench.refused(thing, "certificate-revoked", version)
        bench.register(thing, state=ACTIVE)
        bench.admitted(thing, version=version, clean=True).close()
    assert bench.broker.running()


def test_a_live_session_ends_with_its_certificate(bench):
    thing = bench.device("short", lifetime_s=3)
    live = bench.admitted(thing)
    ended, _ = live.wait_end()
    assert time.time() >= thing.not_after
    bench.broker.logged("certificate-expired")


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_a_resumed_tls_session_does_not_outlive_its_certificate(bench, version):
    for case in ("revoked", "expired"):
        thing = bench.device(f"{case}", lifetime_s=4 if case == "expired" else 86400)
        context = tls_context(bench.pki, thing, version)
        first = bench.admitted(thing, context=context)
        session = first.sock.session
        again = bench.admitted(thing, context=context, session=session)
        assert again.sock.session_reused
        session = again.sock.session
        if case == "revoked":
            bench.register(thing, state=REVOKED)
        again.wait_end()
        last = bench.connect(thing, context=context, session=session)
        assert last.sock.session_reused, "the broker did not resume: the test shows nothing"
        assert last.code == 5
        bench.broker.logged(f"certificate-{case}")


# -- the feed ----------------------------------------------------------------------------------------------------------

def forged(stream, thing):
    """Signed by another key."""
    return stream.frame(CHANGES, stream.seq + 1, stream.seq + 1, [record(thing)], head=bytes(32),
                        key=ec.generate_private_key(ec.SECP256R1()))[0]


def unchained(stream, thing):
    """Does not follow the frame before."""
    return stream.frame(CHANGES, stream.seq + 1, stream.seq + 1, [record(thing)], head=bytes(32), p5=bytes(32))[0]


def gap(stream, thing):
    """Leaves a number out."""
    return stream.frame(CHANGES, stream.seq + 2, stream.seq + 2, [record(thing)], head=bytes(32))[0]


def lower_epoch(stream, thing):
    return stream.frame(CHANGES, stream.seq + 1, stream.seq + 1, [record(thing)], head=bytes(32), p1=0)[0]


def lower_snapshot(stream, thing):
    """A table of a former epoch, in the middle of a stream."""
    return stream.frame(SNAPSHOT_LAST, 0, stream.seq + 1, [record(thing)], head=bytes(32), p1=0)[0]


def from_the_past(stream, thing):
    """A frame with the right numbers and an old time."""
    return stream.frame(CHANGES, stream.seq + 1, stream.seq + 1, [record(thing)], head=bytes(32),
                        p4=stream.feed.now_ms() - 3600_000)[0]


def no_frame(stream, thing):
    return cbor2.dumps({1: 2})


def too_large(stream, thing):
    return b"\x5a\x7f\xff\xff\xff"


def record(thing):
    return [1, thing.fingerprint, ACTIVE, thing.not_before, thing.not_after, thing.name, "default", 0]


@pytest.mark.parametrize("bad, reason", [
    (forged, "feed-signature"), (unchained, "feed-gap"), (gap, "feed-gap"), (lower_epoch, "feed-epoch"),
    (lower_snapshot, "feed-gap"), (from_the_past, "feed-replayed"), (no_frame, "feed-malformed"),
    (too_large, "feed-malformed")])
def test_a_frame_that_breaks_a_rule_changes_nothing(bench, bad, reason):
    thing = bench.device("thing")
    live = bench.admitted(thing)
    stranger = bench.device("stranger", registered=False)
    with bench.feed.lock:
        stream = bench.feed.stream()
        stream.out.put(bad(stream, stranger))
    bench.broker.logged(f"the feed is lost: {reason}")
    bench.refused(stranger, "certificate-unregistered")
    assert live.ping()
    bench.register(bench.device("next", registered=False))  # the stream is back, where it was


def test_a_replayed_frame_changes_nothing(bench):
    thing = bench.device("thing")
    with bench.feed.lock:
        stream = bench.feed.stream()
        recorded = stream.send(CHANGES, *bench_change(bench, record(thing)))
    bench.feed.wait_receipt(len(bench.feed.log))
    bench.register(thing, state=REVOKED)
    with bench.feed.lock:
        bench.feed.stream().out.put(recorded)
    bench.broker.logged("the feed is lost: feed-gap")
    bench.refused(thing, "certificate-revoked")


def bench_change(bench, changed):
    """Appends an entry without sending it; its numbers and records."""
    streams, bench.feed.streams = bench.feed.streams, []
    seq, _ = bench.feed.change(changed)
    bench.feed.streams = streams
    return seq, seq, [changed]


def test_a_recorded_stream_revives_nobody_and_freshens_nothing(bench):
    """Whoever sits between broker and gateway plays a whole old stream: snapshot and heartbeats."""
    thing = bench.device("thing")
    recorded = []

    def record_stream(stream, asked):
        put = stream.out.put
        stream.out.put = lambda data: (recorded.append(data), put(data))
        stream.snapshot()

    bench.broker.kill()
    bench.feed.on_stream = record_stream
    fresh = bench.new_broker()
    fresh.start().ready()
    stacks.wait_until(lambda: len(recorded) > 5, "some heartbeats are recorded")
    fresh.stop()
    bench.feed.on_stream = None
    bench.broker.start().ready()
    bench.register(thing, state=REVOKED)

    def play(stream, asked):
        for data in recorded:
            stream.out.put(data)

    with bench.feed.lock:
        bench.feed.on_stream, bench.feed.beating = play, False
        bench.feed.drop_streams()
    bench.broker.logged("the feed is lost: feed-epoch")
    bench.refused(thing, "certificate-revoked")


def test_a_lower_epoch_is_refused_until_the_gateway_is_right_again(bench):
    bench.feed.epoch = 5
    bench.feed.drop_streams()
    bench.feed.wait_receipt(len(bench.feed.log))
    with bench.feed.lock:
        bench.feed.epoch = 4
        bench.feed.drop_streams()
    bench.broker.logged("the feed is lost: feed-epoch")
    bench.feed.epoch = 5
    bench.admitted(bench.device("thing"))


def test_receipts_are_repeated_until_they_are_taken(bench):
    bench.feed.refuse_receipts = True
    seq, _ = bench.feed.certificate(bench.pki.issue("thing"))
    bench.broker.logged("a receipt was not taken")
    assert all(body["seq"] < seq for _, body in bench.feed.receipts)
    bench.feed.refuse_receipts = False
    bench.feed.wait_receipt(seq)


def test_first_connections_are_reported_where_asked_for(bench):
    asked = bench.device("asked", flags=REPORT_CONNECT)
    bench.admitted(bench.device("silent"))
    bench.admitted(asked)

    def reported():
        return [fp for _, body in bench.feed.receipts for fp in body["connected"]]

    stacks.wait_until(reported, "the connection is reported")
    assert reported() == [asked.fingerprint.hex()]


def test_a_policy_that_is_not_understood_denies(bench):
    thing = bench.device("thing")
    live = bench.admitted(thing)
    seq, _ = bench.feed.policy("default", {"Version": "2012-10-17", "Statement": [
        {"Effect": "Allow", "Action": "iot:*", "Resource": "*", "Condition": {"Bool": {"x": "true"}}}]})
    bench.feed.wait_receipt(seq)
    bench.broker.logged("policy-syntax")
    bench.refused(thing, "policy-denied")
    assert live.ping()
    bench.feed.policy("default", DEFAULT_POLICY)
    bench.feed.wait_receipt(seq + 1)
    bench.admitted(thing)


# -- restarts ----------------------------------------------------------------------------------------------------------

def test_a_restarted_broker_without_a_gateway_knows_whom_to_admit(bench):
    good, bad = bench.device("good"), bench.device("bad")
    bench.register(bad, state=REVOKED)
    bench.feed.stop()
    bench.broker.kill()
    bench.broker.start().ready()
    bench.admitted(good)
    bench.refused(bad, "certificate-revoked")
    bench.refused(bench.device("late"), "certificate-unregistered")


def test_a_restarted_broker_asks_for_what_it_missed_only(bench):
    thing = bench.device("thing")
    bench.broker.stop()
    asked = []

    def remember(stream, question):
        asked.append(question)
        stream.changes()
        stream.heartbeat()

    bench.feed.on_stream = remember
    bench.feed.certificate(thing, state=REVOKED)
    bench.broker.start().ready()
    bench.feed.wait_receipt(len(bench.feed.log))
    assert (asked[0]["epoch"], asked[0]["after"]) == ("1", str(len(bench.feed.log) - 1))
    bench.refused(thing, "certificate-revoked")


@pytest.mark.parametrize("damage", ["flip", "flip-length", "lose-journal", "cut-snapshot"])
def test_a_damaged_table_admits_nobody_until_it_is_sent_again(bench, damage):
    thing, _ = bench.device("thing"), bench.device("another")
    bench.feed.stop()
    bench.broker.stop()
    state = bench.broker.folder / "state"
    journal = next(state.glob("journal-*"))
    if damage.startswith("flip"):
        data = bytearray(journal.read_bytes())
        data[17 if damage == "flip-length" else 60] ^= 1  # within the first of two entries
        journal.write_bytes(data)
    elif damage == "lose-journal":
        journal.unlink()
    else:
        table = (state / "table").read_bytes()
        (state / "table").write_bytes(table[:-1])
    bench.broker.start().ready()
    bench.broker.logged("THE SAVED TABLE IS UNUSABLE")
    bench.refused(thing, "table-missing")
    bench.feed.start()
    stacks.wait_until(lambda: bench.connect(thing).code == 0, "the table is sent again")


def test_an_unfinished_last_entry_is_cut_off(bench):
    thing = bench.device("thing")
    bench.feed.stop()
    bench.broker.stop()
    journal = next((bench.broker.folder / "state").glob("journal-*"))
    journal.write_bytes(journal.read_bytes() + b"\x00\x00\x00\x40\xff\xff\xff\xbfhalf of it")
    bench.broker.start().ready()
    bench.broker.logged("an unfinished last entry was cut off")
    bench.refused(thing, "feed-stale")  # what was cut off may have been his revocation
    bench.feed.start()
    stacks.wait_until(lambda: bench.connect(thing).code == 0, "the gateway is heard")


def test_two_brokers_do_not_share_a_state_folder(bench):
    second = bench.new_broker()
    second.conf.write_text(second.conf.read_text().replace(str(second.folder / "state"),
                                                           str(bench.broker.folder / "state")))
    second.start()
    assert second.wait_exit() != 0
    assert "is in use by another broker" in second.text()


# -- the clock, and a silent gateway -----------------------------------------------------------------------------------

def test_a_silent_gateway_ends_admission_and_no_session(unstarted):
    unstarted.broker = unstarted.new_broker(staleness=10)
    unstarted.start()
    thing, other = unstarted.device("thing"), unstarted.device("other")
    live = unstarted.admitted(thing)
    unstarted.feed.beating = False
    stacks.wait_until(lambda: unstarted.connect(other).code == 5, "nobody new is admitted", 20)
    unstarted.broker.logged("feed-stale")
    assert live.ping() and live.publish("dt/thing/x") == 0
    unstarted.feed.beating = True
    stacks.wait_until(lambda: unstarted.connect(other).code == 0, "the gateway is back")


def test_a_restart_does_not_make_an_old_table_fresh(unstarted):
    unstarted.broker = unstarted.new_broker(staleness=10)
    unstarted.feed.now_ms = lambda: int((time.time() - 60) * 1000)
    unstarted.start()
    thing = unstarted.device("thing")
    unstarted.feed.stop()
    unstarted.broker.stop()
    unstarted.broker.start().ready()
    unstarted.refused(thing, "feed-stale")


def test_a_clock_that_disagrees_with_the_gateway_admits_nobody(bench):
    thing, other = bench.device("thing"), bench.device("other")
    live = bench.admitted(thing)
    bench.feed.now_ms = lambda: int((time.time() + 3600) * 1000)
    bench.broker.logged("clock-suspect: nobody new is admitted")
    bench.refused(other, "clock-suspect: the clock")
    assert live.ping()


# -- topics ------------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("version", [4, 5])
def test_a_device_keeps_to_its_own_topics(bench, version):
    denied = 0x87 if version == 5 else 0
    reader = bench.reader()
    assert reader.subscribe("dt/#") == 0
    a, b = bench.admitted(bench.device("thing-a"), version=version), bench.device("thing-b")
    assert a.publish("dt/thing-b/x", "forged") == denied
    assert a.publish("dt/thing-a", "no level below") == denied
    assert a.publish("cmd/thing-a/x", "not a device's") == denied
    assert a.publish("dt/thing-a/x", "retained", retain=True) == denied
    assert a.publish("$aws/certificates/create/json", "{}") == denied
    assert a.publish("dt/thing-a/x", "own") in (0, 0x10)
    assert reader.message() == ("dt/thing-a/x", "own")
    refused = 0x87 if version == 5 else 0x80
    for topic in ("#", "cmd/+/x", "cmd/thing-b/#", "dt/thing-a/#", "$SYS/#", "$share/g/cmd/thing-a/#"):
        assert a.subscribe(topic) == refused, topic
    assert a.subscribe("cmd/thing-a/#") == 0
    assert a.unsubscribe("cmd/thing-a/#")
    bench.admitted(b, version=version)


@pytest.mark.parametrize("version", [4, 5])
def test_a_policy_sees_the_certificate_and_the_address(bench, version):
    put_default(bench, allow("Connect", "client/*", IpAddress={"aws:SourceIp": "127.0.0.0/8"}),
                allow("Publish", "topic/dt/${iot:Certificate.Subject.CommonName}/${iot:CertificateId}",
                      Null={"iot:Certificate.SerialNumber": "false"}))
    reader, thing = bench.reader(), bench.device("thing", registered=False)
    bench.register(thing, name="thing-in-the-registry")
    assert reader.subscribe("dt/#") == 0
    client = bench.admitted(thing, version=version)
    client.publish(f"dt/thing-in-the-registry/{thing.fingerprint.hex()}", "not its common name")
    client.publish(f"dt/thing/{thing.fingerprint.hex()}", "own")
    assert reader.message() == (f"dt/thing/{thing.fingerprint.hex()}", "own")
    put_default(bench, allow("Connect", "client/*", NotIpAddress={"aws:SourceIp": "127.0.0.0/8"}))
    bench.refused(thing, "policy-denied", version)


def test_a_message_is_queued_for_an_offline_session_whose_policy_names_its_certificate(bench):
    """By then the broker has no certificate of it; the plugin has kept what the policy asks of it."""
    put_default(bench, allow("Connect", "client/*"), allow("Publish", "topic/cmd/*"), allow("Subscribe", "topicfilter/cmd/*"),
                allow("Receive", "topic/cmd/${iot:Certificate.Subject.CommonName}"))
    thing, sender = bench.device("thing"), bench.admitted(bench.device("sender"))
    away = bench.admitted(thing, clean=False)
    assert away.subscribe("cmd/#", qos=1) == 1
    away.close()
    bench.broker.logged("Client thing closed its connection")
    for topic in ("cmd/other", "cmd/thing"):
        sender.publish(topic, "while away", qos=1)
    assert bench.admitted(thing, clean=False).message() == ("cmd/thing", "while away")


@pytest.mark.parametrize("version", [4, 5])
def test_a_policy_may_want_clean_sessions(bench, version):
    put_default(bench, allow("Connect", "client/*", **{
        "ForAllValues:StringEquals": {"iot:ConnectAttributes": ["LastWill"]}}))
    thing = bench.device("thing")
    bench.admitted(thing, version=version, clean=True).close()
    bench.refused(thing, "policy-denied", version, clean=False)


def test_a_will_that_the_policy_does_not_want_is_not_published(bench):
    """The broker tells of no will at CONNECT: what the policy says to one counts when it is published."""
    put_default(bench, allow("Connect", "client/*", ArnEqualsIfExists={
        "iot:LastWillTopic": "arn:aws:iot:*:*:topic/dt/${iot:ClientId}/will"}), allow("Publish", "topic/dt/*"))
    reader = bench.reader()
    assert reader.subscribe("dt/#") == 0
    bench.admitted(bench.device("thing-a"), will=("dt/elsewhere", "unwanted")).close()
    bench.admitted(bench.device("thing-b"), will=("dt/thing-b/will", "wanted")).close()
    assert reader.message() == ("dt/thing-b/will", "wanted")


def test_a_shared_subscription_is_a_filter_of_its_own(bench):
    put_default(bench, allow("Connect", "client/*"), allow("Subscribe", "topicfilter/$share/team/cmd/*"),
                allow("Receive", "topic/cmd/*"), allow("Publish", "topic/cmd/*"))
    client = bench.admitted(bench.device("thing"))
    assert client.subscribe("cmd/all") == 0x80
    assert client.subscribe("$share/other/cmd/all") == 0x80
    assert client.subscribe("$share/team/cmd/all") == 0
    bench.admitted(bench.device("sender")).publish("cmd/all", "to one of the team")
    assert client.message() == ("cmd/all", "to one of the team")


def test_a_will_is_held_to_the_policy(bench):
    reader = bench.reader()
    assert reader.subscribe("dt/#") == 0
    bench.admitted(bench.device("thing-a"), will=("dt/thing-b/x", "forged")).close()
    bench.admitted(bench.device("thing-c"), will=("dt/thing-c/x", "own")).close()
    assert reader.message() == ("dt/thing-c/x", "own")


def test_what_a_revoked_publisher_left_is_not_delivered(bench):
    """A retained message is its publisher's: the broker asks again for him, who has nothing but a user name by then."""
    bench.feed.policy("service/keeper", KEEPER)
    kept, lost = (bench.device(name, policy="service/keeper", flags=SERVICE) for name in ("kept", "lost"))
    for identity in (kept, lost):
        publisher = bench.admitted(identity)
        publisher.publish(f"dt/{identity.name}", "retained", retain=True)
        publisher.close()
    both = bench.reader("reader-before")
    assert both.subscribe("dt/#") == 0
    assert {both.message()[0] for _ in range(2)} == {"dt/kept", "dt/lost"}
    bench.register(lost, state=REVOKED, policy="service/keeper", flags=SERVICE)
    reader = bench.reader("reader-after")
    assert reader.subscribe("dt/#") == 0
    assert reader.message()[0] == "dt/kept"
    assert reader.arrived() == []


def test_state_is_published(bench):
    bench.admitted(bench.device("thing"))
    bench.connect(bench.device("stranger", registered=False))
    reader = bench.reader()
    assert reader.subscribe("$SYS/broker/mooring/#") == 0
    seen = {}

    def complete():
        topic, payload = reader.message()
        seen[topic.removeprefix("$SYS/broker/mooring/")] = int(payload)
        return seen.get("connect/refused") == 1 and seen.get("sessions") == 2 and seen.get("feed/live") == 1

    stacks.wait_until(complete, "the state is published", 30)
    assert seen["certificates"] == 2 and seen["feed/lag_ms"] < 5000 and seen["clock/suspect"] == 0 and seen["connect/bypassed"] == 0
    stranger = bench.admitted(bench.device("plain"))
    assert stranger.subscribe("$SYS/broker/mooring/#") == 0x80


# -- the broker's own ways ---------------------------------------------------------------------------------------------

def test_sighup_keeps_sessions_and_cuts_none(bench):
    thing, gone = bench.device("thing"), bench.device("gone")
    live = bench.admitted(thing, clean=False)
    bench.admitted(gone, clean=False).close()
    bench.register(gone, state=REVOKED)
    for _ in range(3):
        os.kill(bench.broker.pid, signal.SIGHUP)
        assert live.ping()
    bench.refused(gone, "certificate-revoked")
    bench.broker.stop()
    bench.broker.start().ready()  # sessions come back from the broker's own database
    os.kill(bench.broker.pid, signal.SIGHUP)
    assert bench.admitted(thing, clean=False).ping()


def test_a_session_taken_over_stays_known(bench):
    thing = bench.device("thing")
    first = bench.admitted(thing)
    second = bench.admitted(thing)
    first.wait_end()
    assert second.publish("dt/thing/x") == 0
    bench.register(thing, state=REVOKED)
    second.wait_end()


@pytest.mark.parametrize("line", ["use_identity_as_username true", "use_subject_as_username true"])
def test_a_broker_that_does_not_ask_is_noticed(unstarted, line):
    unstarted.start_with_unseen(line)
    intruder = unstarted.connect(unstarted.device("thing"))
    assert intruder.code == 0, "the broker asked after all: the test shows nothing"
    assert intruder.subscribe("cmd/thing/#") == 0x80
    intruder.wait_end()
    unstarted.broker.logged("plugin-bypassed")


@pytest.mark.parametrize("line", [
    "use_identity_as_username true", "use_subject_as_username 1", "allow_anonymous true", "acl_file /dev/null",
    "use_identity_as_username true # of which the broker reads the first word alone", "psk_file /dev/null",
    "password_file /dev/null", "auth_plugin /dev/null", "plugin /dev/null",
    pytest.param("protocol websockets", marks=pytest.mark.skipif("MOORING_MOSQUITTO" in os.environ, reason="it may have none"))])
def test_a_configuration_that_goes_round_the_plugin_does_not_start(unstarted, line):
    broker = unstarted.new_broker()
    included = broker.folder / "conf.d"
    included.mkdir()
    (included / "more.conf").write_text(f"  {line}\n")
    broker.conf.write_text(broker.conf.read_text() + f"include_dir {included}\n")
    broker.start()
    assert broker.wait_exit() != 0
    assert f"{included}/more.conf line 1" in broker.text()


@pytest.mark.parametrize("change, complaint", [
    (("plugin_opt_broker broker-1", ""), "plugin_opt_broker is missing"),
    (("plugin_opt_staleness 900", "plugin_opt_staleness soon"), "plugin_opt_staleness is"),
    (("plugin_opt_gateway https", "plugin_opt_gateway http"), "plugin_opt_gateway is https"),
    (("plugin_opt_staleness 900", "plugin_opt_stale 900"), "unknown option plugin_opt_stale"),
    (("feed.pub.pem", "feed.missing.pem"), "feed.missing.pem"),
])
def test_a_wrong_option_does_not_start(unstarted, change, complaint):
    broker = unstarted.new_broker()
    broker.conf.write_text(broker.conf.read_text().replace(*change))
    broker.start()
    assert broker.wait_exit() != 0
    assert complaint in broker.text()
