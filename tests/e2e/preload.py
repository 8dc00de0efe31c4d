"""Libraries of tests/preload for the daemons under test: a wall clock that is set, a heap that fails."""

import mmap
import os
import struct
import subprocess
from pathlib import Path

SOURCES = Path(__file__).resolve().parents[1] / "preload"


def preloaded(folder, name, before_asan=False, **environment):
    """The environment that puts tests/preload/NAME.c into a program; a sanitized program's runtime has to come first."""
    library = Path(folder) / f"{name}.so"
    subprocess.run(["gcc", "-std=c17", "-O2", "-shared", "-fPIC", "-o", library, SOURCES / f"{name}.c"], check=True)
    libraries = [str(library)]
    if os.environ.get("MOORING_SANITIZED") == "1":
        for runtime in ("libubsan.so", "libasan.so"):
            found = subprocess.run(["gcc", f"-print-file-name={runtime}"], capture_output=True, text=True, check=True).stdout.strip()
            libraries.insert(1 if before_asan else 0, found)
    return {"LD_PRELOAD": ":".join(libraries), **{key: str(value) for key, value in environment.items()}}


class Clock:
    """A wall clock of a program's own, set while it runs."""

    def __init__(self, folder):
        self.file = Path(folder) / "clock"
        self.set(0)
        self.environment = preloaded(folder, "clock", MOORING_TEST_CLOCK=self.file)

    def set(self, seconds):
        """So far from the machine's clock, in seconds."""
        with open(self.file, "r+b" if self.file.exists() else "wb", buffering=0) as file:
            file.write(struct.pack("q", int(seconds)))


class Heap:
    """The plugin's allocations in a broker: counted, and made to fail by number."""

    def __init__(self, folder, threads=False):
        file = Path(folder) / "heap"
        file.write_bytes(bytes(32))
        with file.open("r+b") as opened:
            self.shared = mmap.mmap(opened.fileno(), 32)
        self.environment = preloaded(folder, "heap", before_asan=True, MOORING_TEST_HEAP=file,
                                     ASAN_OPTIONS="detect_leaks=0:allocator_may_return_null=1:verify_asan_link_order=0",
                                     **({"MOORING_TEST_HEAP_THREADS": 1} if threads else {}))

    def number(self, at):
        return struct.unpack_from("q", self.shared, 8 * at)[0]

    @property
    def counted(self):
        return self.number(0)

    @property
    def failed(self):
        return self.number(3)

    def spare(self):
        """No more of them fails."""
        struct.pack_into("q", self.shared, 16, 0)

    def fail(self, number, count=1):
        """From now on the allocation with this number fails, counted from here, and the ones that follow."""
        self.spare()
        struct.pack_into("q", self.shared, 24, 0)
        first = self.counted + number
        struct.pack_into("q", self.shared, 8, first)
        struct.pack_into("q", self.shared, 16, first + count)
