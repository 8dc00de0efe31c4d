"""A feed that lies, floods or dribbles, and a journal that was cut or damaged: nobody comes in who must not, nobody is cut who may stay.

test_plugin_feed.py has the rules of a stream one by one; here is what somebody would try who knows them.
"""

import hashlib

import cbor2
import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

import stack as stacks
from feed_peer import ACTIVE, CHANGES, HEARTBEAT, REVOKED, SNAPSHOT, SNAPSHOT_LAST, seal
from test_plugin_feed import record

FRAME_SILENCE_S = 30


def payload(stream, thing, **changed):
    made = {1: stream.feed.epoch, 2: stream.seq + 1, 3: stream.seq + 1, 4: stream.feed.now_ms(), 5: stream.digest, 6: CHANGES,
            7: [record(thing)], 8: bytes(32)}
    made.update({int(name[1:]): value for name, value in changed.items()})
    return {label: value for label, value in made.items() if value is not None}


def cose(stream, thing, protected=None, unprotected=None, tag=18, key=None, signature=None, body=None):
    """What a frame is made of, each part as somebody wants it."""
    protected, body = cbor2.dumps({1: -7}) if protected is None else protected, body or cbor2.dumps(payload(stream, thing))
    if signature is None:
        signed = cbor2.dumps(["Signature1", protected, b"", body])
        r, s = decode_dss_signature((key or stream.feed.key).sign(signed, ec.ECDSA(hashes.SHA256())))
        signature = r.to_bytes(32, "big") + s.to_bytes(32, "big")
    return cbor2.dumps(cbor2.dumps(cbor2.CBORTag(tag, [protected, unprotected or {}, body, signature])))


def der_signature(stream, thing):
    body = cbor2.dumps(payload(stream, thing))
    signed = cbor2.dumps(["Signature1", cbor2.dumps({1: -7}), b"", body])
    return cose(stream, thing, body=body, signature=stream.feed.key.sign(signed, ec.ECDSA(hashes.SHA256())))


def changed_after_signing(stream, thing):
    data = cose(stream, thing)
    return data.replace(thing.name.encode(), thing.name.upper().encode())


def other_head(stream, thing):
    """The same number, and another log behind it."""
    return seal(stream.feed.key, payload(stream, thing, p2=stream.seq + 1, p3=stream.seq, p6=HEARTBEAT, p7=[],
                                         p8=hashlib.sha256(b"another log").digest()))[0]


LIES = {
    "no algorithm": (lambda s, t: cose(s, t, protected=b""), "feed-malformed"),
    "algorithm none": (lambda s, t: cose(s, t, protected=cbor2.dumps({1: 0})), "feed-malformed"),
    "HMAC with the public key": (lambda s, t: cose(s, t, protected=cbor2.dumps({1: 5})), "feed-malformed"),
    "ES384 said of ES256": (lambda s, t: cose(s, t, protected=cbor2.dumps({1: -35})), "feed-"),
    "the algorithm unprotected": (lambda s, t: cose(s, t, protected=cbor2.dumps({}), unprotected={1: -7}), "feed-malformed"),
    "a key of its own": (lambda s, t: cose(s, t, unprotected={4: b"mine"}, key=ec.generate_private_key(ec.SECP256R1())), "feed-"),
    "no signature": (lambda s, t: cose(s, t, signature=b""), "feed-"),
    "a signature of zeros": (lambda s, t: cose(s, t, signature=bytes(64)), "feed-signature"),
    "a signature in DER": (der_signature, "feed-"),
    "a Mac0": (lambda s, t: cose(s, t, tag=17), "feed-malformed"),
    "bytes changed after signing": (changed_after_signing, "feed-"),
    "another log at this number": (other_head, "feed-gap"),
    "a kind that there is not": (lambda s, t: seal(s.feed.key, payload(s, t, p6=9))[0], "feed-malformed"),
    "a label too many": (lambda s, t: seal(s.feed.key, payload(s, t, p9=1))[0], "feed-malformed"),
    "a label too few": (lambda s, t: seal(s.feed.key, payload(s, t, p8=None))[0], "feed-malformed"),
    "a state that there is not": (lambda s, t: seal(s.feed.key, payload(s, t, p7=[[*record(t)[:2], 7, *record(t)[3:]]]))[0], "feed-malformed"),
    "more records than a frame has": (lambda s, t: seal(s.feed.key, payload(s, t, p7=[[4, bytes(32)]] * 501))[0], "feed-malformed"),
    "half a record": (lambda s, t: seal(s.feed.key, payload(s, t, p7=[record(t), record(t)[:4]]))[0], "feed-malformed"),
    "a frame of four gigabytes": (lambda s, t: b"\x5a\xff\xff\xff\xff", "feed-malformed"),
    "a length of eight bytes": (lambda s, t: b"\x5b" + bytes(8), "feed-malformed"),
    "an endless byte string": (lambda s, t: b"\x5f" * 1000, "feed-malformed"),
    "HTML": (lambda s, t: b"<html>not the gateway</html>", "feed-malformed"),
    "a number of the far future": (lambda s, t: seal(s.feed.key, payload(s, t, p2=2**62, p3=2**62))[0], "feed-gap"),
}


