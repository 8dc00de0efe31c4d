"""An OEM whose gateway asks for provenance: the real stack, a supply chain of the real tools, and what an attacker does with their files and keys."""

import json
import os
import shutil
import subprocess
from pathlib import Path

import cbor2
from attester import Attester, Client, b64url, instance_id
from cryptography.hazmat.primitives import serialization
from factory import SupplyChain, chain_of
from supply_chain import Chain, Key, sha256
from test_ctl_live import signed

VARIANTS = {"new": {"stages": [1, 2, 3]}, "refurbished": {"stages": [1, 2, 3, 6], "raises_generation": True}}


def private_key(path):
    return Key(serialization.load_pem_private_key(Path(path).read_bytes(), None))


def statements_of(chain):
    return [cbor2.dumps(statement) for statement in cbor2.loads(chain)[0]]


def keep_chain(folder, chain):
    path = Path(folder) / "normal/chain.cbor"
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(chain)


def put_chain(request, chain):
    """The request with another chain, or with none."""
    return {**{k: v for k, v in request.items() if k != "chain"}, **({"chain": b64url(chain)} if chain else {})}


class Chip(Attester):
    """The chip of a device folder, in the hands of whoever has taken it apart; its chain can go on with whatever key."""

    def __init__(self, programme, folder):
        super().__init__(private_key(folder / "secure/rot.key").private)
        self.identity = json.loads((folder / "secure/identity.json").read_text())
        self.chain, known = Chain(programme, self), chain_of(folder)
        if known:
            statements, (self.chain.nonce, self.chain.countersignature), receipt = cbor2.loads(known)
            self.chain.statements = [cbor2.dumps(statement) for statement in statements]
            self.chain.receipt = cbor2.dumps(receipt) if receipt else None
        assert instance_id(self.rot).hex() == self.identity["instance_id"]


class Programme:
    """What supply_chain.Chain wants to know of a factory."""

    def __init__(self, supply):
        self.programme = bytes.fromhex(json.loads(supply.public.read_text())["programme"])


class Oem:
    """Three lines, one after the other, and one that refurbishes."""

    def __init__(self, stack, environment):
        self.stack, self.client = stack, Client(stack)
        self.supply = SupplyChain(stack.folder / "supply", stack.program("mooring-factory"), environment=environment)
        self.chips = self.supply.line("chips", 1)
        self.modules = self.supply.line("modules", 2, after=["chips"])
        self.final = self.supply.line("final", 3, after=["modules"], site="Final assembly, hall 2")
        self.refurbishing = self.supply.line("refurbishing", 6, after=["final"])
        self.new = [self.chips, self.modules, self.final]
        self.programme = Programme(self.supply)
        stack.require_provenance(self.supply, VARIANTS)

    # -- the honest world --

    def build(self, devices, batch, lines=None, quota=None, register=True):
        """Devices through these lines, in an order of this batch each; registered, and the gateway knows."""
        lines = lines or self.new
        self.supply.build(devices, batch, quota, lines)
        self.add(*(line.record for line in lines), *(line.orders[batch, line.stages[0]] for line in lines))
        if register:
            self.register(devices, *(line.record for line in lines),
                          *(path for line in lines for path in (line.orders[batch, line.stages[0]], line.signed(batch, line.stages[0]))))
        return devices

    def make(self, batch, count=1, **options):
        """Devices with genuine chips, whose records the attestation service holds; then through the lines."""
        return self.build(self.stack.make_devices(count, batch), batch, **options)

    def register(self, devices, *files, register=None):
        """Into the register; then a receipt for each device."""
        folder = register or self.supply.register_folder
        self.supply.run("register", "add", "--dir", folder, *files)
        if devices:
            self.supply.run("register", "receipt", "--dir", folder, *devices)

    def fork_of_the_register(self, name):
        """The register's key, and its history so far, in other hands."""
        return shutil.copytree(self.supply.register_folder, self.supply.folder / name)

    def add(self, *files):
        """Line records and orders, as an operator brings them to the gateway."""
        self.stack.ctl("provenance", "add", *files)

    def push(self, line):
        """A line of an export of the register, whatever the gateway has of it already: (status, answer)."""
        path = "/v1/admin/provenance/register"
        status, _, answer = self.stack.https("POST", self.stack.ports["admin"], path, line, signed(self.stack, "POST", path, line.encode()))
        return status, json.loads(answer)

    def export(self, folder, out, after=0):
        self.supply.run("register", "export", "--dir", folder, "--after", after, "--out", out)
        return out

    def entries(self, folder=None):
        """What the register has: [{"time", "object"}], the first one first."""
        folder = folder or self.supply.register_folder
        lines = self.export(folder, self.supply.folder / "entries.ndjson").read_text().splitlines()
        return [entry for line in lines for entry in json.loads(line)["entries"]]

    def time_of(self, statement):
        """The register's, of a statement."""
        return next(entry["time"] for entry in self.entries() if entry["object"] == sha256(statement).hex())

    # -- what goes to the gateway --

    def request(self, folder):
        """The enrolment request of a device, chain and all, made by the device itself."""
        out = folder / f"request-{os.urandom(4).hex()}.json"
        argv = [self.stack.program("mooring-device"), "request", "--dir", folder, "--gateway", self.stack.origin,
                "--ca", self.stack.pki / "root.pem", "--out", out]
        subprocess.run([str(a) for a in argv], check=True, capture_output=True, timeout=60,
                       env={**os.environ, **self.stack.environment.get("device", {})})
        return json.loads(out.read_text())

    def post(self, request):
        status, _, answer = self.client.post("/v1/enrolments", request)
        return status, answer

    def enrol(self, folder):
        return self.post(self.request(folder))

    # -- what an attacker does --

    def steal(self, line, name):
        """A copy of a line's folder, key and counters and all."""
        folder = shutil.copytree(line.folder, self.supply.folder / name)
        (folder / "lock").unlink(missing_ok=True)
        return folder

    def chip(self, folder):
        return Chip(self.programme, folder)

    def order_of(self, programme_folder, line_record, batch, stage, quota, previous=None, name="stolen.order"):
        """An order by whoever has a programme's folder."""
        out = self.supply.folder / f"{batch}-{name}"
        words = ["--previous", previous] if previous else []
        self.supply.run("order", "place", "--programme", programme_folder, "--batch", batch, "--stage", stage, "--line", line_record, "--quota", quota,
                        "--until", "+30d", "--out", out, *words)
        return out

    # -- what the operator sees --

    def explained(self, request_id):
        """The refusal: (reason, its detail)."""
        self.stack.explain(request_id)  # waits for it
        entries = self.stack.ctl_json("explain", request_id)["entries"]
        entry = next(e for e in entries if e["kind"] == "refused")
        return entry["reason"], json.loads(entry["detail"])

    def alarms(self, reason):
        """Details of the alarms of this reason, the oldest first."""
        found = [a for a in self.stack.ctl_json("alarms")["alarms"] if a["reason"] == reason]
        return [json.loads(a["detail"] or "{}") for a in found]

    def refuses(self, answer, reason, public="provenance-refused"):
        """The device is told little, the operator all. The refusal's detail."""
        status, body = answer
        assert status == 403 and body["code"] == public, answer
        found, detail = self.explained(body["request_id"])
        assert found == reason, (found, detail)
        return detail

    def refuses_for_its_origin(self, answer, reason):
        """Refused at the stage after attestation: the chip itself had passed."""
        detail = self.refuses(answer, reason)
        assert detail["stage"] == "provenance", detail
        return detail
