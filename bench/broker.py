"""What the plugin costs the broker: the same clients, the same policy, the same configuration but for who decides.

Every round starts all variants anew and puts a load to one after the other, in an order that moves on and in bursts as
short as can be, with the broker on one processor and the clients on another; a ratio is the median of the ratios of
neighbours, so that what changes on the machine meanwhile changes both sides of it. The broker's processor time and
instructions are counted from /proc and by the kernel, of the broker's threads alone.
"""

import contextlib
import json
import os
import re
import shutil
import socket
import statistics
import subprocess
from pathlib import Path

from stack import ROOT, Daemon, free_port, system_program, wait_until

DEVICES, CONNECTS, CONNECT_ROUNDS = 200, 400, 9
ROUNDS, BURSTS = 3, 25  # of messages
DYNSEC = "usr/lib/*/mosquitto_dynamic_security.so"  # Debian's package mosquitto brings it
SUBSCRIBER = "bench-backend"
LOADS = [(subscribers, qos, batch) for subscribers in (1, 50) for qos in (0, 1) for batch in (1, 8)]
BASE = "no plugin"
CPUS = sorted(os.sched_getaffinity(0))
BROKER_CPU, CLIENTS_CPUS = CPUS[:1], ",".join(map(str, CPUS[1:] or CPUS))


def access_list():
    """A device may publish below dt/NAME and read cmd/NAME; the back end reads all of dt."""
    return f"user {SUBSCRIBER}\ntopic read dt/#\n\npattern write dt/%u/#\npattern read cmd/%u/#\n"


def dynamic_security(things):
    """The same; its roles have no variables, so each device has one of its own."""
    def entry(kind, topic):
        return {"acltype": kind, "topic": topic, "allow": True}

    roles = [{"rolename": t, "acls": [entry("publishClientSend", f"dt/{t}/#"), entry("subscribePattern", f"cmd/{t}/#"),
                                      entry("publishClientReceive", f"cmd/{t}/#")]} for t in things]
    roles.append({"rolename": SUBSCRIBER, "acls": [entry("subscribePattern", "dt/#"), entry("publishClientReceive", "dt/#")]})
    clients = [{"username": role["rolename"], "roles": [{"rolename": role["rolename"]}]} for role in roles]
    closed = {"publishClientSend": False, "publishClientReceive": False, "subscribe": False, "unsubscribe": True}
    return json.dumps({"defaultACLAccess": closed, "clients": clients, "groups": [], "roles": roles})


class Variant:
    """Mosquitto with the shipped configuration but for who decides, and for the limits of queues: a generator that waits for
    its messages needs none, and Mosquitto 2.0.11 goes on counting messages that have left a queue."""

    UNLIMITED = ["max_inflight_messages 0", "max_queued_messages 0"]

    def __init__(self, stack, name, lines):
        self.stack, self.name, self.port = stack, name, free_port()
        self.folder = stack.folder / "variants" / name.replace(" ", "-")
        (self.folder / "data").mkdir(parents=True)
        self.conf = self.folder / "mosquitto.conf"
        other = ("plugin", "listener", "persistence_location", *(line.split()[0] for line in self.UNLIMITED))
        shipped = [line for line in self.shipped() if not line.startswith(other)]
        self.conf.write_text("\n".join([f"listener {self.port} 127.0.0.1", *shipped, *self.UNLIMITED,
                                        f"persistence_location {self.folder}/data/", *lines(self)]) + "\n")
        if ROOT:
            shutil.chown(self.folder, "mosquitto")
            shutil.chown(self.folder / "data", "mosquitto")
        self.daemon = Daemon(name, [system_program("mosquitto"), "-c", self.conf], self.folder / "log")

    def shipped(self):
        return (self.stack.folder / "config/mosquitto.conf").read_text().splitlines()

    def file(self, name, text):
        path = self.folder / name
        path.write_text(text)
        if ROOT:
            shutil.chown(path, "mosquitto")
        path.chmod(0o600)
        return path

    def start(self):
        self.daemon.start()
        wait_until(self.ready, f"{self.name} is ready")
        for thread in Path(f"/proc/{self.daemon.pid}/task").iterdir():
            os.sched_setaffinity(int(thread.name), BROKER_CPU)

    def stop(self):
        self.daemon.stop()

    def ready(self):
        self.daemon.check()
        with socket.socket() as s:
            return s.connect_ex(("127.0.0.1", self.port)) == 0


def is_live(stack):
    return any(b["state"] == "live" for b in stack.ctl_json("brokers")["brokers"])


class Mooring(Variant):
    """In the place of the stack's own broker."""

    def __init__(self, stack):
        super().__init__(stack, "Mooring", self.plugin)

    def plugin(self, _):
        own = [line for line in self.shipped() if line.startswith("plugin") and "config_file" not in line]
        return [*own, f"plugin_opt_config_file {self.conf}"]

    def ready(self):
        return super().ready() and is_live(self.stack)

    def stop(self):
        super().stop()
        wait_until(lambda: not is_live(self.stack), "the gateway has noticed that the broker is gone")


