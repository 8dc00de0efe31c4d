"""After *effective* no CONNECT succeeds: tried over and over, by all ways in, on several connections at once.

MOORING_TEST_TRIES is how often, 2,000 unless set: half of them while devices are revoked, the other half after the broker
was killed and has nothing but its journal.
"""

import os
import ssl
import threading
import time

import pytest

from feed_peer import REVOKED
from broker_bench import Client, tls_context

TRIES = int(os.environ.get("MOORING_TEST_TRIES") or 2000)
WAYS = [(tls, resumed) for tls in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3) for resumed in (False, True)]
TRIES_A_DEVICE = 100


class Knocker:
    """One device by one way in: TLS 1.2 or 1.3, a full handshake or the TLS session of the connection before."""

    def __init__(self, bench, identity, tls, resumed):
        self.bench, self.identity, self.resumes = bench, identity, resumed
        self.context, self.session = tls_context(bench.pki, identity, tls), None
        self.seen, self.resumed, self.asked, self.trouble = [], 0, 0, None  # seen: (when CONNECT was sent, CONNACK's code)
        self.stop_after, self.begun = None, threading.Event()

    def knock(self):
        version, clean = (4, 5)[self.asked % 2], self.asked % 3 != 0
        made = Client(self.bench.broker, self.identity, context=self.context, session=self.session, version=version, connect=False)
        try:
            sent = time.monotonic()
            made.connect(clean=clean)
            self.seen.append((sent, made.code))
            self.asked += 1
            self.resumed += made.sock.session_reused
            if self.resumes:
                self.session = made.sock.session
        finally:
            made.close()

    def run(self):
        try:
            while self.stop_after is None or self.asked < self.stop_after:
                self.knock()
                if self.seen[-1][1] == 0:
                    self.begun.set()
        except Exception as error:  # a thread's own would be lost
            self.trouble = error
            self.begun.set()


def together(knockers):
    threads = [threading.Thread(target=knocker.run) for knocker in knockers]
    for thread in threads:
        thread.start()
    return threads


def ended(knockers, threads):
    for thread in threads:
        thread.join()
    assert [k.trouble for k in knockers if k.trouble] == []


def revoked_under_fire(bench, identity):
    """Four clients of one device connect without a pause while it is revoked; then each tries its part. (when, knockers)"""
    knockers = [Knocker(bench, identity, *way) for way in WAYS]
    threads = together(knockers)
    assert all(knocker.begun.wait(30) for knocker in knockers)
    seq, _ = bench.feed.certificate(identity, state=REVOKED)
    effective = bench.feed.wait_receipt(seq)
    for knocker in knockers:
        knocker.stop_after = knocker.asked + TRIES_A_DEVICE // len(WAYS) + 1  # one may be under way
    ended(knockers, threads)
    return effective, knockers


def check(bench, effective, knockers):
    """How many tries there were after that."""
    after = [code for knocker in knockers for sent, code in knocker.seen if sent > effective]
    assert 0 not in after, f"admitted after effective\n{bench.broker.tail(100)}"
    assert set(after) <= {5, 0x87}, set(after)
    return len(after)


@pytest.mark.timeout(1800)
def test_after_effective_no_connect_succeeds(bench, record_property):
    gone, tried, resumed = [], 0, 0
    while tried < TRIES // 2:
        identity = bench.device(f"thing-{len(gone)}")
        effective, knockers = revoked_under_fire(bench, identity)
        assert any(code == 0 for knocker in knockers for _, code in knocker.seen)
        tried += check(bench, effective, knockers)
        resumed += sum(knocker.resumed for knocker in knockers)
        gone.append(identity)
    assert resumed > tried // 4, "the broker did not resume: the test shows nothing"
    bench.feed.stop()
    bench.broker.kill()
    bench.broker.start().ready()
    killed = time.monotonic()
    knockers = [Knocker(bench, identity, *way) for identity in gone for way in WAYS]
    for knocker in knockers:
        knocker.stop_after = (TRIES - tried) // len(knockers) + 1
    while_at, again = len(WAYS), 0
    for at in range(0, len(knockers), while_at):
        some = knockers[at:at + while_at]
        ended(some, together(some))
        again += check(bench, killed, some)
        resumed += sum(knocker.resumed for knocker in some)
    line = f"{tried} tries after effective, {again} more after kill -9, {resumed} of all in resumed TLS sessions: none admitted"
    print(line)
    record_property("effective", line)
    assert tried + again >= TRIES
    stays = bench.device("never-registered", registered=False)
    bench.refused(stays, "certificate-unregistered")
