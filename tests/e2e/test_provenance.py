"""Where provenance is asked: which chains are believed, what is used once, and what an operator is told."""

import copy
import json
import time

import cbor2
import pytest
from attester import IMPLEMENTATION, Client, b64url, b64url_decode, published
from conftest import configure, start_services
from cryptography.hazmat.primitives.asymmetric import ec
from supply_chain import REVOKED, SUSPENDED, Factory, Key, sha256
from test_ctl_live import signed


@pytest.fixture
def factory(cold):
    return Factory(cold.folder)


@pytest.fixture
def begin(cold, factory):
    """Starts the services with a class of devices, its lines and orders known."""
    def start(bring=True, **options):
        configure(cold, "gateway", provenance=f"[{factory.device_class(**options)}]")
        start_services(cold)
        if bring:
            add(cold, *factory.line_records(), *factory.orders())
        return Client(cold)
    return start


def ask(stack, method, path, body=None):
    data = json.dumps(body).encode() if body is not None else b""
    status, _, answer = stack.https(method, stack.ports["admin"], path, data or None, signed(stack, method, path, data))
    return status, json.loads(answer)


def add(stack, *objects):
    status, answer = ask(stack, "POST", "/v1/admin/provenance/objects", {"objects": [b64url(o) for o in objects]})
    assert status == 200, answer
    return answer


def push(stack, factory, first=1, last=None, **head):
    return ask(stack, "POST", "/v1/admin/provenance/register", factory.push_body(first, last, **head))


def explained(stack, answer):
    """The one entry of a refused request, with its detail."""
    entries = stack.ctl_json("explain", answer["request_id"])["entries"]
    entry = next(e for e in entries if e["kind"] == "refused")
    return entry["reason"], json.loads(entry["detail"])


def test_a_device_with_its_chain_enrols(cold, factory, begin):
    client = begin()
    device = factory.make(published(cold)[0], 1)
    status, _, answer = client.enrol(device)
    assert status == 201, explained(cold, answer)


def test_an_operator_is_shown_where_a_device_was_built(cold, factory, begin):
    client = begin()
    device = factory.make(published(cold)[0], 7)
    device.chain.receipt = None
    push(cold, factory)
    status, _, answer = client.enrol(device)
    assert status == 201, explained(cold, answer)
    built = cold.ctl_json("show", answer["thing"])["provenance"]
    assert (built["programme"], built["name"], built["batch"]) == (factory.programme.hex(), factory.name, "B1")
    assert built["stages"] == [
        {"stage": n, "batch": "B1", "seq": 7, "line": line.hex, "site": f"Hall {n}", "registered": time_}
        for (n, line), (_, time_, _) in zip(factory.lines.items(), factory.entries)]
    text = cold.ctl("show", answer["thing"]).stdout
    row = next(line for line in text.splitlines() if "Hall 3" in line)
    assert row.split()[0] == "3" and factory.lines[3].hex[:8] in row and "B1" in row
    assert factory.name in text


def test_a_device_that_has_shown_nothing_has_no_place_of_origin(cold, factory, begin):
    client = begin(mode="optional")
    status, _, answer = client.enrol(published(cold)[0])
    assert status == 201
    assert cold.ctl_json("show", answer["thing"])["provenance"] is None
    assert "programme" not in cold.ctl("show", answer["thing"]).stdout


def test_a_device_without_a_chain_is_refused(cold, factory, begin):
    client = begin()
    status, _, answer = client.enrol(published(cold)[0])
    assert (status, answer["code"]) == (403, "provenance-refused")
    assert explained(cold, answer)[0] == "chain-missing"


def refused(stack, client, device, **changes):
    """The reason, and its detail, for which the device is refused."""
    status, _, answer = client.enrol(device, **changes)
    assert (status, answer["code"]) == (403, "provenance-refused"), answer
    return explained(stack, answer)


def alarms(stack, reason):
    return [{**a, "detail": json.loads(a["detail"])} for a in stack.ctl_json("alarms")["alarms"] if a["reason"] == reason]


