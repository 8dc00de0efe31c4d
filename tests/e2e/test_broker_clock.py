"""The broker's wall clock is set, forwards and back, while it runs: nobody is cut, nobody new is let in, and no certificate lives longer.

Sessions here are without a keepalive: Mosquitto 2.0.21 counts that by the wall clock, and cuts by it whom the plugin keeps.
"""

import time

import pytest

import stack as stacks
from broker_bench import YEAR_S
from feed_peer import REVOKED
from preload import Clock

HOUR_S = 3600
JUMPS = pytest.mark.parametrize("jump", [HOUR_S, 10 * YEAR_S, -HOUR_S], ids=["an hour on", "ten years on", "an hour back"])


@pytest.fixture
def bench_clock(unstarted):
    clock = Clock(unstarted.folder)
    unstarted.broker = unstarted.new_broker(environment=clock.environment)
    return unstarted.start(), clock


def hush(bench):
    """The gateway says nothing for the time being: what it has said before is all that the broker has to go by."""
    bench.feed.beating = False
    at = time.monotonic()
    stacks.wait_until(lambda: time.monotonic() - at > 0.5, "what was on its way has arrived")


def speak(bench, ahead_s=0):
    bench.feed.now_ms = lambda: int((time.time() + ahead_s) * 1000)
    bench.feed.beating = True


def suspected(bench):
    bench.broker.logged("clock-suspect: nobody new is admitted")


def shut_out(bench, identity):
    """Refused by the plugin; or in TLS already, where the system's clock says that the certificate has ended."""
    try:
        made = bench.connect(identity)
    except OSError:
        return
    assert made.code in (5, None), bench.broker.tail()


def admitted_at_last(bench, identity):
    def code():
        try:
            return bench.connect(identity).code
        except OSError:
            return None
    stacks.wait_until(lambda: code() == 0, f"{identity.name} is admitted")


@JUMPS
def test_a_jump_cuts_nobody_and_admits_nobody_until_the_gateway_disagrees_with_it(bench_clock, jump):
    """The gateway's signed time says that the broker's clock is wrong: it is not gone by, and all is as before."""
    bench, clock = bench_clock
    thing, other = bench.device("thing"), bench.device("other")
    live = bench.admitted(thing, keepalive=0)
    hush(bench)
    clock.set(jump)
    suspected(bench)
    shut_out(bench, other)
    assert live.ping() and live.publish("dt/thing/x") == 0
    speak(bench)
    bench.broker.logged("the clock agrees with the gateway's")
    assert live.ping() and live.publish("dt/thing/x") == 0
    if abs(jump) == HOUR_S:
        admitted_at_last(bench, other)
    revoked = bench.device("revoked", state=REVOKED)
    shut_out(bench, revoked)
    bench.register(thing, state=REVOKED)
    live.wait_end()
    clock.set(0)
    shut_out(bench, thing)
    admitted_at_last(bench, other)


@JUMPS
def test_a_jump_that_the_gateway_confirms_counts(bench_clock, jump):
    """Then it was the old time that was wrong, and what has ended by the new one ends."""
    bench, clock = bench_clock
    short, longer = bench.device("short", lifetime_s=HOUR_S - 60), bench.device("longer", lifetime_s=11 * YEAR_S)
    live = {identity: bench.admitted(identity, keepalive=0) for identity in (short, longer)}
    hush(bench)
    clock.set(jump)
    suspected(bench)
    shut_out(bench, longer)
    assert all(session.ping() for session in live.values())
    if jump < 0:  # the gateway's own time has gone back: that is a replay, whatever the reason
        speak(bench, jump)
        bench.broker.logged("feed-replayed")
        shut_out(bench, longer)
        assert all(session.ping() for session in live.values())
        return
    speak(bench, jump)
    live[short].wait_end()
    bench.broker.logged(f"cut {short.fingerprint.hex()}: certificate-expired")
    assert live[longer].ping()
    shut_out(bench, short)
    admitted_at_last(bench, longer)


@pytest.mark.parametrize("jump", [HOUR_S, -HOUR_S], ids=["an hour on", "an hour back"])
def test_a_session_ends_with_its_certificate_whatever_the_clock_has_been_set_to(bench_clock, jump):
    """Neither sooner nor later: by the monotonic clock, from a time that the gateway has confirmed."""
    bench, clock = bench_clock
    short, other = bench.device("short", lifetime_s=6), bench.device("other")
    live = bench.admitted(short, keepalive=0)
    clock.set(jump)
    admitted_at_last(bench, other)
    live.wait_end()
    assert time.time() >= short.not_after
    bench.broker.logged(f"cut {short.fingerprint.hex()}: certificate-expired")


@pytest.mark.parametrize("step", [60, -60])
def test_a_small_step_is_followed(bench_clock, step):
    bench, clock = bench_clock
    live = bench.admitted(bench.device("thing"), keepalive=0)
    hush(bench)
    clock.set(step)
    bench.admitted(bench.device("another"))
    assert live.ping()
    assert "clock-suspect" not in bench.broker.text()


def test_a_broker_that_starts_with_a_clock_of_the_past_admits_nobody_until_the_gateway_is_heard(bench_clock):
    """A machine without a battery: its clock is behind the time that the saved table has certainly seen."""
    bench, clock = bench_clock
    thing = bench.device("thing")
    bench.feed.stop()
    bench.broker.stop()
    clock.set(-HOUR_S)
    bench.broker.start().ready()
    bench.refused(thing, "clock-suspect")
    clock.set(0)
    bench.feed.start()
    admitted_at_last(bench, thing)


def test_staleness_is_counted_by_the_monotonic_clock(unstarted):
    """A clock that is set back over and over does not make an old table fresh."""
    clock = Clock(unstarted.folder)
    unstarted.broker = unstarted.new_broker(staleness=10, environment=clock.environment)
    unstarted.start()
    thing = unstarted.device("thing")
    live = unstarted.admitted(thing)
    unstarted.feed.stop()
    shift = 0

    def stale():
        nonlocal shift
        shift -= 1
        clock.set(shift)
        return unstarted.connect(thing, client_id="thing").code == 5

    live.close()
    stacks.wait_until(stale, "nobody new is admitted", 20)
    unstarted.broker.logged("feed-stale")
