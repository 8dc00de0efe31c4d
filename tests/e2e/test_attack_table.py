"""The attack table of docs/provenance.md: test NN is row NN, and what it shows is what the row promises, or says that it does not.

Every attacker has genuine chips: attestation lets them pass, and who is refused is refused by the stage that comes after it (`refuses_for_its_origin`)
or by the store, which comes later still. What the attacker's own tools would do is done with stolen folders and keys.
"""

import base64
import json
import os
import shutil
import time

import cbor2
import mqtt_probe
import pytest
from attester import Attester, b64url, make_csr
from conftest import folder_for_daemons, new_stack, sanitizer_environment, start_services
from factory import FactoryError, SupplyChain, chain_of
from oem import Oem, keep_chain, private_key, put_chain, statements_of
from stack import StackError, wait_until
from supply_chain import Key, sha256
from verifier_peer import Verifier

DAY = 86400


@pytest.fixture(scope="module")
def oem():
    """One a worker; each test has batches, and where it takes one away, a line of its own."""
    with folder_for_daemons() as folder, new_stack(folder) as stack:
        made = Oem(stack.prepare(), sanitizer_environment().get("device"))
        start_services(stack)
        yield made


def enrolled(answer):
    status, body = answer
    assert status in (200, 201), answer
    return body


def write(oem, name, data):
    path = oem.supply.folder / name
    path.write_bytes(data)
    return path


def next_second(oem, statement):
    """The register counts whole seconds: waits until its next entry will be later than this one."""
    then = oem.time_of(statement)
    wait_until(lambda: time.time() >= then + 1, "the next second")
    return then + 1


def test_attack_01_counterfeit_oem_with_genuine_chips_of_the_same_vendor(oem):
    (counterfeit,) = oem.stack.make_devices(1, "R01")
    oem.refuses_for_its_origin(oem.enrol(counterfeit), "chain-missing")
    theirs = SupplyChain(oem.supply.folder / "R01-theirs", oem.supply.program, name="Thermo 2026", environment=oem.supply.environment)
    for stage, before in (1, []), (2, ["1"]), (3, ["2"]):
        theirs.line(str(stage), stage, after=before)
    theirs.build([counterfeit], "R01")
    theirs.register()
    oem.refuses_for_its_origin(oem.enrol(counterfeit), "chain-of-another-device")  # under another programme it is another device


def test_attack_02_contract_manufacturer_overproduces_with_the_honest_line_key(oem):
    devices = oem.stack.make_devices(3, "R02")
    oem.build(devices, "R02", lines=[oem.chips, oem.modules])
    oem.build(devices[:2], "R02", lines=[oem.final], quota=2)
    order = oem.final.orders["R02", 3]
    with pytest.raises(FactoryError) as stopped:
        oem.final.sign(order, devices[2])
    assert stopped.value.code == 3 and "order-over-quota: the order for stage 3 of batch R02 is used up: 2 of 2" in stopped.value.said
    for device in devices[:2]:
        enrolled(oem.enrol(device))
    chip = oem.chip(devices[2])  # so the line cheats, and signs for a third one without its own tool
    chip.chain.add(3, 3, "R02", signer=private_key(oem.final.folder / "line.key"), enter=False)
    keep_chain(devices[2], chip.chain.encode())
    with pytest.raises(FactoryError, match="order-over-quota: number 3 of an order for 2"):
        oem.register([], write(oem, "R02.third", chip.chain.statements[-1]))
    detail = oem.refuses_for_its_origin(oem.enrol(devices[2]), "order-over-quota")
    assert (detail["last_honest_stage"], detail["batch"]) == (2, "R02")
    assert any(alarm.get("batch") == "R02" for alarm in oem.alarms("order-over-quota"))


