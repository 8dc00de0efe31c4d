"""An OEM's supply chain in Python: a programme, lines, work orders, a register, and the chains of devices made there. Valid, unless a test says
otherwise."""

import hashlib
import json
import os
import time

import cbor2
from attester import b64url, raw_signature
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

ORDER, STATEMENT, LINE, RECEIPT, HEAD = 1, 2, 3, 4, 5
ACTIVE, SUSPENDED, REVOKED = 1, 2, 3
SPKI_PREFIX = bytes.fromhex("3059301306072a8648ce3d020106082a8648ce3d03010703420004")
DAY = 86400


def sha256(*parts):
    return hashlib.sha256(b"".join(parts)).digest()


class Key:
    def __init__(self, private=None):
        self.private = private or ec.generate_private_key(ec.SECP256R1())
        self.point = self.private.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)[1:]
        self.id = sha256(SPKI_PREFIX, self.point)[:16]

    def seal(self, kind, fields):
        """COSE_Sign1 of the map {0: version, 1: kind, 2...: fields}, with the smaller s."""
        protected = b"\xa2\x01\x26\x04\x50" + self.id
        payload = cbor2.dumps({0: 1, 1: kind, **dict(sorted((k, v) for k, v in fields.items() if v is not None))})
        signature = raw_signature(self.private, cbor2.dumps(["Signature1", protected, b"", payload]))
        return cbor2.dumps(cbor2.CBORTag(18, [protected, {}, payload, signature]))


class Line:
    """A line that does one stage (or some), and what its record says."""

    def __init__(self, factory, stages, site, per_hour=None):
        self.factory, self.stages, self.site, self.per_hour = factory, stages, site, per_hour
        self.key, self.version = Key(), 0

    @property
    def hex(self):
        return self.key.id.hex()

    def record(self, state=ACTIVE, revoked_from=None, version=None):
        self.version = version or self.version + 1
        now = self.factory.now
        return self.factory.authority.seal(LINE, {
            2: self.factory.programme, 3: self.version, 4: self.key.point, 5: self.site, 6: bytes(self.stages),
            7: now - 40 * DAY, 8: now + 40 * DAY, 9: state, 10: revoked_from, 11: self.per_hour})


class Factory:
    """A programme with a line for each stage. `folder` gets programme.json."""

    def __init__(self, folder, stages=(1, 2, 3, 4, 5), per_hour=None):
        self.folder, self.programme, self.now = folder, os.urandom(16), int(time.time())
        self.office, self.authority, self.register_key = Key(), Key(), Key()
        self.lines = {n: Line(self, [n], f"Hall {n}", per_hour) for n in stages}
        self.numbers = {}
        self.entries, self.heads = [], [sha256(b"mooring-register/1\x00", self.programme)]
        self.clock = self.now - DAY  # of the register
        self.name = f"P-{self.programme.hex()[:8]}"
        self.path = folder / f"{self.name}.json"
        self.path.write_text(json.dumps({
            "programme": self.programme.hex(), "name": self.name, "programme_key": self.office.point.hex(),
            "line_authority_key": self.authority.point.hex(), "register_key": self.register_key.point.hex()}))

    # -- what the OEM's offices make --

    def line_records(self):
        return [line.record() for line in self.lines.values()]

    def order(self, stage, batch="B1", quota=100, previous=None, **changes):
        before = [n for n in self.lines if n < stage]
        previous = previous if previous is not None else self.lines[max(before)].key.id if before else None
        fields = {2: self.programme, 3: batch, 4: stage, 5: self.lines[stage].key.id, 6: quota, 7: self.now - 30 * DAY,
                  8: self.now + 30 * DAY, 9: 3600, 10: previous}
        return self.office.seal(ORDER, {**fields, **changes})

    def orders(self, batch="B1", quota=100):
        return [self.order(stage, batch, quota) for stage in self.lines]

    def device_class(self, name="thermometer", mode="required", **more):
        path = self.folder / f"class-{name}.json"
        variants = [{"name": "new", "stages": [n for n in self.lines if n <= 5]}]
        path.write_text(json.dumps({"class": name, "programme": str(self.path), "mode": mode, "variants": variants, **more}))
        return path

    # -- the register --

    def enter(self, item, at=None):
        """Its number."""
        self.clock = at if at is not None else self.clock + 1
        entry = (len(self.entries) + 1, self.clock, sha256(item))
        self.entries.append(entry)
        self.numbers[entry[2]] = entry[0]
        self.heads.append(sha256(self.heads[-1], entry[0].to_bytes(8, "big"), entry[1].to_bytes(8, "big"), entry[2]))
        return entry[0]

    def head(self, size=None, at=None):
        size = len(self.entries) if size is None else size
        return self.register_key.seal(HEAD, {2: self.programme, 3: size, 4: at or int(time.time()), 5: self.heads[size]})

    def push_body(self, first=1, last=None, **head):
        last = last or len(self.entries)
        return {"first": first, "entries": [{"time": t, "object": o.hex()} for _, t, o in self.entries[first - 1:last]],
                "head": b64url(self.head(last, **head))}

    def export(self, path, after=0, step=1000):
        lines = [json.dumps(self.push_body(first, min(first + step - 1, len(self.entries))))
                 for first in range(after + 1, len(self.entries) + 1, step)]
        path.write_text("".join(line + "\n" for line in lines))
        return path

    def receipt(self, chain):
        numbers = [self.numbers[sha256(s)] for s in chain.statements]
        at = b"".join(n.to_bytes(4, "big") + self.entries[n - 1][1].to_bytes(8, "big") for n in numbers)
        return self.register_key.seal(RECEIPT, {2: self.programme, 3: sha256(chain.statements[-1]), 4: at, 5: self.heads[numbers[-1]]})

    # -- devices --

    def make(self, device, seq, stages=None, batch="B1", at=None, receipt=True):
        """The device goes through the stages; its chain is set."""
        device.chain = Chain(self, device)
        for stage in stages or [n for n in self.lines if n <= 5]:
            device.chain.add(stage, seq, batch, at)
        if receipt:
            device.chain.receipt = self.receipt(device.chain)
        return device


class Chain:
    def __init__(self, factory, device):
        self.factory, self.device, self.statements, self.receipt = factory, device, [], None
        self.rot = Key(device.rot)
        self.dev = sha256(factory.programme, device.instance)

    def add(self, stage, seq, batch="B1", at=None, signer=None, enter=True, **changes):
        f, line = self.factory, signer or self.factory.lines[stage].key
        previous = sha256(self.statements[-1]) if self.statements else sha256(b"mooring-provenance/1\x00", f.programme, self.dev)
        fields = {2: f.programme, 3: batch, 4: stage, 5: seq, 6: self.dev, 7: previous, 8: int(time.time()),
                  9: None if self.statements else self.rot.point, **changes}
        self.statements.append(line.seal(STATEMENT, fields))
        self.nonce = os.urandom(16)
        digest = sha256(b"mooring-stage/1\x00", fields[2], line.id, bytes([len(batch)]), batch.encode(), bytes([stage]),
                        seq.to_bytes(4, "big"), fields[7], self.nonce)
        self.countersignature = raw_signature(self.rot.private, cbor2.dumps(["Signature1", b"\xa1\x01\x26", b"", digest]))
        if enter:
            f.enter(self.statements[-1], at)
        return self

    def encode(self):
        return (b"\x83" + bytes([0x80 + len(self.statements)]) + b"".join(self.statements)
                + cbor2.dumps([self.nonce, self.countersignature]) + (self.receipt or b"\xf6"))
