"""What a provenance chain costs an enrolment: the same devices' class with five-stage chains and without, run in turns."""

import statistics
from types import SimpleNamespace

import broker

COUNT, PAIRS, CONCURRENCY, STAGES, TARGET_US = 250, 25, 32, 5, 600
# Of every stage and of the receipt, under keys that come again; of the countersignature and of the evidence, under the device's.
KNOWN_KEYS, NEW_KEYS = STAGES + 1, 2


def prepare(bench, runs):
    """Devices, their supply chain, and a gateway that knows its lines, orders and register: a chain is checked where one is
    shown, and may be left out."""
    stack, folder = bench.stack, bench.stack.folder / "provenance"
    folder.mkdir()
    keys = bench.prepare(COUNT * runs, "provenance")
    made = bench.tool(stack.build / "bench/chains", "--keys", keys, "--dir", folder, "--stages", STAGES)
    stack.daemons["gateway"].stop()
    stack.require_provenance(SimpleNamespace(public=folder / "programme.json"), {"new": {"stages": list(range(1, STAGES + 1))}},
                             mode="optional")
    stack.start("gateway").ready()
    stack.ctl("provenance", "add", *sorted(folder.glob("line-*")))
    stack.ctl("provenance", "push", folder / "register.ndjson")
    return keys, folder / "chains", made["bytes"]


def enrol(bench, keys, run, *options):
    report = bench.load("enrol", "--keys", keys, "--concurrency", CONCURRENCY, "--from", COUNT * run, "--to", COUNT * (run + 1), *options)
    if report["failures"]:
        raise SystemExit(f"{report['failures']} of {COUNT} enrolments failed: {report['first_failure']}")
    return report["cpu_us"]


def signatures_alone(ceilings):
    """What it costs to verify them and do nothing else."""
    def us(key):
        return statistics.median(o["us"] for c in ceilings for o in c["operations"] if o["name"].startswith(f"ECDSA P-256 verify, {key}"))

    return KNOWN_KEYS * us("key cached") + NEW_KEYS * us("key from parameters")


def measure(bench, parties):
    print(f"\nProvenance: {COUNT} distinct devices a run with a chain of {STAGES} stages and its receipt, and as many without; "
          f"medians of {PAIRS} pairs of runs, interleaved ({broker.load_average()})")
    keys, chains, size = prepare(bench, 2 * PAIRS + 2)
    shown, bare, ceilings = [], [], []
    for pair in range(PAIRS + 1):  # the first warms up
        first = pair % 2
        for side in (first, 1 - first):
            options = ("--chains", chains) if side else ()
            (shown if side else bare).append(enrol(bench, keys, 2 * pair + side, *options))
        if pair % 5 == 0:
            ceilings.append(bench.ceiling())
    shown, bare = shown[1:], bare[1:]
    median = lambda runs, name: statistics.median(run[name] for run in runs)  # noqa: E731
    print(f"  CPU an enrolment, us{'without':>21}{'with':>9}{'more':>9}")
    for name, label in parties.items():
        with_it, without = median(shown, name), median(bare, name)
        print(f"    {label:<28}{without:9.0f}{with_it:9.0f}{with_it - without:+9.0f}")
    totals = [sum(a.values()) - sum(b.values()) for a, b in zip(shown, bare)]
    more = statistics.median(totals)
    print(f"    {'all parties, of pairs':<46}{more:+9.0f}   target <= {TARGET_US} {broker.verdict((more, TARGET_US))}   "
          f"(pairs from {min(totals):.0f} to {max(totals):.0f})")
    alone = signatures_alone(ceilings)
    print(f"    {f'its {KNOWN_KEYS + NEW_KEYS} signatures verified, alone':<46}{alone:+9.0f}   the rest {more - alone:+.0f}; "
          f"{more / alone:.2f} x the signatures")
    print(f"  a chain is {size} bytes on the device, {-(-size * 4 // 3)} in the request")