def test_attack_03_contract_manufacturer_uses_a_number_twice(oem):
    devices = oem.stack.make_devices(3, "R03")
    oem.build(devices, "R03", lines=[oem.chips, oem.modules])
    twin = oem.steal(oem.final, "R03-twin")
    oem.build(devices[:1], "R03", lines=[oem.final], quota=3)
    order = oem.final.orders["R03", 3]
    oem.supply.run("stage", "sign", "--line", twin, "--order", order, "--device", devices[1])
    assert cbor2.loads(cbor2.loads(statements_of(chain_of(devices[1]))[2]).value[2])[5] == 1, "it has used number 1 again"
    forgetful = oem.fork_of_the_register("R03-forgetful")  # has not seen the first of the two
    with pytest.raises(FactoryError, match="equivocation: number 1 of batch R03, stage 3 was signed for another device"):
        oem.register([], oem.final.signed("R03", 3, twin))
    assert (oem.supply.register_folder / "proofs" / f"{oem.final.id}-R03-3-1").is_dir()
    enrolled(oem.enrol(devices[0]))
    oem.refuses_for_its_origin(oem.enrol(devices[1]), "chain-unregistered")

    shutil.rmtree(forgetful)  # and if the register is the line's friend
    forgetful = restore_register(oem, "R03-friend", without=statements_of(chain_of(devices[0]))[2])
    oem.register([devices[1]], oem.final.signed("R03", 3, twin), register=forgetful)
    oem.refuses(oem.enrol(devices[1]), "equivocation")
    (alarm,) = [a for a in oem.alarms("equivocation") if a["batch"] == "R03"]
    assert (alarm["statement_used"], alarm["statement_shown"]) == tuple(b64url(statements_of(chain_of(d))[2]) for d in devices[:2])

    oem.final.sign(order, devices[2])  # honest, of the same batch: frozen with it, until somebody has looked
    oem.register([devices[2]], oem.final.signed("R03", 3))
    oem.refuses(oem.enrol(devices[2]), "batch-frozen")
    oem.stack.ctl("batch", "release", "R03", "--reason", "the line is closed, this one was counted by hand")
    enrolled(oem.enrol(devices[2]))
    oem.refuses(oem.enrol(devices[1]), "equivocation")


def restore_register(oem, name, without):
    """The register as it was before it had this statement: its own key signs on from there."""
    folder = oem.fork_of_the_register(name)
    log, at, entries = (folder / "register.log").read_bytes(), 0, 0
    while True:
        length = int.from_bytes(log[at:at + 4], "big")
        if sha256(log[at + 12:at + 12 + length]) == sha256(without):
            break
        at, entries = at + 4 + 8 + length + 32, entries + 1
    (folder / "register.log").write_bytes(log[:at])
    key, programme = private_key(folder / "register.key"), oem.programme.programme
    (folder / "head.cose").write_bytes(key.seal(5, {2: programme, 3: entries, 4: int(time.time()), 5: log[at - 32:at]}))
    return folder


def test_attack_04_half_built_module_is_diverted_and_finished_elsewhere(oem):
    (module,) = oem.make("R04", lines=[oem.chips, oem.modules])
    detail = oem.refuses_for_its_origin(oem.enrol(module), "chain-diverted")
    told = {name: detail[name] for name in ("last_honest_stage", "batch", "line", "site", "registered")}
    assert told == {"last_honest_stage": 2, "batch": "R04", "line": oem.modules.id, "site": "modules",
                    "registered": oem.time_of(statements_of(chain_of(module))[1])}
    assert any(alarm.get("batch") == "R04" and alarm["last_honest_stage"] == 2 for alarm in oem.alarms("chain-diverted"))


def test_attack_05_flash_of_a_good_device_is_copied_onto_another_chip(oem):
    (good,) = oem.make("R05")
    (other,) = oem.stack.make_devices(1, "R05-other")
    keep_chain(other, chain_of(good))
    oem.refuses_for_its_origin(oem.enrol(other), "chain-of-another-device")
    enrolled(oem.enrol(good))