@pytest.mark.parametrize("lie", LIES)
def test_a_lie_changes_nothing_and_the_truth_is_taken_afterwards(bench, lie):
    make, reason = LIES[lie]
    thing, revoked, stranger = bench.device("thing"), bench.device("revoked", state=REVOKED), bench.device("stranger", registered=False)
    live = bench.admitted(thing)
    with bench.feed.lock:
        stream = bench.feed.stream()
        stream.out.put(make(stream, stranger))
    bench.broker.logged(f"the feed is lost: {reason}")
    bench.refused(stranger, "certificate-unregistered")
    bench.refused(revoked, "certificate-revoked")
    assert live.ping()
    bench.admitted(bench.device("next"))


def test_a_snapshot_of_a_lower_epoch_is_refused_as_often_as_it_comes(bench):
    """A gateway restored from an old copy, or somebody's recording of one: who was revoked since stays out."""
    thing, gone = bench.device("thing"), bench.device("gone")
    bench.feed.epoch = 7
    bench.feed.drop_streams()
    bench.feed.wait_receipt(len(bench.feed.log))
    bench.register(gone, state=REVOKED)

    def old(stream, _asked):
        stream.send(SNAPSHOT_LAST, 0, 1, [[2, "default", bench.feed.policies["default"]], record(gone), record(thing)], p1=6, head=bytes(32))

    with bench.feed.lock:
        bench.feed.on_stream, bench.feed.beating = old, False
        bench.feed.drop_streams()
    stacks.wait_until(lambda: bench.broker.text().count("the feed is lost: feed-epoch") >= 3, "it is refused again and again", 40)
    bench.refused(gone, "certificate-revoked")
    assert bench.admitted(thing).ping()


# -- floods ------------------------------------------------------------------------------------------------------------

def responsive(bench, live, identity):
    """The broker's own thread has time for its clients."""
    assert live.ping()
    live = bench.admitted(identity)
    assert live.publish(f"dt/{identity.name}/x") == 0
    return live


def test_a_flood_of_heartbeats_holds_up_nobody(bench):
    thing = bench.device("thing")
    live = bench.admitted(thing)
    with bench.feed.lock:
        stream = bench.feed.stream()
        for _ in range(5000):
            stream.heartbeat()
    for _ in range(20):
        live = responsive(bench, live, thing)
    bench.register(thing, state=REVOKED)
    live.wait_end()


def test_a_flood_of_records_holds_up_nobody(bench):
    """Twenty thousand certificates come and change while clients do."""
    thing, gone = bench.device("thing"), bench.device("gone")
    live, doomed = bench.admitted(thing), bench.admitted(gone)
    for turn in range(2):
        for part in range(20):
            bench.feed.change(*[[1, hashlib.sha256(f"{part}.{n}".encode()).digest(), turn, 1, 4000000000, f"n-{part}-{n}", "default", 0]
                                for n in range(500)])
        live = responsive(bench, live, thing)
    seq, _ = bench.feed.certificate(gone, state=REVOKED)
    doomed.wait_end(30)
    bench.feed.wait_receipt(seq, 30)
    responsive(bench, live, thing)


def test_a_snapshot_that_never_ends_replaces_nothing(bench):
    thing, stranger = bench.device("thing"), bench.device("stranger", registered=False)
    live = bench.admitted(thing)

    def endless(stream, _asked):
        stream.send(SNAPSHOT, 0, len(bench.feed.log), [record(stranger)])
        for part in range(40):
            stream.send(SNAPSHOT, 0, len(bench.feed.log), [
                [1, hashlib.sha256(f"{part}.{n}".encode()).digest(), ACTIVE, 1, 4000000000, f"n-{n}", "default", 0] for n in range(500)])

    with bench.feed.lock:
        bench.feed.epoch += 1
        bench.feed.on_stream, bench.feed.beating = endless, False
        bench.feed.drop_streams()
    stacks.wait_until(lambda: bench.feed.stream() and bench.feed.stream().out.empty(), "the parts are sent")
    bench.refused(stranger, "certificate-unregistered")
    live = responsive(bench, live, thing)
    with bench.feed.lock:
        bench.feed.on_stream, bench.feed.beating = None, True
        bench.feed.drop_streams()
    bench.admitted(bench.device("next"))