def test_what_is_refused_is_explained(cold, factory, begin):
    client = begin()
    devices = published(cold, 6)
    two = factory.make(devices[0], 1, stages=[1, 2])
    reason, detail = refused(cold, client, two)
    assert reason == "chain-diverted"
    assert (detail["last_honest_stage"], detail["site"], detail["batch"]) == (2, "Hall 2", "B1")
    assert detail["registered"] == factory.clock
    assert alarms(cold, "chain-diverted")[0]["detail"]["site"] == "Hall 2"

    over = factory.make(devices[1], 101)
    reason, detail = refused(cold, client, over)
    assert reason == "order-over-quota" and "statement 1 (stage 1, batch B1)" in detail["rule"]
    assert alarms(cold, "order-over-quota")

    other = factory.make(devices[2], 2, batch="B2")
    assert refused(cold, client, other)[0] == "order-missing"

    mine = factory.make(devices[3], 3)
    thief = devices[4]
    thief.chain = mine.chain
    assert refused(cold, client, thief)[0] == "chain-of-another-device"

    unregistered = factory.make(devices[5], 4, receipt=False)
    assert refused(cold, client, unregistered)[0] == "chain-unregistered"
    assert push(cold, factory)[0] == 200
    assert client.enrol(unregistered)[0] == 201


def test_a_chain_is_read_before_anybody_is_asked(cold, factory, begin):
    client = begin()
    device = published(cold)[0]
    body = client.request(device)
    status, _, answer = client.post("/v1/enrolments", {**body, "chain": b64url(b"\x83\x80")})
    assert (status, answer["code"]) == (400, "evidence-malformed")


def test_evidence_by_another_key_than_the_lines_saw_is_refused(cold, factory, begin):
    """The attestation service vouches for the record that it was given; the first line saw another chip."""
    client = begin()
    device, other = published(cold, 2)
    factory.make(device, 1)
    assert client.enrol(device)[0] == 201
    forged = factory.make(other, 2)
    forged.chain = type(forged.chain)(factory, other)
    forged.chain.rot = type(forged.chain.rot)()
    for stage in range(1, 6):
        forged.chain.add(stage, 3)
    forged.chain.receipt = factory.receipt(forged.chain)
    assert refused(cold, client, forged)[0] == "rot-key-mismatch"
    assert alarms(cold, "rot-key-mismatch")


def test_one_number_twice_freezes_the_batch_until_it_is_released(cold, factory, begin):
    client = begin()
    first, second, third = published(cold, 3)
    assert client.enrol(factory.make(first, 7))[0] == 201
    assert refused(cold, client, factory.make(second, 7))[0] == "equivocation"
    alarm = alarms(cold, "equivocation")[0]["detail"]
    used, shown = (cbor2.loads(b64url_decode(alarm[name])) for name in ("statement_used", "statement_shown"))
    assert used.value[0] == shown.value[0] and used.value[2] != shown.value[2]
    assert used.value[2] == cbor2.loads(first.chain.statements[0]).value[2]
    assert ask(cold, "GET", "/v1/admin/provenance")[1]["frozen"][0]["batch"] == "B1"
    good = factory.make(third, 8)
    assert refused(cold, client, good)[0] == "batch-frozen"
    assert client.enrol(first)[0] == 200
    assert ask(cold, "POST", "/v1/admin/batches/B1/release", {"reason": "looked into"})[0] == 200
    assert client.enrol(good)[0] == 201
    assert refused(cold, client, second)[0] == "equivocation"