def test_attack_06_chain_of_one_device_with_the_csr_of_an_attacker(oem):
    (good,) = oem.make("R06")
    (attacker,) = oem.stack.make_devices(1, "R06-attacker")
    taken, own = oem.request(good), oem.request(attacker)
    oem.refuses(oem.post({**taken, "csr": own["csr"]}), "nonce-mismatch", "attestation-refused")
    oem.refuses_for_its_origin(oem.post(put_chain(own, chain_of(good))), "chain-of-another-device")
    enrolled(oem.post(oem.request(good)))


def test_attack_07_stolen_line_key_outside_the_factory(oem):
    mine = oem.supply.line("R07", 3, after=["modules"])
    devices = oem.stack.make_devices(5, "R07")
    oem.build(devices[:4], "R07", lines=[oem.chips, oem.modules])
    oem.build(devices[:1], "R07", lines=[mine], quota=3)
    order, stolen = mine.orders["R07", 3], oem.steal(mine, "R07-stolen")
    sign = ("stage", "sign", "--line", stolen, "--order", order, "--device")

    assert "order-route" in oem.supply.run(*sign, devices[4], check=False).stderr  # a chip that no line of ours has seen
    chip = oem.chip(devices[4])
    key = private_key(stolen / "line.key")
    chip.chain.add(3, 3, "R07", signer=key, enter=False)
    keep_chain(devices[4], chip.chain.encode())
    oem.refuses_for_its_origin(oem.enrol(devices[4]), "order-route")

    oem.supply.run(*sign, devices[1])  # a stolen module, under a number that was free, registered in time: it gets in
    oem.register([devices[1]], mine.signed("R07", 3, stolen))
    enrolled(oem.enrol(devices[1]))

    since = next_second(oem, statements_of(chain_of(devices[1]))[2])  # the theft is found out: nothing counts from here on
    oem.supply.run(*sign, devices[2])
    oem.register([devices[2]], mine.signed("R07", 3, stolen))
    oem.add(mine.change("revoke", "--from", since))
    oem.refuses_for_its_origin(oem.enrol(devices[2]), "line-revoked")
    assert any(alarm.get("line") == oem.modules.id for alarm in oem.alarms("line-revoked"))
    chip = oem.chip(devices[3])  # and beyond the order's quota nothing ever did
    chip.chain.add(3, 4, "R07", signer=key, enter=False)
    keep_chain(devices[3], chip.chain.encode())
    oem.refuses_for_its_origin(oem.enrol(devices[3]), "order-over-quota")
    assert oem.stack.show(enrolled(oem.enrol(devices[0]))["thing"])["state"] == "active", "made before the theft"


def test_attack_08_stolen_line_key_signs_with_a_time_before_the_theft(oem):
    mine = oem.supply.line("R08", 3, after=["modules"])
    devices = oem.stack.make_devices(2, "R08")
    oem.build(devices, "R08", lines=[oem.chips, oem.modules])
    order, key = oem.supply.order(mine, 3, "R08"), private_key(mine.folder / "line.key")
    oem.add(mine.record, order)
    for number, (device, claimed) in enumerate(zip(devices, (time.time() + 300 * DAY, time.time() - 30 * DAY)), 1):
        chip = oem.chip(device)
        chip.chain.add(3, number, "R08", signer=Backdating(key, int(claimed)), enter=False)
        keep_chain(device, chip.chain.encode())
        oem.register([device], mine.record, order, write(oem, f"R08.{number}", chip.chain.statements[-1]))
        since = next_second(oem, chip.chain.statements[-1]) if number == 1 else since
    oem.add(mine.change("revoke", "--from", since))
    oem.refuses_for_its_origin(oem.enrol(devices[1]), "line-revoked")  # "made" a month before
    enrolled(oem.enrol(devices[0]))  # registered before, whatever its line's clock said


class Backdating(Key):
    """Signs what it is given under another time."""

    def __init__(self, key, claimed):
        super().__init__(key.private)
        self.claimed = claimed

    def seal(self, kind, fields):
        return super().seal(kind, {**fields, 8: self.claimed})


