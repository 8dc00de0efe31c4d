"""Effective revocation at N live sessions, and a recall of all of them: from the durable row to the client's end of file."""

import json
import statistics
import subprocess
import threading
import time

import broker

LEVELS, REVOKED = (100, 1000, 10000), 300
P99_MS = {1000: 10, 10000: 25}  # targets, by level
RECALL_S, RECALL_TARGET_S = 60, 3
QUIET_S = 2  # the pulse is measured for so long before the recall


class Held:
    """Sessions of a folder of devices, and the wall time at which each has ended."""

    def __init__(self, run, folder):
        stack = run.stack
        self.things = sorted(path.stem for path in folder.iterdir())
        self.ended, self.news, self.ready = {}, threading.Condition(), None
        self.process = subprocess.Popen(
            [str(a) for a in (stack.build / "bench/mqttgen", "hold", "--port", stack.ports["mqtt"], "--ca", stack.pki / "root.pem",
                              "--identities", folder, "--concurrency", 32)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        threading.Thread(target=self.read, daemon=True).start()

    def read(self):
        for line in self.process.stdout:
            event = json.loads(line)
            with self.news:
                if "ready" in event:
                    self.ready = event["ready"]
                else:
                    self.ended[event["ended"]] = event["at_ms"]
                self.news.notify_all()
        with self.news:
            self.ready = self.ready or 0
            self.news.notify_all()

    def wait(self, condition, seconds, what):
        with self.news:
            if not self.news.wait_for(condition, seconds):
                raise SystemExit(f"not within {seconds} s: {what}; {len(self.ended)} sessions have ended")

    def wait_ready(self):
        self.wait(lambda: self.ready is not None, 300, "all sessions are there")
        if self.ready != len(self.things):
            raise SystemExit("not all devices were admitted")
        return self

    def wait_for(self, thing):
        self.wait(lambda: thing in self.ended, 10, f"{thing} was revoked and is cut")
        return self.ended[thing]

    def close(self):
        self.process.stdin.close()
        self.process.wait()


class Pulse:
    """Other clients, who publish steadily and must not notice."""

    def __init__(self, run, folder, bundle):
        stack = run.stack
        self.process = subprocess.Popen(
            [str(a) for a in (stack.build / "bench/mqttgen", "pulse", "--port", stack.ports["mqtt"], "--ca", stack.pki / "root.pem",
                              "--identities", folder, "--subscriber", bundle, "--publishers", 50, "--pause", 100)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1)
        self.process.stdout.readline()

    def since_last(self):
        self.process.stdin.write("\n")
        return json.loads(self.process.stdout.readline())

    def close(self):
        self.process.stdin.close()
        self.process.wait()


def print_times(label, values, p99_ms=None):
    values.sort()
    p99 = values[len(values) * 99 // 100]
    target = f"   p99 <= {p99_ms} {broker.verdict((p99, p99_ms))}" if p99_ms else ""
    print(f"    {label:<36}p50 {statistics.median(values):7.2f}   p99 {p99:7.2f}   max {values[-1]:7.2f}{target}")


def revoke_some(stack, held, things):
    """(ms until each is cut, ms until the gateway has the receipt)"""
    cut, receipts = [], []
    for thing in things:
        answer = stack.ctl_json("revoke", thing, "--reason", "key-compromise")
        if not answer["effective"]:
            raise SystemExit(f"not effective: {answer}")
        cut.append(held.wait_for(thing) - answer["recorded_at_ms"])
        receipts += [b["effective_ms"] for b in answer["brokers"] if b["state"] == "effective"]
    return cut, receipts


def recall(run, groups, pulse):
    """`mooringctl recall` of all that still live: five hundred devices are one transaction of the gateway's."""
    stack = run.stack
    things = [t for held in groups for t in held.things if t not in held.ended]
    names = stack.folder / "recall.txt"
    names.write_text("".join(f"{t}\n" for t in things))
    pulse.since_last()
    time.sleep(QUIET_S)
    quiet = pulse.since_last()
    began = time.time() * 1000
    stack.ctl("recall", "--things", names, "--reason", "key-compromise", "--yes")
    effective = time.time() * 1000
    for held in groups:
        held.wait(lambda h=held: len(h.ended) == len(h.things), RECALL_S, "all that were recalled are cut")
    noticed = pulse.since_last()
    ends = sorted(held.ended[t] for held in groups for t in held.things if held.ended[t] >= began)
    seconds = (ends[-1] - began) / 1000
    print(f"\nRecall of {len(things)} live sessions (mooringctl recall): the last is cut {seconds:.2f} s after it was called, the first "
          f"after {(ends[0] - began) / 1000:.2f} s; effective at the gateway after {(effective - began) / 1000:.2f} s "
          f"(target: at most {RECALL_TARGET_S} s {broker.verdict((seconds, RECALL_TARGET_S))}; {broker.load_average()})")
    for label, report in (("before", quiet), ("meanwhile", noticed)):
        print(f"    50 others publish, {label + ':':<11}{report['messages']:6} messages, longest silence "
              f"{report['worst_gap_ms']:6.1f} ms, slowest message {report['worst_delay_ms']:6.1f} ms")


def bench(run):
    stack = run.stack
    print(f"\nEffective revocation: ms from the durable row to the client's end of file, {REVOKED} revocations at each level "
          f"({broker.load_average()})")
    groups, live = [], 0
    for level in LEVELS:
        folder = stack.folder / f"sessions-{level}"
        run.enrolled(level + REVOKED - live, folder)
        held = Held(run, folder).wait_ready()
        groups.append(held)
        cut, receipts = revoke_some(stack, held, held.things[:REVOKED])
        live = sum(len(h.things) - len(h.ended) for h in groups)
        print_times(f"{live} sessions: session cut", cut, P99_MS.get(level))
        print_times("  receipt at the gateway", receipts)
    others = stack.folder / "others"
    run.enrolled(50, others)
    pulse = Pulse(run, others, broker.back_end(stack, stack.folder / "recall-backend"))
    recall(run, groups, pulse)
    pulse.close()
    for held in groups:
        held.close()
