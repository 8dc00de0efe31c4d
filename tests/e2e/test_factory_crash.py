"""kill -9 and failing disks at every write of the line and of the register: no number is used twice, nothing that was answered is lost.

strace kills the tool as it enters its k-th system call of a kind, or makes that call fail; k grows until the tool survives.
"""

import os
import shutil
import subprocess

import cbor2
import pytest
from factory import SupplyChain, chain_of
from stack import system_program
from test_factory import FACTORY, QUIET, devices_of

CALLS_MAX = 60
CALLS = ["write", "fsync", "fdatasync", "rename"]
needs_strace = pytest.mark.skipif(not shutil.which("strace"), reason="strace is not installed")
pytestmark = needs_strace


def run_with(effect, call, k, *words):
    """The tool with its k-th `call` sabotaged; whether that call was reached, and its exit code."""
    done = subprocess.run(
        [system_program("strace"), "-qq", "-e", f"trace={call}", "-e", f"inject={call}:{effect}:when={k}", "-o", "/dev/stderr",
         FACTORY, *map(str, words)], capture_output=True, text=True, check=False, env={**os.environ, **QUIET})
    return "(INJECTED)" in done.stderr or done.returncode in (-9, 137), done.returncode


def sweep(effect, call, prepare, words, check):
    """prepare(k) → a case; words(case) is run; check(case) after each. At least one of the calls was hit."""
    hits = 0
    for k in range(1, CALLS_MAX):
        case = prepare(k)
        hit, code = run_with(effect, call, k, *words(case))
        check(case)
        if not hit:
            assert code == 0
            return hits
        hits += 1
    return pytest.fail(f"still hit at call {CALLS_MAX} of {call}")


def statements_of(path):
    """The payload maps of an outbox; half a statement at its end is left out, as the tools do."""
    found, data = [], path.read_bytes() if path.exists() else b""
    while data:
        try:
            item = cbor2.loads(data)
        except (cbor2.CBORDecodeError, EOFError):
            break
        found.append(cbor2.loads(item.value[2]))
        data = data[len(cbor2.dumps(item)):]
    return found


@pytest.fixture
def line(tmp_path):
    supply = SupplyChain(tmp_path / "supply", FACTORY, environment=QUIET)
    made = supply.line("chips", 1)
    made.order_file = supply.order(made, 1, quota=1000)
    made.tmp_path = tmp_path
    return made


@pytest.mark.parametrize("effect", ["signal=SIGKILL", "error=EIO", "error=ENOSPC"])
@pytest.mark.parametrize("call", CALLS)
def test_a_line_never_uses_a_number_twice(line, call, effect):
    seen = []

    def prepare(k):
        return devices_of(line.tmp_path / f"devices-{k}", 2)

    def words(devices):
        seen.extend(devices)
        return ["stage", "sign", "--line", line.folder, "--order", line.order_file, "--all", devices[0].parent]

    def check(devices):
        again = line.sign(line.order_file, *devices)  # the same command again, and all is well
        assert not [d for d in again["devices"] if "reason" in d]
        numbers = [statement[5] for statement in statements_of(line.signed("B1", 1))]
        assert len(numbers) == len(set(numbers)) and max(numbers) <= again["used"]

    hits = sweep(effect, call, prepare, words, check)
    assert hits >= 1
    # Every chain's statement is in the outbox, each device has a number of its own, and the register finds nothing wrong.
    outbox = line.signed("B1", 1).read_bytes()
    carried = [cbor2.loads(chain_of(device))[0][0] for device in seen]
    numbers = [cbor2.loads(statement.value[2])[5] for statement in carried]
    assert len(set(numbers)) == len(seen) and all(cbor2.dumps(statement) in outbox for statement in carried)
    assert line.supply.register(receipts=False)["refused"] == 0
    line.supply.run("register", "receipt", "--dir", line.supply.register_folder, *seen)


def test_a_file_half_replaced_stops_no_line(line):
    words = {"trust": ["line", "trust", "--dir", line.folder, line.record],
             "counters": ["stage", "sign", "--line", line.folder, "--order", line.order_file, *devices_of(line.tmp_path / "devices", 1)]}
    words["counters"].insert(-1, "--device")
    line.sign(line.order_file, *devices_of(line.tmp_path / "others", 1))  # a counter that must stay
    for folder, command in words.items():
        assert run_with("signal=SIGKILL", "rename", 1, *command)[0]
        left = [f for f in (line.folder / folder).iterdir() if len(f.suffix) == 7]
        assert len(left) == 1
        left[0].write_bytes(b"")  # as a file system that had its name before its contents has it
        assert "1 of 1000 numbers used" in line.supply.run("line", "status", "--dir", line.folder).stdout
        assert not left[0].exists()


@pytest.mark.parametrize("effect", ["signal=SIGKILL", "error=EIO", "error=ENOSPC"])
@pytest.mark.parametrize("call", CALLS)
def test_the_register_keeps_what_it_has_answered_for(line, call, effect):
    supply = line.supply
    register = supply.register_folder
    devices = devices_of(line.tmp_path / "devices", 8)
    line.sign(line.order_file, *devices[:4])
    supply.register(receipts=False)
    answered = (register / "register.log").read_bytes()
    line.sign(line.order_file, *devices[4:])
    pristine = line.tmp_path / "pristine"
    shutil.copytree(register, pristine)

    def prepare(_):
        shutil.rmtree(register)
        shutil.copytree(pristine, register)
        return register

    def check(_):
        assert "ACCEPT" in supply.run("register", "verify", "--dir", register).stdout
        assert (register / "register.log").read_bytes().startswith(answered)
        result = supply.register(receipts=False)
        assert result["refused"] == 0 and result["new"] + result["there"] == result["entries"] == 10
        supply.run("register", "receipt", "--dir", register, *devices)

    hits = sweep(effect, call, prepare, lambda _: ["register", "add", "--dir", register, line.outbox], check)
    assert hits >= 1


def test_a_register_that_lost_what_it_signed_for_refuses(line):
    supply = line.supply
    line.sign(line.order_file, *devices_of(line.tmp_path / "devices", 3))
    supply.register(receipts=False)
    log = supply.register_folder / "register.log"
    whole = log.read_bytes()
    for damaged in (whole[:-1], whole[:len(whole) // 2], b"", bytes([whole[0], whole[1], whole[2], whole[3] ^ 1]) + whole[4:],
                    whole[:300] + bytes([whole[300] ^ 0x80]) + whole[301:]):
        log.write_bytes(damaged)
        for words in (["verify"], ["add", line.record]):
            done = supply.run("register", words[0], "--dir", supply.register_folder, *words[1:], check=False)
            assert done.returncode == 1 and "register-history: " in done.stderr
        assert log.read_bytes() == damaged  # nothing is repaired that was answered for
    for torn in (b"\0" * 300, whole[:60], os.urandom(40)):
        log.write_bytes(whole + torn)
        assert "ACCEPT" in supply.run("register", "verify", "--dir", supply.register_folder).stdout
        assert "are cut off after entry 5" in supply.run("register", "add", "--dir", supply.register_folder, line.record).stderr
        assert log.read_bytes() == whole