def test_attack_09_stolen_programme_key(oem):
    thief = oem.supply.folder / "R09-thief"
    shutil.copytree(oem.supply.programme, thief)
    (thief / "line-authority.key").unlink()  # kept by another person
    (device,) = oem.stack.make_devices(1, "R09")
    oem.build([device], "R09", lines=[oem.chips, oem.modules])
    line = oem.supply.folder / "R09-line"
    oem.supply.run("line", "init", "--dir", line, "--programme", oem.supply.public)
    key = private_key(line / "line.key")
    order = oem.order_of(thief, key.id.hex(), "R09", 3, 4_000_000, oem.modules.record)
    oem.add(order)  # not even if somebody brings it
    chip = oem.chip(device)
    chip.chain.add(3, 1, "R09", signer=key, enter=False)
    keep_chain(device, chip.chain.encode())
    oem.refuses_for_its_origin(oem.enrol(device), "line-unknown")
    record = private_key(thief / "programme.key").seal(3, {
        2: oem.programme.programme, 3: 1, 4: key.point, 5: "ghost", 6: b"\x03", 7: int(time.time()) - DAY, 8: int(time.time()) + DAY, 9: 1})
    with pytest.raises(StackError, match="the key id is not this key's"):
        oem.add(write(oem, "R09.record", record))
    (shown,) = [o for o in oem.stack.ctl_json("order", "list", "--batch", "R09")["orders"] if o["line"] == key.id.hex()]
    assert (shown["batch"], shown["quota"], shown["used"]) == ("R09", 4_000_000, 0), "an order that nobody placed is there to be seen"


def test_attack_10_both_a_line_key_and_the_programme_key(oem):
    mine = oem.supply.line("R10", 3, after=["modules"])
    devices = oem.stack.make_devices(2, "R10")
    oem.build(devices, "R10", lines=[oem.chips, oem.modules])
    oem.register([], mine.record)
    oem.add(mine.record)
    stolen = oem.steal(mine, "R10-stolen")
    before = len(oem.entries())
    order = oem.order_of(oem.supply.programme, mine.record, "R10", 3, 1000, oem.modules.record)
    oem.supply.run("stage", "sign", "--line", stolen, "--order", order, "--device", devices[0], "--device", devices[1])
    oem.register(devices[:1], order, mine.signed("R10", 3, stolen))
    oem.refuses_for_its_origin(oem.enrol(devices[0]), "order-missing")  # until an operator brings the order that nobody placed
    assert any(alarm.get("batch") == "R10" for alarm in oem.alarms("order-missing"))
    oem.add(order)
    enrolled(oem.enrol(devices[0]))  # what is left: until somebody looks, these get in
    (shown,) = oem.stack.ctl_json("order", "list", "--line", mine.id)["orders"]
    assert (shown["quota"], shown["used"]) == (1000, 1) and len(oem.entries()) == before + 3, "and it stands in the register and at the gateway"
    oem.supply.run("register", "receipt", "--dir", oem.supply.register_folder, devices[1])
    oem.add(mine.change("revoke", "--from", oem.time_of(statements_of(chain_of(devices[1]))[2])))
    oem.refuses_for_its_origin(oem.enrol(devices[1]), "line-revoked")


@pytest.fixture
def attestation_may_stop(oem):
    """It is back for whoever comes next."""
    yield
    daemons = oem.stack.daemons
    for name in ("attestd", "attestation-edge"):
        if not daemons[name].running():
            daemons[name].start()
    oem.stack.services_ready()


def test_attack_11_attestation_service_that_lies(oem, attestation_may_stop):
    for name in ("attestation-edge", "attestd"):
        oem.stack.daemons[name].stop()
    (good,) = oem.build(made_without_records(oem, "R11", 1), "R11")
    with Verifier(oem.stack) as liar:
        wait_until(lambda: oem.client.enrol(Attester())[0] == 403, "a gateway that has found the service")
        invented = Attester()  # a chip that nobody made, and the service vouches for it
        oem.refuses_for_its_origin(vouched(oem, liar, invented), "chain-missing")
        oem.refuses_for_its_origin(vouched(oem, liar, invented, chain_of(good)), "chain-of-another-device")
        invented.instance = oem.chip(good).instance  # or for another key in the place of a chip that was made
        oem.refuses_for_its_origin(vouched(oem, liar, invented, chain_of(good)), "rot-key-mismatch")
        assert oem.alarms("rot-key-mismatch")
        assert oem.stack.ctl("show", invented.instance.hex(), check=False).returncode == 1, "nothing was issued"


