"""Every program teaches its own use, and says what was probably meant."""

import os
import subprocess
from pathlib import Path

import pytest

REPO = Path(__file__).resolve().parents[2]
BUILD = Path(os.environ.get("MOORING_BUILD", REPO / "build")).resolve()
PROGRAMS = ["mooring-gateway", "mooring-signer", "mooring-attestd", "mooring-ca", "mooring-device", "mooring-factory", "mooringctl"]


def run(*words):
    return subprocess.run([BUILD / words[0], *words[1:]], capture_output=True, text=True, timeout=20, check=False)


@pytest.mark.parametrize("program", PROGRAMS)
def test_help_has_the_sections_of_a_man_page(program):
    done = run(program, "--help")
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert lines[0].startswith(f"usage: {program} ") and max(map(len, lines)) <= 110
    for section in ("Options", "Exit code", "Files"):
        assert any(line.startswith(section) for line in lines), section
    assert "Examples" in lines or "A first look" in lines
    assert run(program, "--version").stdout.startswith(f"{program} ")


@pytest.mark.parametrize("line,said", [
    ("mooring-gateway --confg x", "there is no option --confg: did you mean --config?"),
    ("mooring-signer --config", "--config needs a value;"),
    ("mooring-attestd -x", "there is no option -x;"),
    ("mooring-gateway", "--config FILE is missing;"),
    ("mooring-gateway run", "it takes options only;"),
    ("mooring-ca", "a command is missing: init, issue-service, issue-ca or status;"),
    ("mooring-ca issue-servce x", 'there is no command "issue-servce": did you mean issue-service?'),
    ("mooring-ca init --nmae x", "init: there is no option --nmae: did you mean --name?"),
    ("mooring-ca issue-service x --sans y", "issue-service: there is no option --sans: did you mean --san?"),
    ("mooring-ca issue-ca device --dir", "issue-ca: --dir needs a value;"),
    ("mooring-ca status --jsn", "status: there is no option --jsn: did you mean --json?"),
    ("mooring-ca init", "init needs --dir, --name and --trust-domain;"),
])
def test_wrong_use_is_exit_code_2_and_says_what_was_meant(line, said):
    done = run(*line.split())
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(f"{line.split()[0]}: {said} ") and done.stderr.count("\n") == 1
