"""A supply chain with the real tools: programme, lines, orders, five stages, the register; and everything that must not pass."""

import json
import os
import shutil
import subprocess
import time
from pathlib import Path

import cbor2
import pytest
from attester import b64url_decode
from cryptography.hazmat.primitives import serialization
from factory import FactoryError, SupplyChain, chain_of
from supply_chain import ACTIVE, LINE, Key

REPO = Path(__file__).resolve().parents[2]
BUILD = Path(os.environ.get("MOORING_BUILD", REPO / "build")).resolve()
FACTORY = BUILD / "mooring-factory"
QUIET = {"ASAN_OPTIONS": "detect_leaks=0:allocator_may_return_null=1"} if os.environ.get("MOORING_SANITIZED") == "1" else {}
STAGES = ("chips", "modules", "boards", "firmware", "final")


def devices_of(folder, count):
    subprocess.run([FACTORY, "make", "--count", str(count), "--dir", folder, "--batch", "B1"], check=True, capture_output=True)
    return [folder / str(n) for n in range(1, count + 1)]


@pytest.fixture
def supply(tmp_path):
    return SupplyChain(tmp_path / "supply", FACTORY, environment=QUIET)


@pytest.fixture
def two(supply, tmp_path):
    """Two lines, and devices that have been at neither."""
    supply.line("chips", 1)
    supply.line("boards", 2, after=["chips"])
    supply.fresh = devices_of(tmp_path / "devices", 3)
    return supply


def refused(reason, call, *words, code=1):
    with pytest.raises(FactoryError) as failed:
        call(*words)
    assert f"{reason}: " in failed.value.said and failed.value.code == code, failed.value.said
    return failed.value.said


def sign(line, order, device, **options):
    """The reason why the device was not signed for, or its number."""
    result = line.sign(order, device, check=False, **options)
    if "devices" not in result:
        return result["said"].split(": ")[1]
    return result["devices"][0].get("reason") or result["devices"][0]["seq"]


@pytest.mark.parametrize("countersign,most", [("cose", 1700), ("psa-token", 2300)])
def test_five_stages_of_real_devices(supply, tmp_path, countersign, most):
    for number, name in enumerate(STAGES, 1):
        supply.line(name, number, after=STAGES[number - 2:number - 1] if number > 1 else [])
    devices = supply.build(devices_of(tmp_path / "devices", 3), countersign=countersign)
    assert supply.register() == {"new": 5 + 5 + 15, "there": 0, "refused": 0, "entries": 25}
    for device in devices:
        statements, (nonce, countersignature), receipt = cbor2.loads(chain_of(device))
        assert len(statements) == 5 and len(nonce) == 16
        assert len(countersignature) == 64 if countersign == "cose" else len(countersignature) > 64
        assert receipt.tag == 18 and len(chain_of(device)) < most
        print(f"{countersign}: statements {[len(cbor2.dumps(s, canonical=True)) for s in statements]}, countersignature "
              f"{len(countersignature)}, receipt {len(cbor2.dumps(receipt, canonical=True))}, chain {len(chain_of(device))}")
    assert "ACCEPT" in supply.run("register", "verify", "--dir", supply.register_folder).stdout


def test_an_interrupted_run_is_run_again(two):
    line = two.lines["chips"]
    order = two.order(line, 1, quota=3)
    assert sign(line, order, two.fresh[0]) == 1
    again = line.sign(order, *two.fresh)
    assert [(d["signed"], d["seq"]) for d in again["devices"]] == [(False, 1), (True, 2), (True, 3)]
    assert again["used"] == again["quota"] == 3


def test_an_order_that_is_used_up_stops_the_line(two):
    line = two.lines["chips"]
    order = two.order(line, 1, quota=2)
    done = two.run("stage", "sign", "--line", line.folder, "--order", order, "--all", two.fresh[0].parent, check=False)
    assert done.returncode == 3 and "2 of 2 numbers used" in done.stdout
    assert ("order-over-quota: the order for stage 1 of batch B1 is used up: 2 of 2; ask the OEM for another order, for a further "
            "batch") in done.stderr
    assert not chain_of(two.fresh[2])
    further = two.order(line, 1, batch="B2", quota=2)
    assert sign(line, further, two.fresh[2]) == 1