def made_without_records(oem, batch, count):
    out = oem.stack.folder / "factory" / batch
    oem.supply.run("make", "--count", count, "--dir", out, "--batch", batch)
    return [out / str(n) for n in range(1, count + 1)]


def vouched(oem, liar, chip, chain=None):
    return oem.post(put_chain(liar.request(oem.client, chip), chain))


def test_attack_12_attestation_service_that_is_dead(oem, attestation_may_stop):
    (device,) = oem.make("R12")
    request = oem.request(device)
    oem.stack.daemons["attestation-edge"].stop()
    status, headers, body = oem.client.post("/v1/enrolments", request)
    assert (status, body.get("code")) == (503, "try-later") and int(headers["Retry-After"]) > 0, "no verdict is no certificate"
    files = [word for line in oem.new for word in ("--line", line.record, "--order", line.orders["R12", line.stages[0]])]
    checked = oem.stack.ctl("chain", "check", device / "normal/chain.cbor", "--programme", oem.supply.public,
                            "--instance-id", oem.chip(device).identity["instance_id"], *files)
    assert checked.stdout.splitlines()[-1].startswith("ACCEPT"), "where it comes from can be told without it"
    oem.stack.start("attestation-edge").services_ready()
    wait_until(lambda: oem.enrol(device)[0] == 201, "a certificate once it is back")


def test_attack_13_register_that_drops_reorders_or_tells_two_stories(oem):
    devices = oem.stack.make_devices(3, "R13")
    oem.build(devices, "R13", lines=[oem.chips, oem.modules])
    mine = oem.supply.line("R13", 3, after=["modules"])
    order = oem.supply.order(mine, 3, "R13")
    oem.add(mine.record, order)
    mine.sign(order, *devices)
    oem.register([], mine.record, order)
    fork = oem.fork_of_the_register("R13-fork")
    first, second, third = (write(oem, f"R13.{n}", statements_of(chain_of(d))[2]) for n, d in enumerate(devices))
    oem.register(devices[:1], first)
    oem.register(devices[1:2], second, register=fork)
    before = len(oem.entries())

    oem.refuses_for_its_origin(oem.enrol(devices[2]), "chain-unregistered")  # dropped: it is missed, not trusted
    honest = oem.export(oem.supply.register_folder, oem.supply.folder / "R13.ndjson")
    oem.stack.ctl("provenance", "push", honest)
    oem.refuses(oem.enrol(devices[1]), "register-history")  # two stories: a receipt that is not of the history that was pushed
    enrolled(oem.enrol(devices[0]))
    line = json.loads(honest.read_text().splitlines()[-1])
    line["entries"][-2:] = line["entries"][:-3:-1]
    for lie in (oem.export(fork, oem.supply.folder / "R13-fork.ndjson").read_text(), json.dumps(line) + "\n"):
        status, answer = oem.push(lie)
        assert (status, answer["reason"]) == (403, "register-history"), answer
    kept = [("receipt" in alarm, "word_pushed" in alarm) for alarm in oem.alarms("register-history")]
    assert kept == [(True, False), (False, True), (False, True)], "both words, for whoever has to be shown"

    shutil.rmtree(oem.supply.folder / "R13-fork")  # what it drops after it has given a receipt is with the device and with the gateway
    oem.register(devices[2:], third)
    assert len(oem.entries()) == before + 1
    enrolled(oem.enrol(devices[2]))


