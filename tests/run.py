"""Runs every suite and ends with one line: N passed, N failed, N skipped.

Unit programs and fuzz targets run side by side; the end-to-end tests share the cores through pytest-xdist.
The second round is the same under ASan and UBSan.
"""

import argparse
import concurrent.futures
import os
import re
import subprocess
import sys
import time
import xml.etree.ElementTree as ElementTree
from pathlib import Path

REPO = Path(__file__).resolve().parent.parent
SANITIZER = {
    "ASAN_OPTIONS": "abort_on_error=0:detect_leaks=1:allocator_may_return_null=1",
    "UBSAN_OPTIONS": "print_stacktrace=1:halt_on_error=1",
    "MOORING_SANITIZED": "1",
}


class Total:
    def __init__(self):
        self.passed = self.failed = self.skipped = 0

    def add(self, name, passed, failed, skipped, seconds, output=""):
        self.passed, self.failed, self.skipped = self.passed + passed, self.failed + failed, self.skipped + skipped
        note = f", {skipped} skipped" if skipped else ""
        print(f"{'FAIL' if failed else 'ok  '} {name}: {passed} passed, {failed} failed{note} ({seconds:.1f} s)", flush=True)
        if failed:
            print(output, flush=True)


def run(argv, environment, limit=600):
    started = time.monotonic()
    try:
        done = subprocess.run([str(a) for a in argv], env={**os.environ, **environment}, cwd=REPO, text=True,
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                              errors="replace", timeout=limit)
        return done.returncode, done.stdout, time.monotonic() - started
    except subprocess.TimeoutExpired as error:
        return -1, f"{error.stdout or ''}\ntimed out after {limit} s", time.monotonic() - started


def count(pattern, text):
    return sum(int(n) for n in re.findall(pattern, text))


def unit(program, environment):
    code, output, seconds = run([program], environment)
    passed = count(r"\[  PASSED  \] (\d+) test", output)
    skipped = count(r"\[  SKIPPED \] (\d+) test", output)
    failed = count(r"\[  FAILED  \] (\d+) test", output)
    if code and not failed:
        failed = 1
    if not passed and not failed and not skipped:
        failed, output = 1, output + "\nthe program ran no test"
    return program.name, passed, failed, skipped, seconds, output


def fuzz(program, build, seconds):
    name = program.name.removesuffix("_fuzz")
    corpus = build / "corpus" / name
    corpus.mkdir(parents=True, exist_ok=True)
    seeds = [p for p in (REPO / "tests/fuzz/corpus" / name,) if p.is_dir()]
    code, output, took = run([program, f"-max_total_time={seconds}", "-timeout=5", "-rss_limit_mb=1024", "-verbosity=0",
                              f"-artifact_prefix={corpus}/", corpus, *seeds], {}, seconds + 120)
    return f"fuzz {name}", int(code == 0), int(code != 0), 0, took, output[-4000:]


def end_to_end(build, environment, jobs, label):
    """Two tests a processor: they wait for daemons more than they compute."""
    report = build / f"e2e-{label}.xml"
    report.unlink(missing_ok=True)
    code, output, seconds = run([sys.executable, "-m", "pytest", "-q", "-n", 2 * jobs, f"--junitxml={report}", "-rfEs",
                                 "-p", "no:cacheprovider", "tests/e2e"],
                                {**environment, "MOORING_BUILD": str(build)}, 1500)
    passed = failed = skipped = 0
    if report.exists():
        suite = ElementTree.parse(report).getroot().find("testsuite")
        tests, skipped = int(suite.get("tests")), int(suite.get("skipped"))
        failed = int(suite.get("failures")) + int(suite.get("errors"))
        passed = tests - failed - skipped
    if (code and not failed) or not passed:
        failed += 1
    for reason in re.findall(r"^SKIPPED.*$", output, re.M):
        print(f"     {reason}")
    return f"e2e {label}", passed, failed, skipped, seconds, output[-20000:]


def programs(folder, pattern):
    return sorted(p for p in folder.glob(pattern) if p.is_file() and os.access(p, os.X_OK))


def run_units(total, pool, rounds):
    for build, environment, label in rounds:
        print(f"== {label}: unit", flush=True)
        for result in pool.map(lambda p: unit(p, environment), programs(build / "unit", "**/*_test")):
            total.add(*result)


def run_fuzz_targets(total, pool, build, seconds):
    print("== fuzz", flush=True)
    for result in pool.map(lambda p: fuzz(p, build, seconds), programs(build / "fuzz", "*_fuzz")):
        total.add(*result)


def run_end_to_end(total, rounds, jobs):
    for build, environment, label in rounds:
        print(f"== {label}: end to end", flush=True)
        total.add(*end_to_end(build, environment, jobs, label))


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--build", type=Path, default=REPO / "build")
    parser.add_argument("--asan", type=Path, help="the sanitized build; without it that round is left out")
    parser.add_argument("--fuzz-alone", action="store_true", help="the fuzz targets and nothing else")
    parser.add_argument("--fuzz-seconds", type=int, default=10)
    parser.add_argument("--jobs", type=int, default=os.cpu_count())
    arguments = parser.parse_args()
    total, build = Total(), arguments.build.resolve()
    rounds = [] if arguments.fuzz_alone else [(build, {}, "plain")]
    if rounds and arguments.asan:
        rounds.append((arguments.asan.resolve(), SANITIZER, "sanitized"))
    with concurrent.futures.ThreadPoolExecutor(arguments.jobs) as pool:
        run_units(total, pool, rounds)
        run_fuzz_targets(total, pool, build, arguments.fuzz_seconds)
    run_end_to_end(total, rounds, arguments.jobs)
    print(f"{total.passed} passed, {total.failed} failed, {total.skipped} skipped")
    return 1 if total.failed else 0


if __name__ == "__main__":
    sys.exit(main())