def test_a_line_counts_against_one_order_for_a_batch_and_stage(two):
    line = two.lines["chips"]
    first, greater = two.order(line, 1, quota=2), two.order(line, 1, quota=5, name="greater.order")
    assert sign(line, first, two.fresh[0]) == 1
    said = refused("conflict", two.run, "stage", "sign", "--line", line.folder, "--order", greater, "--device", two.fresh[1])
    name = json.loads(two.run("--json", "order", "show", first).stdout)["sha256"][:8]
    assert f"under another order ({name}, for 2): go on with that one; a further quantity is a further batch" in said
    assert not chain_of(two.fresh[1])
    assert "stage 1: 1 of 2 numbers used" in two.run("line", "status", "--dir", line.folder).stdout
    assert sign(line, first, two.fresh[1]) == 2
    assert sign(line, two.order(line, 1, batch="B2", quota=5), two.fresh[2]) == 1


def test_what_must_not_be_signed_is_not(two):
    chips, boards = two.lines["chips"], two.lines["boards"]
    first, second = two.order(chips, 1), two.order(boards, 2)
    fresh = two.fresh[0]
    assert sign(boards, second, fresh) == "order-route"  # it has been at no line
    assert sign(boards, first, fresh) == "order-missing"  # another line's order
    assert sign(boards, two.order(boards, 3, batch="B3"), fresh) == "line-stage"
    other = two.line("other", 1)
    assert sign(other, two.order(other, 1), fresh) == 1
    assert sign(boards, second, fresh) == "order-route"  # from a line that the order does not name
    assert sign(chips, first, fresh) == "chain-broken"  # the stage is over
    assert sign(chips, first, two.fresh[1]) == 1
    late = two.line("late", 2, after=["chips"])
    assert sign(late, two.order(late, 2, previous=[], first=True), two.fresh[1]) == "order-route"  # chains begin there


def test_a_folder_that_is_no_device_is_told_what_one_is(two, tmp_path):
    line, board = two.lines["chips"], tmp_path / "board"
    order = two.order(line, 1)
    board.mkdir()
    for folder in (board, tmp_path / "nowhere"):
        said = refused("field-invalid", two.run, "stage", "sign", "--line", line.folder, "--order", order, "--device", folder)
        assert f"{folder}: field-invalid: it is no device: that is a folder with its secure world in secure/, as `mooring-factory make` leaves it" in said
    assert not list(board.iterdir()), "nothing is left in it"


def test_a_chain_of_another_device_is_refused(two):
    chips, boards = two.lines["chips"], two.lines["boards"]
    first, second = two.order(chips, 1), two.order(boards, 2)
    chips.sign(first, two.fresh[0])
    (two.fresh[1] / "normal").mkdir()
    shutil.copy(two.fresh[0] / "normal/chain.cbor", two.fresh[1] / "normal/chain.cbor")
    assert sign(boards, second, two.fresh[1]) == "chain-of-another-device"


def test_a_line_without_record_or_in_the_wrong_state_signs_nothing(two):
    line, device = two.lines["chips"], two.fresh[0]
    order = two.order(line, 1)
    mine = line.folder / "trust" / line.id
    kept = mine.read_bytes()
    mine.unlink()
    assert sign(line, order, device) == "line-unknown"
    mine.write_bytes(kept)
    for state, reason in (("suspend", "line-suspended"), ("resume", 1)):
        two.run("line", "trust", "--dir", line.folder, line.change(state))
        assert sign(line, order, device) == reason
    two.run("line", "trust", "--dir", line.folder, line.change("revoke"))
    assert sign(line, order, two.fresh[1]) == "line-revoked"
    assert "revoked is final" in refused("line-revoked", line.change, "resume")


def test_orders_and_records_of_another_programme_are_refused(two, tmp_path):
    other = SupplyChain(tmp_path / "other", FACTORY, name="Another", environment=QUIET)
    stranger = other.line("chips", 1)
    refused("chain-of-another-programme", two.run, "line", "trust", "--dir", two.lines["chips"].folder, stranger.record)
    order = other.order(stranger, 1)
    assert sign(two.lines["chips"], order, two.fresh[0]) == "chain-of-another-programme"
    refused("chain-of-another-programme", two.run, "line", "certify", "--programme", two.programme, "--request",
            stranger.folder / "request.json", "--site", "x", "--stages", "1", "--days", "9", "--out", tmp_path / "x")