def test_attack_14_extracted_rot_key(oem):
    (twin,) = oem.make("R14")
    clone = shutil.copytree(twin, oem.stack.folder / "factory/R14-clone")
    first = enrolled(oem.enrol(clone))  # whoever comes first is let in: cryptography cannot tell twin from twin
    oem.refuses(oem.enrol(twin), "clone-suspect", "policy-refused")
    assert oem.stack.show(first["thing"])["state"] == "suspended", "and neither is trusted once both have come"
    assert any(a["thing"] == first["thing"] for a in oem.stack.ctl_json("alarms")["alarms"])
    oem.refuses(oem.enrol(clone), "device-quarantined", "policy-refused")


def test_attack_15_replayed_enrolment(oem):
    (device,) = oem.make("R15")
    request = oem.request(device)
    first = enrolled(oem.post(request))
    status, again = oem.post(request)
    assert (status, again["code"]) == (409, "nonce-spent")
    status, third = oem.enrol(device)  # the device itself, whose answer was lost
    assert status == 200 and third["certificatePem"] == first["certificatePem"]
    assert len(oem.stack.show(first["thing"])["certificates"]) == 1


def test_attack_16_insider_at_the_line_signs_for_chips_it_never_saw(oem):
    (device,) = oem.make("R16", lines=[oem.chips, oem.modules])
    order = oem.supply.order(oem.final, 3, "R16")
    oem.add(oem.final.record, order)
    chip = oem.chip(device)
    modules = chip.chain.countersignature  # of the stage before: the only one that the insider can have seen
    absent = Attester()
    chip.chain.rot = Key(absent.rot)
    chip.chain.add(3, 1, "R16", signer=private_key(oem.final.folder / "line.key"), enter=False)
    statement = write(oem, "R16.statement", chip.chain.statements[-1])
    keep_chain(device, chip.chain.encode())
    oem.register([device], oem.final.record, order, statement)
    oem.refuses_for_its_origin(oem.enrol(device), "countersignature")
    chip.chain.countersignature = modules
    keep_chain(device, chip.chain.encode())
    oem.register([device], statement)
    oem.refuses_for_its_origin(oem.enrol(device), "countersignature")


def test_attack_17_back_door_in_the_firmware_is_not_stopped(oem):
    """Provenance is not integrity: who made the device is known, what a maker put into it is not. Measured boot would tell, and the attestation
    service would have to be given reference values."""
    (device,) = oem.stack.make_devices(1, "R17")
    oem.build([device], "R17", lines=[oem.chips])
    identity = json.loads((device / "secure/identity.json").read_text())
    path = device / "secure/identity.json"  # at the second line the firmware is replaced by somebody else's
    path.write_text(json.dumps({**identity, "software_signer": "ba" * 32}))
    oem.build([device], "R17", lines=[oem.modules, oem.final])
    request = oem.request(device)
    evidence = cbor2.loads(cbor2.loads(base64.b64decode(request["evidence"]["value"])).value[2])
    assert any(bytes.fromhex("ba" * 32) in component.values() for component in evidence[2399]), "the evidence says so, and nobody asks it to"
    enrolled(oem.post(request))


def test_attack_18_used_device_is_refurbished(oem):
    (device,) = oem.make("R18")
    first = enrolled(oem.enrol(device))
    new_owner = shutil.copytree(device, oem.stack.folder / "factory/R18-resold")
    for path in (*(new_owner / "secure").glob("device-*"), new_owner / "normal/state.json"):
        path.unlink(missing_ok=True)
    order = oem.supply.order(oem.refurbishing, 6, "R18")
    oem.add(oem.refurbishing.record, order)
    assert "line-stage" in oem.supply.run("stage", "sign", "--line", oem.final.folder, "--order", oem.supply.order(oem.final, 6, "R18", previous=["final"]),
                                          "--device", new_owner, check=False).stderr, "not by a line that may not"
    oem.refurbishing.sign(order, new_owner)
    oem.register([new_owner], oem.refurbishing.record, order, oem.refurbishing.signed("R18", 6))
    second = enrolled(oem.enrol(new_owner))
    shown = oem.stack.show(first["thing"])
    assert (second["thing"], shown["generation"], shown["state"]) == (first["thing"], 2, "active")
    states = {c["certificateId"]: c["state"] for c in shown["certificates"]}
    assert states == {first["certificateId"]: "revoked", second["certificateId"]: "active"}
    oem.refuses(oem.enrol(device), "clone-suspect", "policy-refused")  # a copy of what it was before is a clone, and told as one