def test_a_batch_is_released_for_the_programme_that_was_looked_into(cold, factory):
    factories, kinds = [factory, Factory(cold.folder)], ["psa-token", "cose-csr"]
    classes = [factory.device_class(name="tokens", implementation_id=IMPLEMENTATION.hex()), factories[1].device_class(name="rest")]
    configure(cold, "gateway", provenance=f"[{', '.join(map(str, classes))}]")
    start_services(cold)
    client = Client(cold)
    for one, kind in zip(factories, kinds):
        add(cold, *one.line_records(), *one.orders())
        first, second = published(cold, 2)
        assert client.enrol(one.make(first, 7), kind=kind)[0] == 201
        assert refused(cold, client, one.make(second, 7), kind=kind)[0] == "equivocation"
    unclear = cold.ctl("batch", "release", "B1", "--reason", "looked into", check=False)
    assert "frozen in 2 programmes" in unclear.stderr
    cold.ctl("batch", "release", "B1", "--reason", "looked into", "--programme", factory.programme.hex())
    frozen = ask(cold, "GET", "/v1/admin/provenance")[1]["frozen"]
    assert [(b["batch"], b["programme"]) for b in frozen] == [("B1", factories[1].programme.hex())]
    good = [one.make(published(cold)[0], 8) for one in factories]
    assert client.enrol(good[0], kind=kinds[0])[0] == 201
    assert refused(cold, client, good[1], kind=kinds[1])[0] == "batch-frozen"


def test_a_device_of_no_class_is_explained_by_its_implementation_id(cold, factory, begin):
    client = begin(implementation_id="ab" * 32)
    device = factory.make(published(cold)[0], 7)
    status, _, answer = client.enrol(device)
    assert (status, answer["code"]) == (403, "provenance-refused")
    assert IMPLEMENTATION.hex() not in json.dumps(answer)
    done = cold.ctl("explain", answer["request_id"])
    assert "device-class-unknown" in done.stdout and IMPLEMENTATION.hex() in done.stdout
    status, _, answer = client.enrol(device, kind="cose-csr")
    assert (status, answer["code"]) == (403, "provenance-refused")
    assert cold.explain(answer["request_id"])[0] == "device-class-unknown"


def test_an_operator_without_a_class_file_is_told_to_name_one(services, factory, tmp_path):
    remedy = "class file", "provenance: in gateway.yaml", "restart the gateway"
    said = services.ctl("provenance", "status").stdout
    assert "no class of devices is configured" in said and all(words in said for words in remedy)
    record = tmp_path / "line-1.record"
    record.write_bytes(factory.line_records()[0])
    refused_ = services.ctl("provenance", "add", record, check=False)
    assert refused_.returncode == 1 and "no class of devices is configured with" in refused_.stderr
    assert all(words in refused_.stderr for words in remedy)


def test_a_line_revoked_from_a_time_on_is_believed_before_it(cold, factory, begin):
    client = begin()
    devices = published(cold, 4)
    times = [factory.clock + 10 * n for n in range(1, 5)]
    for n, (device, at) in enumerate(zip(devices, times), 1):
        factory.make(device, n, at=at)
    line = factory.lines[3].hex
    status, answer = ask(cold, "POST", f"/v1/admin/lines/{line}/revoke", {"reason": "key gone", "from": times[2]})
    assert (status, answer["line"]["state"]) == (200, "revoked")
    assert [client.enrol(device)[0] for device in devices] == [201, 201, 403, 403]
    assert refused(cold, client, devices[2])[0] == "line-revoked"
    listed = cold.ctl("--json", "line", "devices", line, "--since", times[1]).stdout.splitlines()
    assert [json.loads(d)["instance_id"] for d in listed] == [devices[1].instance.hex()]
    assert ask(cold, "POST", f"/v1/admin/lines/{line}/revoke", {"reason": "later", "from": times[3]})[0] == 409