def test_what_was_signed_is_never_written_over(two):
    chips, boards = two.lines["chips"], two.lines["boards"]
    order = two.order(boards, 2)
    kept = {path: path.read_bytes() for path in (chips.record, order)}
    for path in kept:
        said = refused("conflict", two.order, chips, 1, "B9", 1, "+1d", path.name)
        assert f"--out {path} exists already, and is left as it is: give another name, or move it away" in said
        refused("conflict", two.run, "line", "certify", "--programme", two.programme, "--request", boards.folder / "request.json", "--site", "x",
                "--stages", "2", "--days", "9", "--out", path)
        for state in ("suspend", "resume", "revoke"):
            refused("conflict", two.run, "line", state, "--programme", two.programme, "--record", chips.record, "--out", path)
    assert kept == {path: path.read_bytes() for path in kept}
    assert two.export() == two.export(), "what can be made again is"


def test_a_request_needs_the_private_key(two, tmp_path):
    mine, theirs = (json.loads((two.lines[name].folder / "request.json").read_text()) for name in ("chips", "boards"))
    forged = tmp_path / "request.json"
    forged.write_text(json.dumps({**mine, "line_key": theirs["line_key"]}))
    refused("provenance-signature", two.run, "line", "certify", "--programme", two.programme, "--request", forged, "--site", "x",
            "--stages", "1", "--days", "9", "--out", tmp_path / "x")


def test_a_request_says_whose_it_is_before_anything_is_certified(two, tmp_path):
    line, request = two.lines["chips"], two.lines["chips"].folder / "request.json"
    programme = json.loads(two.public.read_text())["programme"]
    assert json.loads(two.run("--json", "line", "show", request).stdout) == {"programme": programme, "line": line.id, "state": "requested"}
    shown = two.run("line", "show", request, "--programme", two.public).stdout
    assert line.id in shown and "Thermo 2026" in shown and "whoever asks has the key" in shown
    other = SupplyChain(tmp_path / "other", FACTORY, name="Another", environment=QUIET)
    refused("chain-of-another-programme", two.run, "line", "show", request, "--programme", other.public)
    text = request.read_text()
    for broken, reason in ((text.replace(programme, "0" * 32), "provenance-signature"), ("{", "json-malformed"), ("", "cbor-truncated")):
        (tmp_path / "broken").write_text(broken)
        assert str(tmp_path / "broken") in refused(reason, two.run, "line", "show", tmp_path / "broken")


def test_an_old_copy_of_a_counter_is_found_out(two):
    line = two.lines["chips"]
    order = two.order(line, 1)
    counter = line.folder / "counters/B1.1"
    line.sign(order, two.fresh[0])
    old = counter.read_bytes()
    line.sign(order, two.fresh[1])
    counter.write_bytes(old)
    assert sign(line, order, two.fresh[2]) == "conflict"
    counter.unlink()  # lost: it goes on after what is in the outbox
    assert sign(line, order, two.fresh[2]) == 3


def test_the_register_keeps_two_statements_with_one_number(two, tmp_path):
    line = two.lines["chips"]
    order = two.order(line, 1)
    twin = tmp_path / "twin"
    shutil.copytree(line.folder, twin)
    line.sign(order, two.fresh[0])
    two.run("stage", "sign", "--line", twin, "--order", order, "--device", two.fresh[1])
    assert two.register(line.record, order, line.outbox, receipts=False)["new"] == 3
    done = two.run("register", "add", "--dir", two.register_folder, twin / "outbox", check=False)
    assert done.returncode == 1 and "equivocation: number 1 of batch B1, stage 1 was signed for another device" in done.stderr
    (proof,) = (two.register_folder / "proofs").iterdir()
    assert proof.name == f"{line.id}-B1-1-1"
    first, second = ((proof / name).read_bytes() for name in ("1.cose", "2.cose"))
    assert first == line.signed("B1", 1).read_bytes() and second == line.signed("B1", 1, twin).read_bytes()


def test_two_changes_of_one_record_are_told_apart_and_how_to_go_on(two):
    line = two.lines["chips"]
    first, renewed = line.record, two.folder / "renewed.record"
    two.run("line", "certify", "--programme", two.programme, "--request", line.folder / "request.json", "--site", "chips", "--stages", "1",
            "--days", "9", "--replaces", first, "--out", renewed)
    two.register(first, renewed)
    said = refused("conflict", two.run, "register", "add", "--dir", two.register_folder, line.change("suspend"))
    assert ("version 2 of the line's record is in the register, this is another version 2: make the change again from the latest record, version 2 "
            "(line suspend, resume, revoke --record, or line certify --replaces)") in said
    line.record = renewed
    assert two.register(line.change("suspend"))["new"] == 1
    older = two.lines["boards"].record
    two.register(older, two.lines["boards"].change("suspend"), two.lines["boards"].change("resume"))
    two.run("line", "suspend", "--programme", two.programme, "--record", older, "--out", two.folder / "late.record")
    assert "version 3 of the line's record is in the register, this is version 2: " in refused(
        "conflict", two.run, "register", "add", "--dir", two.register_folder, two.folder / "late.record")


