"""Makes programmes, lines, orders and chains for the tests of provenance: valid ones, and then whatever a test alters."""

import copy
import subprocess

import cbor2
from attester import P256_ORDER
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from provenance_reference import World, head, key_id, sha256, string

T0 = 1_700_000_000
DAY = 86400


class Key:
    def __init__(self, rng):
        self.private = ec.derive_private_key(rng.randrange(1, 1 << 255), ec.SECP256R1())
        self.point = self.private.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)[1:]
        self.id = key_id(self.point)

    def sign(self, protected, payload):
        message = b"\x84\x6aSignature1" + string(protected) + b"\x40" + string(payload)
        r, s = decode_dss_signature(self.private.sign(message, ec.ECDSA(hashes.SHA256())))
        return head(r, 32) + head(min(s, P256_ORDER - s), 32)


def encode(item):
    return cbor2.dumps(item, canonical=True)


def seal(key, fields, name=None):
    """The signed object of these fields (a dict, or an encoded payload); `name` is the key id it says."""
    protected = b"\xa2\x01\x26\x04\x50" + (name or key.id)
    payload = fields if isinstance(fields, bytes) else encode(fields)
    return b"\xd2\x84" + string(protected) + b"\xa0" + string(payload) + string(key.sign(protected, payload))


class Device:
    """A device and its chain, as fields; `build` signs them. What `altered` holds is written instead of what would be right."""

    def __init__(self, site, rng, times):
        self.site, self.rng = site, rng
        self.rot = rng.choice(site.keys)
        self.instance_id = b"\x01" + rng.randbytes(32)
        dev = sha256(site.programme, self.instance_id)
        self.keys = list(site.line_keys)
        self.fields = [{0: 1, 1: 2, 2: site.programme, 3: o[3], 4: o[4], 5: rng.randint(1, o[6]), 6: dev, 8: rng.randrange(1 << 32)} for o in site.orders]
        self.fields[0][9] = self.rot.point
        self.times, self.receipt_count = list(times), len(times)
        self.receipt_fields = {}
        self.receipt_key, self.countersigner = site.register, self.rot
        self.nonce, self.with_token = rng.randbytes(16), False

    def token(self, digest):
        """As a PSA RoT makes one (RFC 9783)."""
        part = {1: "NSPE", 2: bytes(32), 5: bytes(32)}
        claims = {265: "tag:psacertified.org,2023:psa#tfm", 10: digest, 256: self.instance_id, 2396: bytes([9]) * 32, 2394: 1, 2395: 0x3000, 268: bytes(32),
                  2399: [part]}
        payload = encode(claims)
        return b"\xd2\x84\x43\xa1\x01\x26\xa0" + string(payload) + string(self.countersigner.sign(b"\xa1\x01\x26", payload))

    def build(self):
        before = sha256(b"mooring-provenance/1\0", self.site.programme, self.fields[0][6])
        self.statements = []
        for fields, key in zip(self.fields, self.keys):
            fields.setdefault(7, before)
            self.statements.append(seal(key, dict(sorted(fields.items()))))
            before = sha256(self.statements[-1])
        self.sign_receipt()
        last = self.fields[-1]
        digest = sha256(b"mooring-stage/1\0", last[2], self.keys[-1].id, head(len(last[3]), 1), last[3].encode(), head(last[4] % 256, 1),
                        head(last[5] % (1 << 32), 4), last[7], self.nonce)
        self.countersignature = self.token(digest) if self.with_token else self.countersigner.sign(b"\xa1\x01\x26", digest)
        return self

    def sign_receipt(self):
        self.receipt = b"\xf6"
        if self.receipt_count:
            at = b"".join(head(i + 1, 4) + head(T0 if t is None else t, 8) for i, t in enumerate(self.times[:self.receipt_count]))
            name = sha256(self.statements[min(self.receipt_count, len(self.statements)) - 1])
            self.receipt = seal(self.receipt_key, {0: 1, 1: 4, 2: self.site.programme, 3: name, 4: at, 5: bytes(32), **self.receipt_fields})

    def chain(self):
        return write(self.statements, self.nonce, self.countersignature, self.receipt)

    def register(self, world):
        """What the receipt does not say, the register does."""
        for statement, time in list(zip(self.statements, self.times))[self.receipt_count:]:
            if time is not None:
                world.registered[sha256(statement)] = time


def write(statements, nonce, countersignature, receipt):
    return b"\x83" + bytes([0x80 + len(statements)]) + b"".join(statements) + b"\x82" + string(nonce) + string(countersignature) + receipt


class Site:
    """A programme with a line and an order a stage."""

    def __init__(self, rng, keys, stages):
        self.rng, self.keys, self.programme = rng, keys, rng.randbytes(16)
        self.register, self.authority, *self.line_keys = rng.sample(keys, stages + 2)
        numbers = sorted(rng.sample(range(1, 256), stages))
        self.lines = [{0: 1, 1: 3, 2: self.programme, 3: 1, 4: key.point, 5: "hall", 6: bytes([n]), 7: T0 - 2 * DAY, 8: T0 + 2 * DAY, 9: 1}
                      for key, n in zip(self.line_keys, numbers)]
        self.orders = [{0: 1, 1: 1, 2: self.programme, 3: f"B-{rng.randrange(100)}", 4: n, 5: key.id, 6: rng.choice((9, 70000)), 7: T0 - DAY, 8: T0 + DAY, 9: 3600,
                        **({10: self.line_keys[i - 1].id} if i else {})} for i, (key, n) in enumerate(zip(self.line_keys, numbers))]
        self.variants = [bytes(numbers)]
        self.register_key = self.register.point

    def device(self, times=None):
        return Device(self, self.rng, times or sorted(self.rng.randrange(T0, T0 + 3600) for _ in self.orders))

    def world(self):
        world = World(self.programme, self.register_key)
        world.lines = {key_id(r[4]): r for r in self.lines}
        for order in self.orders:
            world.orders.setdefault((order[5], order[3], order[4]), order)
        world.variants = list(self.variants)
        return world

    def copy(self):
        out = copy.copy(self)
        out.lines, out.orders, out.variants = copy.deepcopy(self.lines), copy.deepcopy(self.orders), list(self.variants)
        return out


class Checker:
    """The daemons' own check, in a process of its own."""

    def __init__(self, build):
        self.process = subprocess.Popen([build / "mooring-chain-checker"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.stdin.close()
        assert self.process.wait(timeout=60) == 0

    def send(self, *words):
        self.process.stdin.write(" ".join(w.hex() or "-" if isinstance(w, bytes) else str(w) for w in words) + "\n")

    def receive(self):
        self.process.stdin.flush()
        return self.process.stdout.readline().split()

    def world(self, site, world):
        self.send("world", world.programme, world.register_key or b"")
        for record in site.lines:
            self.send("line", seal(site.authority, dict(sorted(record.items()))))
        for order in site.orders:
            self.send("order", seal(site.authority, dict(sorted(order.items()))))
        for name, time in world.registered.items():
            self.send("registered", name, time)
        for variant in world.variants:
            self.send("variant", variant)

    def check(self, instance_id, chain):
        """(reason, honest), ("malformed", None)."""
        self.send("chain", instance_id, chain)
        return verdict(self.receive())


def verdict(words):
    return ("malformed", None) if words[0] == "malformed" else (words[0], int(words[1]))
