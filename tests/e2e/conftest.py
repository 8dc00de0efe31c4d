"""Fixtures: the standing stack that tests share, a stack of one's own for tests that break it, and plain helpers."""

import contextlib
import os
import socket
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

REPO = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(REPO / "demo"))
sys.path.insert(0, str(REPO / "tests/e2e"))

import stack as stacks  # noqa: E402
from plugin_bench import Bench  # noqa: E402

SANITIZED = os.environ.get("MOORING_SANITIZED") == "1"
# Mosquitto's own behaviour: the round without sanitizers shows it, and the one with a sanitized Mosquitto.
collect_ignore = ["test_broker_matrix.py"] if SANITIZED and not os.environ.get("MOORING_MOSQUITTO") else []


def sanitizer_environment():
    """Per daemon: LeakSanitizer cannot look into a process that nobody may trace, and Mosquitto is not ours to check."""
    if not SANITIZED:
        return {}
    runtime = [subprocess.run(["gcc", f"-print-file-name={name}"], capture_output=True, text=True, check=True).stdout.strip()
               for name in ("libasan.so", "libubsan.so")]
    quiet = {"ASAN_OPTIONS": "detect_leaks=0:allocator_may_return_null=1"}
    daemons = {name: quiet for name in ("gateway", "signer", "attestd", "device")}
    daemons["broker"] = {**quiet, "LD_PRELOAD": ":".join(runtime)}
    if os.environ.get("MOORING_MOSQUITTO"):  # is sanitized itself, and what it leaks is told by name
        daemons["broker"] = {"ASAN_OPTIONS": "detect_leaks=1:allocator_may_return_null=1",
                             "LSAN_OPTIONS": f"suppressions={REPO}/tests/mosquitto.supp:print_suppressions=0"}
    return daemons


def new_stack(folder, **options):
    return stacks.Stack(folder, environment=sanitizer_environment(), **options)


@contextlib.contextmanager
def folder_for_daemons():
    """A folder that daemons with uids of their own can walk to; pytest's own are closed to them."""
    with tempfile.TemporaryDirectory(prefix="mooring-e2e-") as folder:
        os.chmod(folder, 0o755)
        yield Path(folder) / "stack"


@pytest.fixture(scope="session")
def shared():
    """One running stack a worker. Tests take devices of their own from it and break nothing."""
    with folder_for_daemons() as folder, new_stack(folder) as made:
        made.prepare().start().ready()
        yield made


@pytest.fixture
def own():
    """A running stack of the test's own, to kill, stop and starve."""
    with folder_for_daemons() as folder, new_stack(folder) as made:
        made.prepare().start().ready()
        yield made


@pytest.fixture
def cold():
    """A stack that is set up and not started."""
    with folder_for_daemons() as folder, new_stack(folder) as made:
        yield made.prepare()


def configure(stack, name, **settings):
    """Replaces keys of a daemon's configuration, or adds them."""
    path = stack.folder / f"config/{name}.yaml"
    lines = [line for line in path.read_text().splitlines() if line.split(":")[0] not in settings]
    path.write_text("\n".join(lines + [f"{key}: {value}" for key, value in settings.items()]) + "\n")


def listens(path):
    with socket.socket(socket.AF_UNIX) as s:
        return s.connect_ex(str(path)) == 0


def start_services(stack):
    """All but the broker."""
    return stack.start("attestd", "attestation-edge", "signer", "gateway", "edge").services_ready()


@pytest.fixture
def services(cold):
    """A running stack of the test's own, without a broker."""
    return start_services(cold)


@pytest.fixture
def unstarted(tmp_path):
    """A broker with the plugin and a feed that can lie, not started."""
    made = Bench(tmp_path)
    yield made
    made.stop()


@pytest.fixture
def bench(unstarted):
    return unstarted.start()


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item):
    """A failing test shows the end of each daemon's log."""
    report = (yield).get_result()
    if report.failed:
        made = {id(value): value for value in item.funcargs.values() if isinstance(value, stacks.Stack)}
        for stack in made.values():
            for daemon in stack.daemons.values():
                report.sections.append((f"log of {daemon.name}", daemon.tail(40)))
