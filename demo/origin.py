"""The part of the story about where a device comes from: three makers, the OEM's orders, and those who did not keep to them."""

import json
import shutil
import time

from factory import FactoryError, SupplyChain
from narrator import expect_refusal
from stack import wait_until

BATCH = "2026-47"
FOUR_WEEKS = "+28d"


def prepare(stack, tell):
    """Programme, register and lines; before the gateway starts, which will ask for chains."""
    supply = SupplyChain(stack.folder / "supply", stack.program("mooring-factory"), name="Thermometers 2026",
                         environment=stack.environment.get("device"))
    supply.line("chips", 1, site="Chip vendor")
    supply.line("boards", 2, after=["chips"], site="Board maker")
    supply.line("assembly", 3, after=["boards"], site="Assembly, hall 1")
    supply.line("hall-2", 3, after=["boards"], site="Assembly, hall 2")
    stack.require_provenance(supply, {"new": {"stages": [1, 2, 3]}})
    tell.line(True, "the OEM began a programme: an order key and a line key kept offline, a register, four lines of three makers")
    tell.note("chips, then boards, then assembly in one of two halls: no other way makes a thermometer of this OEM")
    return supply


def announce(stack, *files):
    """The OEM's office gives the gateway what it has signed."""
    stack.ctl("provenance", "add", *files)


def place_orders(stack, tell, supply, quota):
    chips, boards, assembly, hall_2 = supply.lines.values()
    for line, stage, count in (chips, 1, 100), (boards, 2, 100), (assembly, 3, quota), (hall_2, 3, 100):
        supply.order(line, stage, BATCH, count, until=FOUR_WEEKS)
    announce(stack, *(line.record for line in supply.lines.values()), *supply.orders)
    tell.line(True, f"work orders signed and known to the gateway: the assembly in hall 1 may make {quota} devices, not one more")


def build(supply, devices, *names):
    """Through these lines, each of which signs for each device, with the device's chip on the bench."""
    for name in names:
        line = supply.lines[name]
        (order,) = line.orders.values()
        line.sign(order, *devices)


def outboxes(supply):
    return [line.outbox for line in supply.lines.values() if any(line.outbox.iterdir())]


def register(supply, *devices):
    """What the lines have signed goes into the register; the devices get its receipts, which say when."""
    supply.register(*(line.record for line in supply.lines.values()), *supply.orders, *outboxes(supply), devices=devices)


def built(tell, supply, devices):
    """Three, and a fourth that the order does not allow."""
    *three, fourth = devices
    build(supply, devices, "chips", "boards")
    build(supply, three, "assembly")
    register(supply, *three)
    size = sum((device / "normal/chain.cbor").stat().st_size for device in three) // 3
    tell.line(True, "three went through all stages: each line signed for each of them, each chip countersigned")
    tell.note(f"a device carries its chain: three statements and the register's receipt, {size} bytes")
    try:
        build(supply, [fourth], "assembly")
        stopped = None
    except FactoryError as error:
        stopped = error
    held = tell.line(stopped is not None and stopped.code == 3, "a fourth one at the assembly: the line's tool stops")
    if stopped:
        tell.note(next(line for line in stopped.said.splitlines() if "used up" in line).split(": ", 2)[-1])
    tell.row("a fourth device of an order for three", "not signed for: the order is used up", held)
    return fourth


def not_ours(stack, tell, supply, surplus):
    tell.chapter("5. A genuine chip is not yet the OEM's device")
    tell.note("each of these has a chip that the attestation service knows and vouches for")
    counterfeit(stack, tell)
    diverted(stack, tell, supply)
    overproduced(stack, tell, supply, surplus)
    line_revoked(stack, tell, supply)


def refuse(stack, tell, folder, story, reason):
    """The device's refusal, and its detail in the log."""
    device = stack.device(folder)
    event = device.wait_for("refused", "enrolled")
    expect_refusal(stack, tell, story, event, reason, public="provenance-refused")
    device.stop()
    if event["event"] != "refused":
        return {}
    entries = stack.ctl_json("explain", event["request_id"])["entries"]
    return json.loads(next(e for e in entries if e["kind"] == "refused")["detail"])


def counterfeit(stack, tell):
    (folder,) = stack.make_devices(1, "COUNTERFEIT")
    refuse(stack, tell, folder, "a counterfeit on the same chip", "chain-missing")


def diverted(stack, tell, supply):
    (folder,) = stack.make_devices(1, "DIVERTED")
    build(supply, [folder], "chips", "boards")
    register(supply, folder)
    detail = refuse(stack, tell, folder, "a board that left the chain before the assembly", "chain-diverted")
    if "registered" in detail:
        day = time.strftime("%d %B %Y", time.gmtime(detail["registered"]))
        tell.note(f"last seen honest: stage {detail['last_honest_stage']}, {detail['site']}, batch {detail['batch']}, {day}")


def overproduced(stack, tell, supply, surplus):
    """The assembly makes itself an order, and forgets which one it has counted under, so that its own tool signs on."""
    line = supply.lines["assembly"]
    cheat, office = supply.folder / "assembly-at-night", supply.folder / "office-of-its-own"
    shutil.copytree(line.folder, cheat)
    (cheat / f"counters/{BATCH}.3").unlink()
    supply.run("programme", "init", "--dir", office, "--name", "x", "--register-key", supply.register_folder / "register.pub.pem")
    forged, real = json.loads((office / "programme.json").read_text()), json.loads(supply.public.read_text())
    for folder in (office, cheat):
        (folder / "programme.json").write_text(json.dumps({**real, "programme_key": forged["programme_key"]}))
    order = supply.folder / "order-of-its-own"
    supply.run("order", "place", "--programme", office, "--batch", BATCH, "--stage", 3, "--line", line.record, "--quota", 1000,
               "--previous", supply.lines["boards"].record, "--until", FOUR_WEEKS, "--out", order)
    supply.run("stage", "sign", "--line", cheat, "--order", order, "--device", surplus)
    refuse(stack, tell, surplus, "the fourth one, signed for by a line that cheats", "order-over-quota")


def line_revoked(stack, tell, supply):
    """Two of hall 2: the key is in other hands from between them on, which is found out later."""
    before, after = stack.make_devices(2, "HALL-2")
    line = supply.lines["hall-2"]
    build(supply, [before, after], "chips", "boards")
    build(supply, [before], "hall-2")
    register(supply, before)
    since = newest_time(supply) + 1
    wait_until(lambda: time.time() >= since, "the register's next second")
    build(supply, [after], "hall-2")
    register(supply, after)
    announce(stack, line.change("revoke", "--from", since))
    device = stack.device(before)
    event = device.wait_for("refused", "enrolled")
    held = tell.line(event["event"] == "enrolled", "a line is revoked from a time on: what was registered before enrols as ever")
    tell.row("a device of a revoked line, from before", f"certificate, {event.get('thing', event.get('code'))}", held)
    device.stop()
    refuse(stack, tell, after, "a device of a revoked line, from after", "line-revoked")


def newest_time(supply):
    lines = supply.export().read_text().splitlines()
    return json.loads(lines[-1])["entries"][-1]["time"]