@pytest.mark.timeout(180)
@pytest.mark.parametrize("drip", ["of a frame", "of the same time"])
def test_a_stream_that_dribbles_is_left_for_one_that_does_not(bench, drip):
    """A byte now and then, or signed frames that tell no later time, keep a connection up and a broker in the dark."""
    thing = bench.device("thing")
    live = bench.admitted(thing)

    def dribble(stream, _asked):
        stream.changes()
        stream.then = bench.feed.now_ms()
        if drip == "of a frame":
            stream.out.put(b"\x59\xff\xff")

    with bench.feed.lock:
        bench.feed.on_stream, bench.feed.beating = dribble, False
        bench.feed.drop_streams()
    stream = stacks.wait_until(bench.feed.stream, "the stream is there")

    def left():
        with bench.feed.lock:
            if bench.feed.stream() is stream and drip == "of a frame":
                stream.out.put(b"x")
            elif bench.feed.stream() is stream:
                stream.send(HEARTBEAT, stream.seq + 1, stream.seq, p4=stream.then)
        return "no frame that is new" in bench.broker.text()

    stacks.wait_until(left, "the stream is left", 3 * FRAME_SILENCE_S)
    assert live.ping()
    bench.feed.on_stream, bench.feed.beating = None, True
    bench.feed.drop_streams()
    bench.register(thing, state=REVOKED)
    live.wait_end()


# -- who the gateway is ------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("change, complaint", [
    (("plugin_opt_gateway https://127.0.0.1", "plugin_opt_gateway https://localhost"), None),
    (("plugin_opt_gateway https://127.0.0.1", "plugin_opt_gateway https://127.0.0.2"), "feed-lost"),
    (("plugin_opt_ca_file {pki}/root.pem", "plugin_opt_ca_file {pki}/other.pem"), "feed-lost"),
    (("plugin_opt_feed_key {pki}/feed.pub.pem", "plugin_opt_feed_key {pki}/other.pub.pem"), "feed-signature"),
])
def test_only_the_pinned_gateway_is_believed(unstarted, change, complaint):
    """Another name, another CA, another signing key; each has everything else right."""
    pki, broker = unstarted.pki, unstarted.broker
    pki.issue("other")  # other.pem has signed nothing
    (pki.folder / "other.pub.pem").write_bytes(ec.generate_private_key(ec.SECP256R1()).public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo))
    old, new = (part.format(pki=pki.folder) for part in change)
    assert old in broker.conf.read_text()
    broker.conf.write_text(broker.conf.read_text().replace(old, new))
    thing = unstarted.device("thing")
    broker.start().ready()
    if complaint is None:
        stacks.wait_until(lambda: unstarted.connect(thing).code == 0, "it is admitted")
        return
    broker.logged(f"the feed is lost: {complaint}")
    unstarted.refused(thing, "table-missing")


# -- the journal -------------------------------------------------------------------------------------------------------

def entries(journal):
    """Where each entry of a journal ends; the first is where its magic does."""
    at, found = 16, [16]
    while at < len(journal):
        at += 8 + int.from_bytes(journal[at:at + 4], "big") + 32
        found.append(at)
    return found


@pytest.mark.timeout(300)
def test_a_journal_cut_or_damaged_anywhere_lets_nobody_in(bench):
    """At each end of an entry, and at places within each. Cut at an end of one it is the journal of an earlier moment, and is true to that."""
    good, first, last = bench.device("good"), bench.device("first"), bench.device("last")
    stranger = bench.device("stranger", registered=False)
    for identity in (first, last):
        bench.register(identity, state=REVOKED)
    bench.feed.stop()
    bench.broker.stop()
    path = next((bench.broker.folder / "state").glob("journal-*"))
    whole = path.read_bytes()
    ends = entries(whole)
    assert ends[-1] == len(whole) and len(ends) >= 5
    before_first, before_last = ends[-3], ends[-2]
    inside = [at for end in ends[:-1] for at in (end + 1, end + 8, end + 40)]

    def check(text, data):
        """Starts with this journal: "whole", "cut" (nobody before the gateway is heard) or "none", as the log says."""
        path.write_bytes(data)
        bench.broker.start().ready()
        assert bench.connect(stranger).code == 5, text
        admitted = {identity for identity in (good, first, last) if bench.connect(identity).code == 0}
        log = bench.broker.text().rpartition(" starting\n")[2]
        what = "none" if "THE SAVED TABLE IS UNUSABLE" in log else "cut" if "was cut off the saved table" in log else "whole"
        if what != "whole":
            assert not admitted, text
        assert not (first in admitted and len(data) > before_first) and not (last in admitted and len(data) > before_last), text
        assert bench.broker.running()
        bench.broker.kill()
        return what, good in admitted

    assert check("whole", whole) == ("whole", True)
    for end in ends[-3:]:
        assert check(f"cut at {end}", whole[:end])[0] == "whole"
    for at in inside:
        assert check(f"cut at {at}", whole[:at]) == ("cut", False)
        flipped = bytearray(whole)
        flipped[at] ^= 0x10
        assert check(f"flipped at {at}", bytes(flipped))[0] in ("none", "cut")
    path.write_bytes(bytes(whole[:ends[-2] + 9]))
    bench.broker.start().ready()
    bench.feed.start()
    stacks.wait_until(lambda: bench.connect(good).code == 0, "the gateway is heard")
    for identity in (first, last):
        bench.refused(identity, "certificate-revoked")