BOMBS = {
    "nested": b"\x81" * 4000, "huge array": b"\x9b\x7f" + b"\xff" * 7, "huge text": b"\x83\x81\x7b\x7f" + b"\xff" * 7, "endless": b"\x9f" * 4000,
    "map": b"\xbb" + b"\xff" * 8, "too large": b"\x83\x80" + bytes(5000), "tags": b"\xd2" * 4000, "empty": b"",
}


def test_attack_19_bombs_of_cbor_and_csr(oem):
    (device,) = oem.make("R19")
    resident = memory(oem)
    good = chain_of(device)
    for bomb in (*BOMBS.values(), good[:-1], good + b"\0", good[:1] + b"\x98\x03" + good[2:]):
        status, body = oem.post({**oem.request(device), "chain": b64url(bomb)})
        assert status == 400, (bomb[:20], body)
    chip = Attester()
    for csr in (b"\x30\x84\x7f\xff\xff\xff", b"\x30\x80" * 2000, bytes(60000), make_csr(chip.key) + bytes(9000)):
        status, body = oem.post(put_chain(oem.client.request(chip, csr=csr), good))
        assert status in (400, 413), (csr[:20], body)
    assert memory(oem) < resident + 16384, "kB"
    enrolled(oem.enrol(device))


def memory(oem):
    with open(f"/proc/{oem.stack.daemons['gateway'].pid}/status", encoding="ascii") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmRSS"))


def test_attack_20_gateway_is_set_back_to_yesterdays_copy(oem):
    stack = oem.stack
    gateway, state, copy = stack.daemons["gateway"], stack.folder / "gateway/state", stack.folder / "yesterday"
    (device,) = oem.make("R20")
    stack.start("broker")
    wait_until(stack.broker_live, "the broker's feed")
    gateway.stop()
    shutil.copytree(state, copy)
    gateway.start()
    wait_until(stack.broker_live, "the broker's feed")
    clone = shutil.copytree(device, stack.folder / "factory/R20-clone")

    first = Certificate(oem, device)  # used today
    assert first.connects() == 0
    gateway.stop()
    restore(copy, state)
    gateway.start()
    stack.services_ready()
    wait_until(lambda: oem.alarms("log-rolled-back"), "the gateway told that the broker is ahead of it")
    second = Certificate(oem, clone)  # a second key: the gateway has forgotten the first
    assert second.connects() == 5, "a broker takes nothing of a gateway that is behind it"
    stack.ctl("epoch", "raise", "--reason", "copy of yesterday")
    wait_until(lambda: second.connects() == 0, "the broker to follow again")
    assert first.connects() == 5, "never both: what is not on record is not admitted"
    assert len(stack.show(first.thing)["certificates"]) == 1
    oem.refuses(oem.enrol(device), "clone-suspect", "policy-refused")  # and the first one's return is told
    stack.daemons["broker"].stop()


class Certificate:
    """An enrolled device's, for connections."""

    def __init__(self, oem, folder):
        answer = enrolled(oem.enrol(folder))
        self.stack, self.thing = oem.stack, answer["thing"]
        self.pem = folder / "certificate.pem"
        self.pem.write_text(answer["certificatePem"] + answer["chainPem"])
        (self.key,) = (folder / "secure").glob("device-*.key")

    def connects(self):
        """What the broker says to it: 0, or 5 for not authorised."""
        return mqtt_probe.connect(self.stack, mqtt_probe.context(self.stack, self.pem, self.key), self.thing)[0]


def restore(copy, state):
    """Contents back in place, owner and all."""
    owner = state.stat()
    shutil.rmtree(state)
    shutil.copytree(copy, state)
    for path in (state, *state.rglob("*")):
        os.chown(path, owner.st_uid, owner.st_gid)
    state.chmod(owner.st_mode & 0o777)