def test_what_operator_and_line_authority_say_of_a_line_both_stand(cold, factory, begin):
    begin()
    line = factory.lines[3]

    def shown():
        of = cold.ctl_json("line", "show", line.hex)
        says = [row.split(maxsplit=2)[2] for row in cold.ctl("line", "show", line.hex).stdout.splitlines() if " says " in row]
        return (of["state"], of["revoked_from"], of["record_state"], of["record_revoked_from"], of["suspended_by_operator"],
                of["operator_revoked_from"], *says)

    assert shown() == ("active", None, "active", None, False, None, "active", "nothing")
    cold.ctl("line", "revoke", line.hex, "--from", 1000, "--reason", "key gone")
    gone = "revoked from 1970-01-01 00:16:40"
    assert shown() == ("revoked", 1000, "active", None, False, 1000, "active", gone)
    add(cold, line.record(SUSPENDED))
    assert shown() == ("suspended", None, "suspended", None, False, 1000, "suspended", gone)
    cold.ctl("line", "suspend", line.hex, "--reason", "more than that")
    add(cold, line.record(REVOKED, revoked_from=2000))
    assert shown() == ("suspended", None, "revoked", 2000, True, 1000, "revoked from 1970-01-01 00:33:20", f"suspended, {gone}")
    cold.ctl("line", "resume", line.hex)
    assert shown() == ("revoked", 1000, "revoked", 2000, False, 1000, "revoked from 1970-01-01 00:33:20", gone)


def test_a_suspended_line_makes_nothing_until_it_is_resumed(cold, factory, begin):
    client = begin()
    device = factory.make(published(cold)[0], 1)
    line = factory.lines[2].hex
    assert ask(cold, "POST", f"/v1/admin/lines/{line}/suspend", {"reason": "look"})[0] == 200
    assert refused(cold, client, device)[0] == "line-suspended"
    cold.daemons["gateway"].kill()
    cold.start("gateway").services_ready()
    assert refused(cold, client, device)[0] == "line-suspended"
    assert ask(cold, "POST", f"/v1/admin/lines/{line}/resume", {})[0] == 200
    assert client.enrol(device)[0] == 201


def test_another_history_of_the_register_is_refused(cold, factory, begin):
    begin()
    for n, device in enumerate(published(cold, 2), 1):
        factory.make(device, n)
    assert push(cold, factory, last=8) == (200, {"size": 8, "added": 8})
    assert push(cold, factory, first=3) == (200, {"size": 10, "added": 2})
    shorter = push(cold, factory, last=6, at=factory.now + 500)
    assert shorter[1]["reason"] == "register-history"
    factory.entries[9] = (10, factory.entries[9][1], bytes(32))
    factory.heads[10] = sha256(factory.heads[9], (10).to_bytes(8, "big"), factory.entries[9][1].to_bytes(8, "big"), bytes(32))
    assert push(cold, factory)[1]["reason"] == "register-history"
    kept = alarms(cold, "register-history")
    assert len(kept) == 2 and all(a["detail"]["word_known"] and a["detail"]["word_pushed"] for a in kept)


def test_a_receipt_of_another_history_is_refused(cold, factory, begin):
    client = begin()
    first, second = published(cold, 2)
    factory.make(first, 1)
    assert push(cold, factory)[0] == 200
    assert client.enrol(first)[0] == 201
    factory.make(second, 2)
    last = len(factory.entries)
    factory.heads[last] = bytes(32)
    second.chain.receipt = factory.receipt(second.chain)
    assert client.enrol(second)[0] == 201  # ahead of the copy: remembered
    factory.heads[last] = sha256(factory.heads[last - 1], last.to_bytes(8, "big"), factory.entries[-1][1].to_bytes(8, "big"), factory.entries[-1][2])
    assert push(cold, factory, first=6)[1]["reason"] == "register-history"
    assert alarms(cold, "register-history")[0]["detail"]["receipt"]


@pytest.mark.parametrize("revoked", [False, True])
def test_a_stranger_s_receipt_neither_moves_a_time_nor_speaks_for_the_register(cold, factory, begin, revoked):
    client = begin()
    device = factory.make(published(cold)[0], 1)
    assert push(cold, factory)[0] == 200
    if revoked:
        cold.ctl("line", "revoke", factory.lines[5].hex, "--from", factory.entries[4][1], "--reason", "stolen")
    stranger = copy.copy(factory)
    stranger.register_key = Key(ec.generate_private_key(ec.SECP256R1()))
    stranger.entries = [(n, t - 30, o) for n, t, o in factory.entries]
    device.chain.receipt = stranger.receipt(device.chain)
    assert reason(cold, client, device) == "receipt-signature"
    assert not alarms(cold, "register-history")
    device.chain.receipt = factory.receipt(device.chain)
    assert not revoked or reason(cold, client, device) == "line-revoked"
    assert revoked or client.enrol(device)[0] == 201


