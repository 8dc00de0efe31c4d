"""Prints the story line by line, and counts what held."""

import os
import sys
import time

COLOUR = sys.stdout.isatty() and "NO_COLOR" not in os.environ


def paint(code, text):
    return f"\033[{code}m{text}\033[0m" if COLOUR else text


class Narrator:
    """Prints the story, counts what held and what did not."""

    def __init__(self):
        self.rows, self.failed, self.started = [], 0, time.monotonic()

    def chapter(self, title):
        print(f"\n{paint('1', title)}", flush=True)

    def line(self, held, text):
        mark = paint("32", "ok  ") if held else paint("31", "FAIL")
        print(f"  {mark} {text}", flush=True)
        self.failed += not held
        return held

    def note(self, text):
        print(f"       {paint('2', text)}", flush=True)

    def row(self, what, outcome, held):
        self.rows.append((what, outcome, held))

    def summary(self):
        if self.rows:
            self.chapter("What happened")
        width = max((len(what) for what, _, _ in self.rows), default=0)
        for what, outcome, held in self.rows:
            print(f"  {what:<{width}}  {outcome}{'' if held else paint('31', '   <- not as it should be')}")
        seconds = time.monotonic() - self.started
        did_not = f"{self.failed} line{'s' if self.failed > 1 else ''} did not hold"
        summary = paint("31", did_not) if self.failed else paint("32", "every line held")
        print(f"\nAll of it is gone again; `make run` leaves everything up.\n{summary} ({seconds:.0f} s)")
        return 1 if self.failed else 0


def expect_refusal(stack, tell, story, event, reason, public):
    if event["event"] != "refused":
        tell.line(False, f"{story}: got {event}")
        tell.row(story, "not refused", False)
        return
    found, rule = stack.explain(event["request_id"])
    held = tell.line(found == reason and event["code"] == public, f"{story}: told only '{event['code']}'")
    tell.note(f"mooringctl explain {event['request_id']}: {found}")
    tell.note(f"  {rule}")
    tell.row(story, f"refused: {found}", held)
