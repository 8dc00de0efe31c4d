"""The numbers, all from one run on one machine, as ratios wherever a ratio can be made.

    bench.py [enrol] [connects] [messages] [check] [certificates] [revoke] [memory] [import] [provenance]
        everything unless parts are named; `broker` names all from connects to revoke

CPU is read from /proc (schedstat of every thread of a daemon), so that a busy machine does not change it; wall-clock
figures are printed beside it and are noise on shared hardware. Repeats are interleaved; what is printed is the median.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "demo"))

import broker  # noqa: E402
import provenance  # noqa: E402
from stack import Stack  # noqa: E402

PARTIES = {"edge": "nginx (device edge)", "gateway": "gateway", "signer": "signer", "attestd": "attestd",
           "attestation-edge": "nginx (attestation)", "broker": "mosquitto"}


def children(pid):
    try:
        listed = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except OSError:
        listed = []
    return [pid] + [c for child in listed for c in children(int(child))]


def cpu_seconds(daemon):
    """schedstat counts nanoseconds on a processor, for each thread."""
    total = 0
    for pid in children(daemon.pid):
        for task in Path(f"/proc/{pid}/task").iterdir():
            total += int((task / "schedstat").read_text().split()[0])
    return total / 1e9


def rss_kib(daemon):
    return sum(int(line.split()[1]) for pid in children(daemon.pid)
               for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith("VmRSS"))


class Bench:
    def __init__(self, stack):
        self.stack = stack
        self.loadgen = stack.build / "bench/loadgen"
        self.brokers = None

    def tool(self, *argv):
        done = subprocess.run([str(a) for a in argv], capture_output=True, text=True, check=False)
        if not done.stdout:
            raise SystemExit(f"{argv[0]}: {done.stderr}")
        return json.loads(done.stdout)

    def prepare(self, count, name):
        keys, records = self.stack.folder / f"{name}.keys", self.stack.folder / f"{name}.ndjson"
        subprocess.run([self.loadgen, "prepare", "--count", str(count), "--keys", keys, "--records", records, "--batch", name],
                       check=True)
        self.stack.publish(records)
        return keys

    def enrolled(self, count, folder):
        """As many new devices, of a batch that has the folder's name: THING.pem with chain and key of each."""
        folder.mkdir()
        keys = self.prepare(count, folder.name)
        report = self.load("enrol", "--keys", keys, "--concurrency", 32, "--out", folder)
        if report["failures"]:
            raise SystemExit(f"{report['failures']} of {count} enrolments failed: {report['first_failure']}")

    def ceiling(self):
        report = self.tool(self.stack.build / "bench/ceiling", self.stack.folder)
        for scratch in self.stack.folder.glob("ceiling.*"):
            scratch.unlink()
        return report

    def site(self):
        if not self.brokers:
            self.brokers = broker.Site(self)
        return self.brokers

    def load(self, verb, *options):
        """One run of the generator, with the CPU that each party spent meanwhile."""
        before = {name: cpu_seconds(daemon) for name, daemon in self.stack.daemons.items()}
        report = self.tool(self.loadgen, verb, "--gateway", self.stack.origin, "--ca", self.stack.pki / "root.pem", *options)
        report["cpu_us"] = {name: (cpu_seconds(daemon) - before[name]) * 1e6 / report["requests"]
                            for name, daemon in self.stack.daemons.items()}
        return report