def test_a_renewal_needs_no_chain_once_it_was_shown(cold, factory, begin):
    client = begin()
    device = factory.make(published(cold)[0], 1)
    _, _, issued = client.enrol(device)
    device.chain = None
    new = ec.generate_private_key(ec.SECP256R1())
    assert client.renew(device, device.key, issued["certificateId"], new)[0] == 201


@pytest.fixture
def refurbishing(cold):
    """A factory with a sixth stage, which raises the generation."""
    factory = Factory(cold.folder, stages=(1, 2, 3, 4, 5, 6))
    variants = [{"name": "new", "stages": [1, 2, 3, 4, 5]}, {"name": "refurbished", "stages": [1, 2, 3, 4, 5, 6], "raises_generation": True}]
    configure(cold, "gateway", provenance=f"[{factory.device_class(variants=variants)}]")
    start_services(cold)
    add(cold, *factory.line_records(), *factory.orders())
    return factory


def refurbish(factory, device, at=None):
    """What the device was is returned."""
    before = copy.copy(device.chain)
    before.statements = list(before.statements)
    device.chain.add(6, 1, at=at)
    device.chain.receipt = factory.receipt(device.chain)
    return before


def with_new_key(device):
    device.key = ec.generate_private_key(ec.SECP256R1())
    return device


def reason(stack, client, device):
    """For which the device is refused, by whatever stage."""
    status, _, answer = client.enrol(device)
    assert status == 403, answer
    return explained(stack, answer)[0]


def test_a_refurbishment_raises_the_generation_once(cold, refurbishing):
    client = Client(cold)
    device = refurbishing.make(published(cold)[0], 1)
    thing = client.enrol(device)[2]["thing"]
    refurbish(refurbishing, device, at=int(time.time()))
    assert client.enrol(with_new_key(device))[0] == 201
    assert cold.show(thing)["generation"] == 2
    assert reason(cold, client, with_new_key(device)) == "clone-suspect"


def test_a_refurbishment_from_before_a_grant_adds_nothing_to_it(cold, refurbishing):
    client = Client(cold)
    device = refurbishing.make(published(cold)[0], 1)
    thing = client.enrol(device)[2]["thing"]
    refurbished = copy.copy(device)
    refurbished.chain = copy.copy(device.chain)
    device.chain = refurbish(refurbishing, refurbished)
    cold.ctl("revoke", thing, "--reason", "privilege-withdrawn")
    assert reason(cold, client, with_new_key(refurbished)) == "device-revoked"
    cold.ctl("allow-reenrol", thing)
    assert client.enrol(with_new_key(device))[0] == 201
    assert reason(cold, client, with_new_key(refurbished)) == "clone-suspect"
    assert cold.show(thing)["generation"] == 2


def test_a_device_does_not_leave_out_what_it_has_shown(cold, refurbishing):
    client = Client(cold)
    device = refurbishing.make(published(cold)[0], 1)
    thing = client.enrol(device)[2]["thing"]
    before = refurbish(refurbishing, device, at=int(time.time()))
    assert client.enrol(with_new_key(device))[0] == 201
    cold.ctl("line", "revoke", "Hall 6", "--from", 0, "--reason", "key gone")
    cold.ctl("allow-reenrol", thing)
    assert refused(cold, client, with_new_key(device))[0] == "line-revoked"
    device.chain = before
    assert refused(cold, client, device)[0] == "chain-used"


def test_a_line_that_makes_more_than_it_can_is_an_alarm(cold):
    factory = Factory(cold.folder, per_hour=2)
    configure(cold, "gateway", provenance=f"[{factory.device_class()}]")
    start_services(cold)
    add(cold, *factory.line_records(), *factory.orders())
    client = Client(cold)
    hour = factory.clock // 3600 * 3600 - 3600
    for n, device in enumerate(published(cold, 3), 1):
        assert client.enrol(factory.make(device, n, at=hour))[0] == 201
    assert len(alarms(cold, "line-rate")) == 5  # one a line


