"""Sessions that nobody is connected to: revoked, reloaded, restored, taken over, expired; the broker keeps its memory in order.

Mosquitto frees what it goes on to use where a plugin has an offline session ended: docs/mosquitto.md. Under
AddressSanitizer (`make asan-broker`) that would be seen at once; the stock binary may live on for a while.
"""

import random
import time

import pytest

import stack as stacks
from feed_peer import ACTIVE, INACTIVE, REVOKED
from plugin_bench import put_default
from preload import Clock
from test_broker_moments import EVERYTHING, reload, revoke

# MQTT 3.1.1 has its expiry from persistent_client_expiration, MQTT 5 its own.
KINDS = pytest.mark.parametrize("version, expiry", [(4, None), (5, 3600), (5, 0xffffffff)])
WEEK_S = 7 * 86400


def offline(bench, identity, version=4, expiry=None, **arguments):
    """A persistent session with a subscription that nobody is connected to."""
    session = bench.admitted(identity, version=version, clean=False, expiry=expiry, **arguments)
    assert session.subscribe("cmd/#", 1) == 1
    session.leave()
    return session


def clean_again(bench, identity, version=4):
    """Whoever comes with a clean start has the old session thrown away."""
    bench.register(identity, state=ACTIVE)
    assert not bench.admitted(identity, version=version).session_present


@KINDS
def test_sighup_with_offline_and_restored_sessions_hurts_nobody(bench, version, expiry):
    put_default(bench, *EVERYTHING)
    kept, gone, later = (bench.device(name) for name in ("kept", "gone", "later"))
    for identity in (kept, gone, later):
        offline(bench, identity, version, expiry)
    revoke(bench, gone)
    reload(bench)
    bench.refused(gone, "certificate-revoked", version, clean=False, expiry=expiry)
    bench.broker.stop()
    bench.broker.start().ready()
    reload(bench)
    revoke(bench, later)
    for _ in range(2):
        reload(bench)
    bench.refused(later, "certificate-revoked", version, clean=False, expiry=expiry)
    assert bench.admitted(kept, version=version, clean=False, expiry=expiry).session_present
    for identity in (gone, later):
        clean_again(bench, identity, version)
    reload(bench)


@KINDS
@pytest.mark.parametrize("how", ["revoked", "suspended", "removed", "left-out"])
def test_an_offline_session_outlives_its_certificate_in_peace(bench, version, expiry, how):
    """It stays with the broker until it expires or is thrown away; nobody gets at it, and no message gets into it."""
    put_default(bench, *EVERYTHING)
    sender, thing = bench.admitted(bench.device("sender")), bench.device("thing")
    offline(bench, thing, version, expiry)
    if how == "removed":
        bench.feed.wait_receipt(bench.feed.remove(thing)[0])
    elif how == "left-out":
        with bench.feed.lock:
            del bench.feed.certificates[thing.fingerprint]
            bench.feed.epoch += 1
            bench.feed.drop_streams()
        bench.feed.wait_receipt(len(bench.feed.log))
    else:
        bench.register(thing, state=REVOKED if how == "revoked" else INACTIVE)
    assert sender.publish("cmd/x", "for nobody") == 0
    for clean in (False, True):
        assert bench.connect(thing, version=version, clean=clean, expiry=expiry).code in (5, 0x87)
    reload(bench)
    bench.broker.stop()
    bench.broker.start().ready()
    bench.register(thing, state=ACTIVE)
    back = bench.admitted(thing, version=version, clean=False, expiry=expiry)
    assert back.session_present and back.arrived() == []
    back.leave()
    clean_again(bench, thing, version)


@KINDS
def test_a_session_that_was_cut_is_offline_like_any_other(bench, version, expiry):
    """What is cut with an expiry of its own waits in the broker's list of expiries."""
    thing, other = bench.device("thing"), bench.device("other", registered=False)
    for turn in range(3):
        live = bench.admitted(thing, version=version, clean=False, expiry=expiry, will=("dt/thing/will", "gone"))
        revoke(bench, thing)
        live.wait_end()
        reload(bench)
        if turn == 1:
            bench.register(other, name="thing")
            bench.admitted(other, client_id="thing", version=version, clean=False, expiry=expiry).leave()
        clean_again(bench, thing, version)


@KINDS
def test_sessions_are_taken_over_by_the_same_and_by_another_certificate(bench, version, expiry):
    old, new = (bench.device(name, registered=False) for name in ("old", "new"))
    for identity in (old, new):
        bench.register(identity, name="thing")
    for clean in (False, True):
        held = bench.admitted(old, client_id="thing", version=version, clean=False, expiry=expiry)
        same = bench.admitted(old, client_id="thing", version=version, clean=clean, expiry=expiry)
        held.wait_end()
        other = bench.admitted(new, client_id="thing", version=version, clean=clean, expiry=expiry)
        same.wait_end()
        assert other.session_present == (not clean)
        revoke(bench, old, name="thing")
        bench.refused(old, "certificate-revoked", version, client_id="thing", clean=clean, expiry=expiry)
        assert other.ping()
        other.leave()
        bench.register(old, name="thing", state=ACTIVE)
        revoke(bench, new, name="thing")
        bench.admitted(old, client_id="thing", version=version, clean=clean, expiry=expiry).leave()
        bench.register(new, name="thing", state=ACTIVE)