def variants(stack, things):
    dynsec = next(Path("/").glob(DYNSEC))
    by_name = "use_identity_as_username true"
    return [
        Variant(stack, BASE, lambda v: ["use_subject_as_username true"]),
        Variant(stack, "ACL file", lambda v: [by_name, f"acl_file {v.file('acl', access_list())}"]),
        Variant(stack, "dynamic security", lambda v: [
            by_name, f"plugin {dynsec}", f"plugin_opt_config_file {v.file('dynsec.json', dynamic_security(things))}"]),
        Mooring(stack),
    ]


class Site:
    """Who connects: devices enrolled for this, and a back end; and the variants that they connect to."""

    def __init__(self, run):
        self.run, self.stack = run, run.stack
        self.identities, self.backend = self.stack.folder / "broker-devices", self.stack.folder / "broker-backend"
        run.enrolled(DEVICES, self.identities)
        self.things = sorted(path.stem for path in self.identities.iterdir())
        self.subscriber = back_end(self.stack, self.backend)
        self.variants = variants(self.stack, self.things)

    def command(self, variant, verb, *options):
        return ["taskset", "-c", CLIENTS_CPUS, self.stack.build / "bench/mqttgen", verb, "--port", variant.port, "--pid",
                variant.daemon.pid, "--ca", self.stack.pki / "root.pem", "--identities", self.identities, *options]

    def load(self, variant, verb, *options):
        return self.run.tool(*self.command(variant, verb, *options))

    def turns(self, i):
        first = i % len(self.variants)
        return self.variants[first:] + self.variants[:first]

    @contextlib.contextmanager
    def started(self):
        """All variants anew, in place of the stack's own broker."""
        self.stack.daemons["broker"].stop()
        wait_until(lambda: not is_live(self.stack), "the gateway has noticed that the broker is gone")
        try:
            for variant in self.variants:
                variant.start()
                self.load(variant, "connect", "--count", DEVICES)  # what is done once is done
            yield
        finally:
            for variant in self.variants:
                variant.stop()
        self.stack.start("broker").ready()

    def connects(self, rounds, load):
        """{variant: [report of each round]}"""
        reports = {v.name: [] for v in self.variants}
        for i in range(rounds):
            with self.started():
                for variant in self.turns(i):
                    reports[variant.name].append(self.load(variant, *load))
        return reports

    def bursts(self, rounds, bursts, loads):
        """[{variant: [report of each burst]}], of each load; its clients are connected once a round."""
        reports = [{v.name: [] for v in self.variants} for _ in loads]
        for _ in range(rounds):
            with self.started():
                for load, of_load in zip(loads, reports):
                    self.burst(bursts, load, of_load)
        return reports

    def burst(self, bursts, load, reports):
        with contextlib.ExitStack() as ended:
            generators = {v.name: ended.enter_context(Generator(self.command(v, "publish", *load))) for v in self.variants}
            for i in range(bursts):
                for variant in self.turns(i):
                    reports[variant.name].append(generators[variant.name].next())