@pytest.mark.parametrize("mode, without, broken", [("optional", 201, 403), ("off", 201, 201)])
def test_a_class_that_need_not_show_anything(cold, factory, begin, mode, without, broken):
    client = begin(mode=mode)
    one, other = published(cold, 2)
    assert client.enrol(one)[0] == without
    assert client.enrol(factory.make(other, 1, stages=[1, 2]))[0] == broken


def test_older_records_and_other_orders_are_refused(cold, factory, begin):
    begin()
    line = factory.lines[1]
    newer, older = line.record(version=3), line.record(version=2)
    assert add(cold, newer)["lines"] == 1
    for item in (older, factory.order(1, quota=200)):
        status, answer = ask(cold, "POST", "/v1/admin/provenance/objects", {"objects": [b64url(item)]})
        assert (status, answer["code"]) == (409, "conflict"), answer
        assert ("make the change again from the latest record" in json.dumps(answer)) == (item is older)
    forged = Key().seal(3, {2: factory.programme, 3: 9, 4: line.key.point, 5: "x", 6: b"\x01", 7: 0, 8: 86400, 9: 1})
    status, answer = ask(cold, "POST", "/v1/admin/provenance/objects", {"objects": [b64url(forged)]})
    assert answer["reason"] == "provenance-signature"


def live(stack, thing):
    return sum(c["state"] == "active" for c in stack.show(thing)["certificates"])


def test_an_operator_has_what_a_line_made_enrol_again(cold, factory, begin):
    client = begin()
    devices = published(cold, 3)
    times = [factory.clock + 100 * n for n in range(1, 4)]
    things = [client.enrol(factory.make(d, n, at=t))[2]["thing"] for n, (d, t) in enumerate(zip(devices, times), 1)]
    recall = ("recall", "--line", "Hall 4", "--since", times[1], "--reason", "superseded")
    assert "2 devices, 0 of them revoked already" in cold.ctl(*recall, "--dry-run").stdout
    assert [live(cold, t) for t in things] == [1, 1, 1]
    assert "to enrol again: 2 devices, 2 certificates" in cold.ctl(*recall, "--reattest", "--yes").stdout
    assert [live(cold, t) for t in things] == [1, 0, 0]
    assert client.enrol(devices[1])[0] == 201
    assert cold.show(things[1])["generation"] == 2
    cold.ctl("line", "revoke", "Hall 4", "--from", times[1], "--reason", "key gone")
    assert refused(cold, client, devices[2])[0] == "line-revoked"
    cold.ctl(*recall, "--suspend", "--yes")
    assert cold.show(things[2])["state"] == "suspended"


def test_the_register_is_pushed_out_of_a_file(cold, factory, begin):
    begin()
    for n, device in enumerate(published(cold, 3), 1):
        factory.make(device, n)
    export = factory.export(cold.folder / "register.ndjson", step=4)
    lines = export.read_text().splitlines(keepends=True)
    (cold.folder / "begun.ndjson").write_text("".join(lines[:2]))
    assert cold.ctl_json("provenance", "push", cold.folder / "begun.ndjson") == {"size": 8, "added": 8}
    assert cold.ctl_json("provenance", "push", export) == {"size": 15, "added": 7}
    assert cold.ctl_json("provenance", "push", export) == {"size": 15, "added": 0}
    assert "15 entries" in cold.ctl("provenance", "status").stdout
    files = []
    for n, item in enumerate((factory.lines[1].record(), factory.order(1, batch="B2"))):
        files.append(cold.folder / f"object-{n}")
        files[-1].write_bytes(item)
    assert cold.ctl_json("provenance", "add", *files) == {"lines": 1, "orders": 1, "unchanged": 0}
    assert cold.ctl_json("order", "list", "--batch", "B2")["orders"][0]["quota"] == 100
