"""docs/provenance.cddl and the code say the same of every field of every object."""

import os
import re
import subprocess
from pathlib import Path

import pytest
from cddl import Cddl, Malformed, decode

REPO = Path(__file__).resolve().parents[2]
BUILD = Path(os.environ.get("MOORING_BUILD", REPO / "build")).resolve()
TEXT = (REPO / "docs/provenance.cddl").read_text()
OBJECTS = ["stage-statement", "work-order", "line-record", "receipt", "register-head"]


def ask(command):
    done = subprocess.run([BUILD / "mooring-chain-checker"], input=command + "\n", capture_output=True, text=True, timeout=20, check=True)
    lines = done.stdout.splitlines()
    assert lines[-1] == "done"
    return [line.split() for line in lines[:-1]]


def documented(name):
    """The rows of an object in the CDDL, as the code prints its own: what a key is called is the first word of its comment."""
    cddl = Cddl(TEXT)
    comments = re.search(rf"^{name}-content = \{{\n(.*?)^\}}", TEXT, re.M | re.S)[1]
    names = {int(key): word for key, word in re.findall(r"^\s*(?:\? )?(\d+): [^;]*; ([\w-]+)", comments, re.M)}
    for key, (optional, node) in cddl.rules[f"{name}-content"][1][1].items():
        node = cddl.resolve(node)
        kind, least, most = ("uint", *node[1:]) if node[0] == "number" else node[1:]
        yield [name, str(key), names[key], "optional" if optional else "required", kind, str(least), str(most)]


@pytest.mark.parametrize("name", OBJECTS)
def test_each_field_is_documented_as_it_is_read(name):
    assert list(documented(name)) == [row for row in ask("formats") if row[0] == name]


def test_all_objects_are_documented_and_no_other():
    signed = re.findall(r"^([\w-]+) = signed<\1-content>$", TEXT, re.M)
    assert sorted(signed) == sorted(OBJECTS) == sorted({row[0] for row in ask("formats")})


def test_what_the_code_makes_is_what_the_document_describes():
    cddl, seen = Cddl(TEXT), set()
    for name, made in ask("make"):
        made = bytes.fromhex(made)
        cddl.matches(name, made)
        seen.add(name)
        for other in OBJECTS:
            if other != name:
                with pytest.raises(Malformed):
                    cddl.matches(other, made)
    assert seen == {*OBJECTS, "provenance-chain"}


def test_a_field_changed_in_the_document_alone_is_noticed():
    """Of the statement, in each way in which a field can go wrong: this test tests the two above."""
    made = [bytes.fromhex(value) for name, value in ask("make") if name == "stage-statement"]
    rule = re.search(r"^stage-statement-content = \{.*?^\}", TEXT, re.M | re.S)[0]
    for was, becomes in (("  8: unix-time,", ""), ("? 9:", "9:"), ("6: hash", "6: key-id"), ("4: stage-number", "4: batch-name"),
                         ("  4: stage", "  10: stage"), ("{\n", "{\n  11: hash,\n")):
        changed = Cddl(TEXT.replace(rule, rule.replace(was, becomes, 1)))
        refused = 0
        for one in made:
            try:
                changed.matches("stage-statement", one)
            except Malformed:
                refused += 1
        assert refused, was


@pytest.mark.parametrize("text", ["1801", "190001", "9f01ff", "5f4101ff", "a2010001", "a20201010a", "a201000100", "f7", "f4", "fb3ff0000000000000", "1c", "6180", "4201", "0000", ""])
def test_the_reader_behind_these_tests_is_strict(text):
    with pytest.raises(Malformed):
        decode(bytes.fromhex(text))