class Generator(contextlib.AbstractContextManager):
    """A load generator that stays connected and sends when told."""

    def __init__(self, argv):
        self.process = subprocess.Popen([str(a) for a in argv], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def next(self):
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        return json.loads(self.process.stdout.readline())

    def __exit__(self, *_):
        self.process.stdin.close()
        if self.process.wait(timeout=30):
            raise SystemExit("mqttgen publish failed")


def back_end(stack, folder):
    """One who reads all telemetry, under as many client ids as there are subscribers."""
    folder.mkdir()
    stack.issue(SUBSCRIBER, "--client", "--role", "backend", out=folder / SUBSCRIBER)

    def allow(action, resource):
        return {"Effect": "Allow", "Action": action, "Resource": f"arn:aws:iot:*:*:{resource}"}

    policy = folder / "policy.json"
    policy.write_text(json.dumps({"Version": "2012-10-17", "Statement": [
        allow("iot:Connect", "client/bench-*"), allow("iot:Subscribe", "topicfilter/dt/*"), allow("iot:Receive", "topic/dt/*")]}))
    stack.ctl("service", "add", folder / f"{SUBSCRIBER}.pem", "--name", SUBSCRIBER, "--policy", policy)
    bundle = folder / "bundle"
    bundle.write_text((folder / f"{SUBSCRIBER}.key").read_text() + (folder / f"{SUBSCRIBER}.pem").read_text())
    return bundle


def verdict(*held):
    """Of measured values and their limits."""
    return "held" if all(value <= limit for value, limit in held) else "MISSED"


def load_average():
    """Beside wall-clock figures: above the number of processors they tell of others' work."""
    return f"load average {Path('/proc/loadavg').read_text().split()[0]}"


def ratio(reports, variant, base, what):
    pairs = zip(reports[variant], reports[base])
    return statistics.median(what(a) / what(b) for a, b in pairs)


def cpu_us(report):
    return report["cpu_us"]


def instructions(report):
    return report["instructions"] + report["kernel"]


def print_row(site, reports, label, limit):
    counted = all("instructions" in report for report in reports[BASE])
    for what, unit in ((cpu_us, "CPU us"), *([(instructions, "instructions")] if counted else [])):
        ratios = {v.name: ratio(reports, v.name, BASE, what) for v in site.variants}
        cells = [f"{statistics.median(what(r) for r in reports[v.name]):12.1f}{ratios[v.name]:7.3f}" for v in site.variants]
        apart = ratios["Mooring"] - ratios["dynamic security"]
        target = f"<= {limit:.2f} {verdict((ratios['Mooring'], limit)):<6}, apart <= 0.03 {verdict((apart, 0.03))}" if label else ""
        print(f"    {label:<34}{unit:<13}{''.join(cells)}{apart:+9.3f}   {target}")
        label = ""


def heading(site, what):
    print(f"    {what:<34}{'':<13}" + "".join(f"{v.name:>19}" for v in site.variants) + f"{'apart':>9}   target")


def connects(run):
    site = run.site()
    print(f"\nBroker: new TLS 1.3 connections with client certificates, {CONNECTS} a run; medians of {CONNECT_ROUNDS} rounds, "
          f"variants interleaved, ratios to no plugin of the same round ({load_average()})")
    reports = site.connects(CONNECT_ROUNDS, ("connect", "--count", CONNECTS))
    heading(site, "a connection")
    print_row(site, reports, "CONNECT to DISCONNECT", 1.02)
    for v in site.variants:
        rate = statistics.median(r["connections"] / r["wall_s"] for r in reports[v.name])
        print(f"      {v.name:<20}{rate:8.0f} connections/s (wall clock)")


def messages(run):
    site = run.site()
    loads = []
    for subscribers, qos, batch in LOADS:
        count = {1: 2500, 50: 100}[subscribers] // (2 if qos else 1)
        loads.append(("--publishers", 50, "--subscribers", subscribers, "--qos", qos, "--batch", batch, "--count", count,
                      "--subscriber", site.subscriber))
    print(f"\nBroker: messages of 64 bytes of 50 publishers; medians of {ROUNDS} rounds of {BURSTS} bursts, variants interleaved, "
          f"ratios to no plugin's burst beside it ({load_average()})")
    heading(site, "a message published")
    for (subscribers, qos, batch), reports in zip(LOADS, site.bursts(ROUNDS, BURSTS, loads)):
        label = f"QoS {qos}, {batch} a write, {subscribers} subscriber{'s' * (subscribers > 1)}"
        print_row(site, reports, label, 1.05 if batch == 1 else 1.10)
    print("    (apart: Mooring's ratio less dynamic security's)")


def counted_by_valgrind(program, question, checks):
    """Instructions of one check; None where valgrind is not installed."""
    if not shutil.which("valgrind"):
        return None
    done = subprocess.run(["valgrind", "--tool=callgrind", "--toggle-collect=ask", "--callgrind-out-file=/dev/null", program,
                           str(question)], capture_output=True, text=True, check=False)
    collected = re.search(r"Collected : (\d+)", done.stderr)
    return int(collected[1]) / checks if collected else None


def check(run):
    program = run.stack.build / "bench/check"
    report = run.tool(program)
    print("\nA policy check, bound to its connection, ten statements; medians of 41 samples (target: at most 150 ns, no allocation)")
    for i, row in enumerate(report["rows"]):
        instructions, by = row.get("instructions"), "instructions"
        if instructions is None:
            instructions, by = counted_by_valgrind(program, i, report["checks"]), "instructions (valgrind)"
        counted = f"{instructions:6.0f} {by}" if instructions else "   (neither the machine nor valgrind counts instructions)"
        print(f"    {row['name']:<48}{row['ns']:6.0f} ns{counted}   {row['allocations']} allocations   "
              f"{verdict((row['ns'], 150), (row['allocations'], 0))}")


def certificates(run):
    print("\nThe table of certificates, in the broker's memory; a swap is a snapshot of the gateway's that takes its place "
          f"({load_average()})")
    print(f"    {'certificates':>12}{'bytes each':>12}{'name, beside':>14}{'swap, peak':>12}{'load, CPU s':>13}{'wall s':>9}   target")
    for count in (10_000, 100_000, 1_000_000):
        folder = run.stack.folder / f"table-{count}"
        folder.mkdir()
        row = run.tool(run.stack.build / "bench/certificates", count, folder)
        held = verdict((row["entry_bytes"], 64), (row["swap_peak"], 2.2), (row["load_s"], 2))
        print(f"    {count:12}{row['entry_bytes']:12.1f}{row['name_bytes']:14.1f}{row['swap_peak']:11.2f}x{row['load_cpu_s']:13.2f}"
              f"{row['load_s']:9.2f}   <= 64 bytes, <= 2.2x, <= 2 s {held}")
        shutil.rmtree(folder)