def test_a_revoked_session_expires_as_the_broker_has_it(bench):
    put_default(bench, *EVERYTHING)
    things = [bench.device(f"thing-{n}") for n in range(4)]
    for thing in things:
        offline(bench, thing, 5, 1)
    revoke(bench, things[0])
    bench.feed.wait_receipt(bench.feed.remove(things[1])[0])
    live = bench.admitted(things[2], version=5, clean=False, expiry=1)
    revoke(bench, things[2])
    live.wait_end()
    reload(bench)
    for thing in things:
        bench.broker.logged(f"Expiring client {thing.name} due to timeout")
    for thing in things:
        bench.register(thing, state=ACTIVE)
        assert not bench.admitted(thing, version=5, clean=False, expiry=1).session_present


def test_sessions_of_mqtt_3_expire_after_the_brokers_own_time(unstarted):
    clock = Clock(unstarted.folder)
    unstarted.broker = unstarted.new_broker(environment=clock.environment)
    put_default(unstarted.start(), *EVERYTHING)
    things = [unstarted.device(f"thing-{n}", lifetime_s=2 * WEEK_S) for n in range(3)]
    for thing in things:
        offline(unstarted, thing)
    revoke(unstarted, things[0])
    live = unstarted.admitted(things[1], clean=False)
    revoke(unstarted, things[1])
    live.wait_end()
    unstarted.feed.now_ms = lambda: int((time.time() + WEEK_S + 60) * 1000)
    clock.set(WEEK_S + 60)
    for thing in things:
        unstarted.broker.logged(f"Expiring client {thing.name} due to timeout")
    reload(unstarted)
    other = unstarted.device("other", lifetime_s=2 * WEEK_S)
    stacks.wait_until(lambda: unstarted.connect(other).code == 0, "the gateway has confirmed the clock")
    for thing in things:
        unstarted.register(thing, state=ACTIVE)
        assert not unstarted.admitted(thing, clean=False).session_present


@pytest.mark.parametrize("meanwhile", ["revoked", "reload", "back", "taken-over", "clean"])
def test_a_delayed_will_and_what_happens_meanwhile(bench, meanwhile):
    put_default(bench, *EVERYTHING)
    reader, thing = bench.admitted(bench.device("watching")), bench.device("thing")
    assert reader.subscribe("dt/#") == 0
    for expiry in (1, 3600):
        bench.admitted(thing, version=5, clean=False, expiry=expiry, will=("dt/thing/will", "late"), will_delay=1).close()
        bench.broker.logged("Client thing ")
        if meanwhile == "revoked":
            revoke(bench, thing)
        elif meanwhile == "reload":
            reload(bench)
        elif meanwhile == "back":
            bench.admitted(thing, version=5, clean=False, expiry=expiry).leave()
        elif meanwhile == "taken-over":
            second = bench.device(f"second-{expiry}", registered=False)
            bench.register(second, name="thing")
            bench.admitted(second, client_id="thing", version=5, clean=False, expiry=expiry).leave()
        else:
            bench.admitted(thing, version=5, clean=True).leave()
        if meanwhile == "reload":
            assert reader.message() == ("dt/thing/will", "late")
        fence = bench.device(f"fence-{expiry}")
        bench.admitted(fence, version=5, expiry=60, will=(f"dt/{fence.name}/will", "fence"), will_delay=2).close()
        while (message := reader.message()) != (f"dt/{fence.name}/will", "fence"):
            assert meanwhile == "clean" and message == ("dt/thing/will", "late")  # its session ends at once, and so does the delay
        bench.register(thing, state=ACTIVE)


class Storm:
    """Whatever clients and operators do, in an order that the seed decides."""

    def __init__(self, bench, seed):
        self.bench, self.random, self.live = bench, random.Random(seed), {}
        self.things = [bench.device(f"thing-{n}") for n in range(4)]
        self.active = dict.fromkeys(self.things, True)

    def step(self):
        moves = [self.connect] * 6 + [self.leave, self.drop] * 2 + [self.revoke, self.activate, self.activate, self.publish, self.reload]
        self.random.choice(moves)(self.random.choice(self.things))
        assert self.bench.broker.running(), self.bench.broker.tail(200)

    def connect(self, thing):
        version = self.random.choice((4, 5))
        expiry = self.random.choice((None, 0, 1, 3600, 0xffffffff)) if version == 5 else None
        will = self.random.choice((None, (f"dt/{thing.name}/w", "gone", self.random.choice((0, 1, 2)), self.random.choice((0, 1)))))
        made = self.bench.connect(thing, version=version, clean=self.random.random() < 0.4, expiry=expiry, will=will,
                                  will_delay=self.random.choice((None, 1)) if version == 5 and will else None)
        assert (made.code == 0) == self.active[thing], self.bench.broker.tail(200)
        if made.code == 0:
            self.live[thing] = made
            made.subscribe(f"cmd/{thing.name}/#", 1)

    def leave(self, thing):
        if thing in self.live:
            self.live.pop(thing).leave()

    def drop(self, thing):
        if thing in self.live:
            self.live.pop(thing).close()

    def revoke(self, thing):
        self.bench.register(thing, state=REVOKED)
        self.active[thing] = False
        if thing in self.live:
            self.live.pop(thing).wait_end()

    def activate(self, thing):
        self.bench.register(thing, state=ACTIVE)
        self.active[thing] = True

    def publish(self, thing):
        if thing in self.live:
            assert self.live[thing].publish(f"dt/{thing.name}/x", "x" * self.random.choice((1, 2000)), self.random.choice((0, 1, 2))) in (0, 0x10)

    def reload(self, _thing):
        reload(self.bench)

    def restart(self):
        self.bench.broker.stop()
        self.live.clear()
        self.bench.broker.start().ready()


@pytest.mark.parametrize("seed", range(4))
def test_a_storm_of_clients_and_operators(bench, seed):
    put_default(bench, *EVERYTHING)
    storm = Storm(bench, seed)
    for _ in range(3):
        for _ in range(40):
            storm.step()
        storm.restart()