def test_outboxes_of_lines_that_share_a_stage_lie_in_one_folder(two, tmp_path):
    lines = [two.lines["chips"], two.line("chips-2", 1)]
    for line, device in zip(lines, two.fresh):
        line.sign(two.order(line, 1), device)
    (tmp_path / "outboxes").mkdir()
    for line in lines:
        for file in line.outbox.iterdir():
            shutil.copy(file, tmp_path / "outboxes")
    assert two.register(*(line.record for line in lines), *two.orders, tmp_path / "outboxes", devices=two.fresh[:2])["new"] == 6


def test_the_register_takes_only_what_follows(two):
    chips, boards = two.lines["chips"], two.lines["boards"]
    devices = two.build(two.fresh)
    files = [chips.record, boards.record, *two.orders]
    done = two.run("register", "add", "--dir", two.register_folder, boards.outbox, *files, check=False)
    assert done.returncode == 1 and done.stderr.count("chain-unregistered: the statement before it is not in the register") == 3
    refused("chain-unregistered", two.run, "register", "receipt", "--dir", two.register_folder, devices[0])
    # All at once, in an order that nobody thought about.
    assert two.register(boards.outbox, chips.outbox, devices=devices) == {"new": 6, "there": 0, "refused": 0, "entries": 10}
    assert two.register() == {"new": 0, "there": 10, "refused": 0, "entries": 10}


def test_an_export_is_what_a_gateway_can_follow(two):
    two.build(two.fresh)
    two.register()
    (whole,) = map(json.loads, two.export().read_text().splitlines())
    (rest,) = map(json.loads, two.export(after=4).read_text().splitlines())
    assert whole["first"] == 1 and len(whole["entries"]) == 10 and rest["first"] == 5
    assert rest["entries"] == whole["entries"][4:]
    times = [entry["time"] for entry in whole["entries"]]
    assert times == sorted(times) and all(len(entry["object"]) == 64 for entry in whole["entries"])
    assert two.export(after=10).read_text() == ""


def test_the_word_for_a_part_of_the_register_is_as_old_as_that_part(supply):
    """Else an export that is pushed beside an older one would look like a register that was cut short."""
    authority = Key(serialization.load_pem_private_key((supply.programme / "line-authority.key").read_bytes(), None))
    programme, line, now = bytes.fromhex(json.loads(supply.public.read_text())["programme"]), Key(), int(time.time())
    records = supply.folder / "records"
    records.write_bytes(b"".join(authority.seal(LINE, {2: programme, 3: version, 4: line.point, 5: "Hall 1", 6: b"\x01", 7: now - 60, 8: now + 60, 9: ACTIVE})
                                 for version in range(1, 1002)))
    supply.run("register", "add", "--dir", supply.register_folder, records)
    while time.time() < json.loads(supply.export(after=1000).read_text())["entries"][-1]["time"] + 1:
        time.sleep(0.05)
    part, rest = map(json.loads, supply.export().read_text().splitlines())
    words = [cbor2.loads(cbor2.loads(b64url_decode(each["head"])).value[2]) for each in (part, rest)]
    assert [word[3] for word in words] == [1000, 1001]
    assert words[0][4] == part["entries"][-1]["time"] and words[1][4] > rest["entries"][-1]["time"]


@pytest.mark.parametrize("line,said", [
    ("mooring-factory", ""),
    ("mooring-factory mkae --count 3", 'there is no command "mkae": did you mean make?'),
    ("mooring-factory make --cuont 3", "make: there is no option --cuont: did you mean --count?"),
    ("mooring-factory make --count none --dir x", "make: --count must be a whole number from 1 to 100000000"),
    ("mooring-factory make", "make: --dir is needed"),
    ("mooring-factory publish", "usage: mooring-factory publish RECORDS"),
    ("mooring-factory line certfy", 'there is no command "line certfy": did you mean line certify?'),
    ("mooring-factory stage sign --countersign rsa", "stage sign: --countersign must be cose or psa-token, not \"rsa\""),
])
def test_wrong_use_is_exit_code_2_and_says_what_was_meant(line, said):
    done = subprocess.run([BUILD / line.split()[0], *line.split()[1:]], capture_output=True, text=True, check=False)
    assert done.returncode == 2 and (done.stderr.startswith(f"mooring-factory: {said}") if said else "usage:" in done.stdout)
