"""mooringctl chain check: every field of a chain, and the rule that it breaks."""

import json
import os
import random
import subprocess
from pathlib import Path

import pytest
from provenance_maker import T0, Key, Site, seal
from provenance_reference import sha256

REPO = Path(__file__).resolve().parents[2]
CTL = Path(os.environ.get("MOORING_BUILD", REPO / "build")).resolve() / "mooringctl"


class Folder:
    """A programme of three stages and a device's chain, as the files that an operator has."""

    def __init__(self, path):
        self.path = path
        rng = random.Random(7)
        self.site = Site(rng, [Key(rng) for _ in range(8)], 3)
        self.device = self.site.device([T0, T0 + 60, T0 + 120]).build()
        self.programme_key = self.site.keys[0]
        self.write()

    def write(self):
        names = {"programme_key": self.programme_key, "line_authority_key": self.site.authority, "register_key": self.site.register}
        file = {"programme": self.site.programme.hex(), "name": "kettle", **{name: key.point.hex() for name, key in names.items()}}
        (self.path / "programme.json").write_text(json.dumps(file))
        (self.path / "chain.cbor").write_bytes(self.device.chain())
        for i, (record, order) in enumerate(zip(self.site.lines, self.site.orders)):
            (self.path / f"{i}.line").write_bytes(seal(self.site.authority, record))
            (self.path / f"{i}.order").write_bytes(seal(self.programme_key, order))

    def known(self):
        for i in range(3):
            yield from ("--line", self.path / f"{i}.line", "--order", self.path / f"{i}.order")

    def check(self, *more, json_wanted=False, programme=True, instance=True, known=True, chain=None):
        words = [*(["--json"] if json_wanted else []), "chain", "check", chain or self.path / "chain.cbor"]
        words += ["--programme", self.path / "programme.json"] if programme else []
        words += ["--instance-id", self.device.instance_id.hex()] if instance else []
        return subprocess.run([CTL, *words, *(self.known() if known else ()), *more], capture_output=True, text=True, timeout=30, check=False)


@pytest.fixture
def folder(tmp_path):
    return Folder(tmp_path)


def test_a_valid_chain_is_accepted_and_every_field_is_printed(folder):
    done = folder.check("--stages", ",".join(str(o[4]) for o in folder.site.orders))
    assert done.returncode == 0, done.stdout + done.stderr
    lines = done.stdout.splitlines()
    assert lines[-1].startswith("ACCEPT")
    shown = [line.strip().split(None, 1)[-1] for line in lines]
    for statement, fields, key in zip(folder.device.statements, folder.device.fields, folder.site.line_keys):
        for value in (sha256(statement).hex(), key.id.hex(), fields[3], str(fields[4]), str(fields[5]), fields[6].hex(), fields[7].hex()):
            assert value in shown
    for value in (folder.device.rot.point.hex(), folder.device.nonce.hex(), folder.device.countersignature.hex(), "signature of the RoT"):
        assert any(line.endswith(value) for line in lines), value
    assert sum("2023-11-14 22:1" in line for line in lines) >= 3, "times of the receipt are dates"
    assert "line 3" in lines and "work order 3" in lines and sum(line.endswith(" ok") for line in lines) == 4


def test_the_json_has_the_same(folder):
    answer = json.loads(folder.check(json_wanted=True).stdout)
    assert (answer["result"], answer["reason"], answer["honest"]) == ("ACCEPT", "", 3)
    assert [s["stage"] for s in answer["statements"]] == [o[4] for o in folder.site.orders]
    assert [t["time"] for t in answer["receipt"]["times"]] == [T0, T0 + 60, T0 + 120]
    assert answer["lines"][1]["site"] == "hall" and answer["orders"][2]["previous_lines"] == [folder.site.line_keys[1].id.hex()]


def suspended(folder):
    folder.site.lines[1][9] = 2


def over_quota(folder):
    folder.site.orders[2][6] = folder.device.fields[2][5] - 1 or 1
    folder.device.fields[2][5] = folder.site.orders[2][6] + 1
    for fields in folder.device.fields:
        del fields[7]
    folder.device.build()


def unregistered(folder):
    folder.device.receipt = b"\xf6"


def order_by_another_key(folder):
    folder.programme_key = folder.site.line_keys[0]
    folder.write()
    folder.programme_key = folder.site.keys[0]
    (folder.path / "programme.json").write_text((folder.path / "programme.json").read_text().replace(
        folder.site.line_keys[0].point.hex(), folder.programme_key.point.hex()))
    return "written"


@pytest.mark.parametrize("alter,reason,honest", [(suspended, "line-suspended", 1), (over_quota, "order-over-quota", 2), (unregistered, "chain-unregistered", 0),
                                                 (order_by_another_key, "provenance-signature", 0)], ids=lambda v: getattr(v, "__name__", None))
def test_a_chain_that_breaks_a_rule_is_rejected_with_it(folder, alter, reason, honest):
    if alter(folder) != "written":
        folder.write()
    answer = json.loads((done := folder.check(json_wanted=True)).stdout)
    assert (done.returncode, answer["result"], answer["reason"], answer["honest"]) == (1, "REJECT", reason, honest)
    people = folder.check()
    assert people.returncode == 1 and f"REJECT {reason}: {answer['rule']}" in people.stdout


def test_a_chain_that_ends_early_is_diverted_where_the_stages_are_said(folder):
    stages = [str(o[4]) for o in folder.site.orders]
    done = folder.check("--stages", ",".join([*stages, "255"]))
    assert done.returncode == 1 and "REJECT chain-diverted: " in done.stdout and "honest up to statement 3 of 3" in done.stdout
    assert "REJECT chain-stages: " in folder.check("--stages", "255").stdout


def test_what_nobody_verified_is_not_accepted(folder):
    for done in (folder.check(programme=False), folder.check(instance=False), folder.check(programme=False, instance=False, known=False)):
        assert done.returncode == 1 and "INCOMPLETE" in done.stdout and "ACCEPT" not in done.stdout
    unknown = folder.check(known=False)
    assert unknown.returncode == 1 and "REJECT line-unknown: " in unknown.stdout


def test_the_later_of_two_records_of_a_line_counts(folder):
    later = {**folder.site.lines[0], 3: 2, 9: 2}
    (folder.path / "later.line").write_bytes(seal(folder.site.authority, later))
    assert "REJECT line-suspended: " in folder.check("--line", folder.path / "later.line").stdout


def test_files_may_be_text_and_what_is_no_chain_says_why(folder):
    text = folder.path / "chain.hex"
    text.write_text(folder.device.chain().hex() + "\n")
    assert folder.check(chain=text).returncode == 0
    done = folder.check(chain=folder.path / "0.line")
    assert done.returncode == 1 and "REJECT cbor-type: " in done.stdout
    (folder.path / "programme.json").write_text("{}")
    done = folder.check()
    assert done.returncode == 1 and "mooringctl: config: " in done.stderr