def enrol(bench, count=1000, runs=5, concurrency=64):
    print(f"\nEnrolment: {count} distinct devices a run, {concurrency} at a time, each over a TLS connection of its own; "
          f"medians of {runs} runs, interleaved with the ceiling")
    keys = bench.prepare(count * (runs + 1), "enrol")
    bench.load("enrol", "--keys", keys, "--concurrency", concurrency, "--from", 0, "--to", count)
    runs_made, ceilings = [], []
    for i in range(1, runs + 1):
        report = bench.load("enrol", "--keys", keys, "--concurrency", concurrency, "--from", count * i, "--to", count * (i + 1))
        if report["failures"]:
            raise SystemExit(f"{report['failures']} of {count} enrolments failed: {report['first_failure']}")
        runs_made.append(report)
        ceilings.append(bench.ceiling())
    median = lambda pick: statistics.median(pick(r) for r in runs_made)  # noqa: E731
    print(f"  enrolments/s {median(lambda r: r['requests'] / r['wall_s']):8.0f}   p50 {median(lambda r: r['p50_ms']):.1f} ms   "
          f"p99 {median(lambda r: r['p99_ms']):.1f} ms   failures 0   (wall clock, generator on the same cores)")
    print("  CPU an enrolment, us")
    total = 0
    for name, label in PARTIES.items():
        us = median(lambda r: r["cpu_us"][name])
        total += us
        print(f"    {label:<28}{us:9.0f}")
    print(f"    {'all parties':<28}{total:9.0f}")
    print(f"    {'(load generator)':<28}{median(lambda r: r['generator_cpu_s'] * 1e6 / r['requests']):9.0f}")
    print("  ceiling: what its cryptography and durable commits cost alone, us")
    for i, operation in enumerate(ceilings[0]["operations"]):
        us = statistics.median(c["operations"][i]["us"] for c in ceilings)
        print(f"    {operation['count']:3} x {us:7.1f} = {us * operation['count']:8.1f}  {operation['name']}")
    ceiling = statistics.median(c["total_us"] for c in ceilings)
    print(f"    {'sum':<28}{ceiling:9.0f}")
    print(f"  ratio: {total / ceiling:.2f} x the ceiling (target: at most 2.5)")


def memory(bench, requests=50000):
    print(f"\nMemory over {requests} requests (half challenges alone, half refused enrolments), KiB resident")
    bench.load("challenge", "--count", 2000, "--concurrency", 16)
    rows = [{name: rss_kib(d) for name, d in bench.stack.daemons.items()}]
    keys = bench.stack.folder / "unknown.keys"
    subprocess.run([bench.loadgen, "prepare", "--count", "1000", "--keys", keys, "--records", os.devnull], check=True)
    done = 2000
    while done < requests:
        bench.load("challenge", "--count", 9000, "--concurrency", 16)
        bench.load("enrol", "--keys", keys, "--concurrency", 16)
        done += 11000
        rows.append({name: rss_kib(d) for name, d in bench.stack.daemons.items()})
    for name, label in PARTIES.items():
        print(f"    {label:<28}" + "".join(f"{row[name]:9}" for row in rows))


def import_records(bench, count=1_000_000):
    print(f"\nImport of {count} device records")
    subprocess.run([bench.stack.program("mooring-factory"), "make", "--records-only", "--count", str(count), "--dir",
                    bench.stack.folder / "million", "--batch", "MILLION"], check=True, stdout=subprocess.DEVNULL)
    records = bench.stack.folder / "million/records.ndjson"
    argv = [bench.stack.program("mooring-factory"), "publish", records, "--endpoint", bench.stack.attestation, "--ca",
            bench.stack.pki / "attestation-ca.pem", "--key", bench.stack.pki / "vendor-admin.json"]
    started, peak = time.monotonic(), 0
    process = subprocess.Popen([str(a) for a in argv], stdout=subprocess.DEVNULL)
    while process.poll() is None:
        peak = max(peak, rss_kib(bench.stack.daemons["attestd"]))
        time.sleep(0.2)
    seconds = time.monotonic() - started
    if process.returncode:
        raise SystemExit("the import failed")
    print(f"  {seconds:.1f} s (target: under 60), attestd's peak {peak / 1024:.0f} MB resident (target: under 200)")


def revoke(bench):
    import sessions
    sessions.bench(bench)


def with_provenance(bench):
    provenance.measure(bench, PARTIES)


PARTS = {"enrol": enrol, "connects": broker.connects, "messages": broker.messages, "check": broker.check,
         "certificates": broker.certificates, "revoke": revoke, "memory": memory, "import": import_records,
         "provenance": with_provenance}
BROKER = ["connects", "messages", "check", "certificates", "revoke"]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="*", choices=[*PARTS, "broker", []], metavar="PART", help=", ".join([*PARTS, "broker"]))
    parts = parser.parse_args().parts or list(PARTS)
    parts = [p for part in parts for p in (BROKER if part == "broker" else [part])]
    os.environ.setdefault("NO_COLOR", "1")
    with tempfile.TemporaryDirectory(prefix="mooring-bench-") as folder:
        with Stack(folder) as stack:
            stack.prepare().start().ready()
            bench = Bench(stack)
            for part in parts:
                PARTS[part](bench)


if __name__ == "__main__":
    main()
