"""strace as saboteur: kills a daemon at one of its system calls, or makes calls fail for a while."""

import contextlib
import subprocess
from pathlib import Path

import pytest
from stack import ROOT, wait_until

needs_tracing = pytest.mark.skipif(not ROOT, reason="only root may trace a process that is not dumpable")


class Tracer:
    """strace on a running daemon. Its processes may be traced by root alone: they are not dumpable."""

    def __init__(self, daemon, call, effect, *filters):
        self.daemon = daemon
        self.tracer = subprocess.Popen(
            ["strace", "-f", "-qq", "-o", "/dev/null", "-p", str(daemon.pid), *map(str, filters), "-e", f"trace={call}",
             "-e", f"inject={call}:{effect}"], stdin=subprocess.DEVNULL, stderr=subprocess.PIPE)
        wait_until(lambda: self.traced() or self.tracer.poll() is not None, "strace to attach")
        assert self.tracer.poll() is None, self.tracer.stderr.read()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.tracer.kill()
        self.tracer.wait()
        self.tracer.stderr.close()

    def threads(self):
        """What /proc says of each thread; a thread that has gone meanwhile is left out."""
        statuses = []
        for task in Path(f"/proc/{self.daemon.pid}/task").glob("*/status"):
            with contextlib.suppress(OSError):
                statuses.append(task.read_text())
        return statuses

    def traced(self):
        return all("TracerPid:\t0\n" not in status for status in self.threads())


class Failing(Tracer):
    """While it lasts, each `call` of the daemon on one of `paths` fails with `error`."""

    def __init__(self, daemon, call, error, *paths):
        super().__init__(daemon, call, f"error={error}", *(word for path in paths for word in ("-P", path)))


class Trap(Tracer):
    """Kills `daemon` at its k-th `call`, once armed; each thread counts for itself."""

    def __init__(self, daemon, call, k):
        super().__init__(daemon, call, f"signal=SIGKILL:when={k}")

    def state(self):
        """"dead"; "idle" where no thread is on its way to or from the tracer; else None."""
        states = {status.split("State:\t")[1][0] for status in self.threads()}
        if states <= {"Z", "X"}:
            return "dead"
        return "idle" if states == {"S"} else None

    def dead(self):
        return self.state() == "dead"

    def release(self):
        """True if the daemon died in it. strace that detaches from a dying process waits for ever, so it is left to end by itself."""
        died = wait_until(self.state, f"{self.daemon.name} is dead or idle") == "dead"
        if not died:
            self.tracer.kill()
        self.tracer.wait(20)
        return died
