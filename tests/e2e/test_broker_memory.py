"""No memory for the plugin: its n-th allocation fails, for every n of a whole life, and nobody comes in who must not.

What is run over and over is a start with a journal, connections, messages, a policy that changes, a revocation, a SIGHUP, a
list of the sessions. CI takes a sample of the numbers;
MOORING_TEST_WHOLE=1 takes them all.
"""

import os
import shutil
import signal

import pytest

import stack as stacks
from feed_peer import ACTIVE, REPORT_CONNECT, REVOKED
from plugin_bench import allow
from preload import Heap

WHOLE = os.environ.get("MOORING_TEST_WHOLE") == "1"
SAMPLES = 15
OWN = [allow("Connect", "client/*", IpAddress={"aws:SourceIp": "127.0.0.0/8"}),
       allow("Publish", "topic/dt/${iot:Certificate.Subject.CommonName}/x"), allow("Subscribe", "topicfilter/cmd/${iot:ClientId}"),
       allow("Receive", "topic/*")]


def numbers(count):
    """Which of them fail: all, or a sample that begins with the first few."""
    return range(1, count + 1) if WHOLE else sorted({*range(1, count + 1, max(1, count // SAMPLES)), *range(1, 6)})


def policy(*more):
    return {"Version": "2012-10-17", "Statement": [*OWN, *more]}


class Scenario:
    """What the broker's side goes through once, from a state that the end of it restores."""

    def __init__(self, bench):
        self.bench = bench
        bench.feed.policy("default", policy())
        self.good, self.bad, self.victim = bench.device("good"), bench.device("bad", state=REVOKED), bench.device("victim")
        self.stranger, self.turn = bench.device("stranger", registered=False), 0

    def admitted(self, identity):
        """At last: with no memory it may be refused, and then it is refused in time for a second try."""
        def try_it():
            made = self.bench.connect(identity)
            if made.code == 0:
                return made
            made.close()
            return None
        return stacks.wait_until(try_it, f"{identity.name} is admitted")

    def shut_out(self, identity):
        assert self.bench.connect(identity).code in (5, None), self.bench.broker.tail(100)

    def run(self):
        bench, good, victim = self.bench, self.good, self.victim
        self.shut_out(self.bad)
        live, doomed = self.admitted(good), self.admitted(victim)
        self.shut_out(self.stranger)
        reading = self.admitted(good) if live.sock.fileno() < 0 else live
        stacks.wait_until(lambda: reading.subscribe("cmd/good") == 0, "it may subscribe")
        assert reading.subscribe("cmd/victim") == 0x80
        reading.publish("dt/good/x")
        reading.publish("dt/victim/x")
        self.turn += 1
        bench.feed.policy("default", policy(allow("Subscribe", f"topicfilter/turn/{self.turn}")))
        bench.feed.certificate(victim, state=REVOKED)
        doomed.wait_end(30)
        self.shut_out(victim)
        stacks.wait_until(lambda: reading.subscribe(f"turn/{self.turn}") == 0, "the policy is in force", 40)
        assert reading.subscribe(f"turn/{self.turn - 1}") == 0x80
        os.kill(bench.broker.pid, signal.SIGHUP)
        reading.leave()
        late = bench.pki.issue("late") if self.turn == 1 else self.late
        self.late = late
        bench.feed.certificate(late, flags=REPORT_CONNECT)
        stacks.wait_until(lambda: bench.connect(late).code == 0, "a new certificate is admitted", 40)
        bench.feed.remove(late)
        seq, _ = bench.feed.certificate(victim, state=ACTIVE)
        self.settle(seq)
        for client in bench.clients:
            client.close()
        bench.clients.clear()

    def settle(self, seq):
        """All that was told is effective, and receipted."""
        self.bench.feed.wait_receipt(seq, 60)
        assert self.bench.broker.running(), self.bench.broker.tail(100)


def started(unstarted, heap):
    unstarted.broker = unstarted.new_broker(environment=heap.environment)
    return unstarted


@pytest.mark.parametrize("of", ["the plugin", "its threads"])
def test_a_running_broker_survives_each_allocation_that_fails(unstarted, record_property, of):
    """The plugin's own ones; and in its threads those of libcurl, OpenSSL and jansson as well."""
    heap = Heap(unstarted.folder, threads=of == "its threads")
    scenario = Scenario(started(unstarted, heap).start())
    scenario.run()
    before = heap.counted
    scenario.run()
    total, failed = heap.counted - before, 0
    assert total > 50, "the plugin's allocations are not seen: the test shows nothing"
    for number in numbers(total):
        heap.fail(number)
        scenario.run()
        failed += heap.failed
        heap.spare()
    scenario.run()
    line = f"{total} allocations of {of} in a turn; {failed} failed"
    print(line)
    record_property("memory", line)
    assert failed > len(numbers(total)) // 2  # a turn is not always of the same length


def test_a_start_with_an_allocation_that_fails_is_refused_or_is_whole(unstarted, record_property):
    """With a journal that has a revocation in it, and no gateway at first."""
    heap = Heap(unstarted.folder)
    bench = started(unstarted, heap).start()
    scenario = Scenario(bench)
    bench.feed.wait_receipt(len(bench.feed.log))
    broker, state, saved = bench.broker, bench.broker.folder / "state", bench.folder / "saved"
    broker.stop()
    shutil.copytree(state, saved)
    outcomes = {"refused": 0, "whole": 0}
    number, total = 0, None
    while total is None or number <= total:
        began = heap.counted
        if number:
            heap.fail(number)
        broker.start()
        stacks.wait_until(lambda: not broker.running() or listens(broker), "it has started or not")
        if not broker.running():
            assert broker.process.returncode > 0, (number, broker.tail())
            assert "the plugin does not start" in broker.text().rpartition(" starting\n")[2], (number, broker.tail())
            outcomes["refused"] += 1
        else:
            scenario.shut_out(scenario.bad)
            scenario.shut_out(scenario.stranger)
            heap.spare()
            scenario.admitted(scenario.good).leave()
            outcomes["whole"] += 1
            if total is None:
                total = heap.counted - began
            broker.stop()
        heap.spare()
        shutil.rmtree(state)
        shutil.copytree(saved, state)
        number += 1 if WHOLE or number < 5 else max(1, (total or 1) // SAMPLES)
    broker.start().ready()
    scenario.admitted(scenario.good)
    line = f"{total} allocations in a start; of those that failed {outcomes}"
    print(line)
    record_property("memory", line)
    assert outcomes["refused"] > 3


def listens(broker):
    return broker.text().count(" running\n") > broker.before
