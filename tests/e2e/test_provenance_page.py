"""docs/provenance.md, walked as it stands: every block of its walk, in order, in one empty folder, comes to what the page says."""

import json
import re

import pytest
from conftest import REPO, start_services
from stack import wait_until

BEGINS, RESTART, ENDS = "<!-- walk: tests/e2e/test_provenance_page.py", "<!-- walk: restart the gateway -->", "<!-- walk: ends -->"


def steps_of(page):
    """The walk's blocks, without their indent, and RESTART where the reader restarts the gateway."""
    walk = page[page.index(BEGINS):page.index(ENDS)]
    found = re.findall(rf"^{re.escape(RESTART)}$|(?:^    .*\n)+", walk, re.M)
    return [step if step == RESTART else re.sub(r"^    ", "", step, flags=re.M) for step in found]


def restart_gateway(stack):
    stack.daemons["gateway"].stop()
    stack.start("gateway").services_ready()


class Reader:
    """Copies blocks into a shell that has read `run/env`."""

    def __init__(self, stack, folder):
        self.stack, self.folder, self.env = stack, folder, stack.write_env()

    def copy(self, block):
        done = self.stack.run("bash", "-euc", f". {self.env}\n{block}", check=False, cwd=self.folder,
                              env={"PATH": "/usr/bin:/bin", **self.stack.environment.get("device", {})})
        assert done.returncode == 0, f"{block}\nexit {done.returncode}\n{done.stdout}{done.stderr}"
        return done.stdout

    def walk(self, steps):
        """What each block printed, by its text."""
        said = {}
        for step in steps:
            if step == RESTART:
                restart_gateway(self.stack)
                continue
            if step.startswith("mooringctl explain"):  # a refusal is answered before it is in the log
                wait_until(lambda: self.is_logged("refused.ndjson"), "the refusal in the log")
            said[step] = self.copy(step)
        return said

    def is_logged(self, events):
        request = self.events(events)[-1]["request_id"]
        return self.stack.ctl("explain", request, check=False).returncode == 0

    def events(self, name):
        return [json.loads(line) for line in (self.folder / name).read_text().splitlines()]


@pytest.fixture
def page():
    return (REPO / "docs/provenance.md").read_text()


def said_by(said, words):
    """What the one block printed that has these words."""
    (found,) = [text for block, text in said.items() if words in block]
    return found


def test_the_walk_of_the_page_ends_with_a_device_that_enrolled_and_a_stranger_that_did_not(cold, page, tmp_path):
    start_services(cold)
    reader = Reader(cold, tmp_path)
    said = reader.walk(steps_of(page))

    quoted = [("stage sign", "2 signed, 1 signed before, 0 refused; 3 of 500 numbers used"),
              ("register add", "10 new, 0 there already, 0 refused; 10 entries"),
              ("chain check", "ACCEPT")]
    for words, promise in quoted:
        assert promise in page and promise in said_by(said, words)

    shown = said_by(said, "mooringctl show")
    assert re.search(r"Thermo 2026", shown) and "2026-47" in shown
    assert "Chip vendor" in shown and "Shenzhen B2" in shown
    assert "enrolled" in [event["event"] for event in reader.events("enrolled.ndjson")]

    assert reader.events("refused.ndjson")[-1]["code"] == "provenance-refused"
    assert "chain-missing" in said_by(said, "mooringctl explain")


def test_a_line_is_three_commands(page):
    """As the page says; not counting what the reader is shown besides."""
    lines = [block for block in steps_of(page) if "--dir line-2" in block and "line init" in block]
    (block,) = lines
    commands = re.findall(r"^mooring-factory (.*)", block, re.M)
    assert [" ".join(c.split()[:2]) for c in commands] == ["line init", "line certify", "line trust", "line status"]


@pytest.mark.parametrize("name", ["provenance.md", "operator.md"])
def test_the_pages_name_files_alike(name):
    text = (REPO / "docs" / name).read_text()
    assert "provenance add *.record *.order" in text and "provenance push register.ndjson" in text
    assert not re.search(r"lines/\*|orders/\*|outboxes/|new\.ndjson", text)
