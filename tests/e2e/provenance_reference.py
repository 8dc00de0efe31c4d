"""The chain check a second time, from docs/provenance.cddl and the order of rules in common/provenance/chain_check.h.

It shares no code with the daemons, and says the same of every chain, or one of the two is wrong.
"""

import functools
import hashlib
import re
from pathlib import Path

from attester import P256_ORDER
from cddl import Cddl, Malformed, decode, spans
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

FORMATS = Cddl((Path(__file__).resolve().parents[2] / "docs/provenance.cddl").read_text())
SPKI = bytes.fromhex("3059301306072a8648ce3d020106082a8648ce3d03010703420004")
BATCH = re.compile(r"[A-Za-z0-9._-]{1,16}\Z")


def sha256(*parts):
    return hashlib.sha256(b"".join(parts)).digest()


def key_id(point):
    return sha256(SPKI, point)[:16]


def head(number, size):
    return number.to_bytes(size, "big")


@functools.lru_cache(1 << 16)
def public_key(point):
    """None where the point is not on the curve."""
    try:
        return ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), b"\x04" + point)
    except ValueError:
        return None


def string(data):
    """A byte string of CBOR, up to 65535 bytes."""
    size = len(data)
    return (bytes([0x40 + size]) if size < 24 else b"\x58" + head(size, 1) if size < 256 else b"\x59" + head(size, 2)) + data


@functools.lru_cache(1 << 18)
def signature_holds(point, protected, payload, signature):
    """RFC 9052 4.4, ES256."""
    key = public_key(point)
    message = b"\x84\x6aSignature1" + string(protected) + b"\x40" + string(payload)
    try:
        key.verify(encode_dss_signature(int.from_bytes(signature[:32], "big"), int.from_bytes(signature[32:], "big")), message, ec.ECDSA(hashes.SHA256()))
        return True
    except (InvalidSignature, ValueError, AttributeError):
        return False


class Signed:
    """An object read: its fields by key, whose it is, its name."""

    def __init__(self, kind, data):
        if len(data) > 512:
            raise Malformed("more than 512 bytes")
        self.protected, _, self.payload, self.signature = FORMATS.matches(kind, data).item
        if int.from_bytes(self.signature[32:], "big") > P256_ORDER // 2:
            raise Malformed("the larger s")
        self.fields, self.name, self.key_id = decode(self.payload), sha256(data), decode(self.protected)[4]

    def __getitem__(self, key):
        return self.fields.get(key)

    def signed_by(self, point):
        return self.key_id == key_id(point) and signature_holds(point, self.protected, self.payload, self.signature)


@functools.lru_cache(1 << 16)
def read_statement(data):
    out = Signed("stage-statement", data)
    if not BATCH.match(out[3]):
        raise Malformed("batch")
    if out[9] is not None and not public_key(out[9]):
        raise Malformed("the RoT key is no point")
    return out


@functools.lru_cache(1 << 16)
def read_receipt(data):
    out = Signed("receipt", data)
    if len(out[4]) % 12:
        raise Malformed("times")
    entries = [out[4][i:i + 12] for i in range(0, len(out[4]), 12)]
    indices = [int.from_bytes(e[:4], "big") for e in entries]
    out.times = [int.from_bytes(e[4:], "big") for e in entries]
    if indices[0] < 1 or any(b <= a for a, b in zip(indices, indices[1:])):
        raise Malformed("indices do not rise")
    if out.times != sorted(out.times) or out.times[-1] > 253402300799:
        raise Malformed("times fall")
    return out


class Chain:
    def __init__(self, data):
        if len(data) > 4096:
            raise Malformed("more than 4096 bytes")
        statements, (self.nonce, self.countersignature), receipt = FORMATS.matches("provenance-chain", data)
        spans_of_statements, rest = spans(data[2:], len(statements))
        self.statements = [read_statement(span) for span in spans_of_statements]
        if [s[9] is not None for s in self.statements] != [i == 0 for i in range(len(statements))]:
            raise Malformed("the RoT key is the first statement's, and no other's")
        (_, receipt_span), _ = spans(rest, 2)
        self.receipt = read_receipt(receipt_span) if receipt else None


class World:
    """What a gateway knows. Lines by key id and orders by (line, batch, stage), each the decoded payload."""

    def __init__(self, programme, register_key):
        self.programme, self.register_key = programme, register_key
        self.lines, self.orders, self.registered, self.variants = {}, {}, {}, []


def countersigned(world, last, nonce):
    return sha256(b"mooring-stage/1\0", world.programme, last.key_id, head(len(last[3]), 1), last[3].encode(), head(last[4], 1),
                  head(last[5], 4), last[7], nonce)


class Check:
    """One chain in one world. Each rule takes a statement's place and gives the reason why it does not hold, or None."""

    def __init__(self, world, instance_id, chain):
        self.world, self.chain, self.all = world, chain, chain.statements
        self.dev = sha256(world.programme, instance_id)
        self.lines = [world.lines.get(s.key_id) for s in self.all]
        self.orders = [world.orders.get((s.key_id, s[3], s[4])) for s in self.all]
        self.times = [world.registered.get(s.name) for s in self.all]
        if chain.receipt:
            self.times[:len(chain.receipt.times)] = chain.receipt.times[:len(self.all)]

    def device(self, i):
        return "chain-of-another-device" if self.all[i][6] != self.dev else None

    def programme(self, i):
        return "chain-of-another-programme" if self.all[i][2] != self.world.programme else None

    def link(self, i):
        before = self.all[i - 1].name if i else sha256(b"mooring-provenance/1\0", self.world.programme, self.dev)
        if self.all[i][7] != before or (i and self.all[i][4] <= self.all[i - 1][4]):
            return "chain-broken"
        return None

    def line(self, i):
        if not self.lines[i]:
            return "line-unknown"
        if self.all[i][4] not in self.lines[i][6]:
            return "line-stage"
        return None if self.all[i].signed_by(self.lines[i][4]) else "provenance-signature"

    def order(self, i):
        order = self.orders[i]
        if not order:
            return "order-missing"
        if self.all[i][5] > order[6]:
            return "order-over-quota"
        before = order.get(10, b"")
        route = [before[k:k + 16] for k in range(0, len(before), 16)]
        return None if (self.all[i - 1].key_id in route if i else not route) else "order-route"

    def receipt(self, i):
        receipt = self.chain.receipt
        if i or not receipt:
            return None
        if not self.world.register_key or not receipt.signed_by(self.world.register_key):
            return "receipt-signature"
        count = len(receipt.times)
        if receipt[2] != self.world.programme or count > len(self.all) or receipt[3] != self.all[count - 1].name:
            return "receipt-mismatch"
        return None

    def revoked(self, i):
        if self.lines[i][9] == 3 and (self.times[i] is None or self.times[i] >= self.lines[i][10]):
            return "line-revoked"
        return None

    def registered(self, i):
        if self.times[i] is None or (i and self.times[i] < self.times[i - 1]):
            return "chain-unregistered"
        return None

    def validity(self, i):
        line, order, t = self.lines[i], self.orders[i], self.times[i]
        if line[9] == 2:
            return "line-suspended"
        if not line[7] <= t <= line[8]:
            return "line-out-of-validity"
        if not order[7] <= t <= order[8] + order[9]:
            return "order-out-of-validity"
        return None

    RULES = (device, programme, link, line, order, receipt, revoked, registered, validity)

    def countersignature(self):
        digest = countersigned(self.world, self.all[-1], self.chain.nonce)
        given, point = self.chain.countersignature, self.all[0][9]
        if len(given) == 64:
            return signature_holds(point, b"\xa1\x01\x26", digest, given)
        try:
            protected, _, payload, signature = decode(given).item
            return decode(payload).get(10) == digest and signature_holds(point, protected, payload, signature)
        except (Malformed, AttributeError, ValueError, TypeError):
            return False

    def honest(self):
        for i in range(len(self.all)):
            if any(rule(self, i) for rule in self.RULES):
                return i
        return len(self.all)

    def reason(self):
        for rule in self.RULES:
            for i in range(len(self.all)):
                if why := rule(self, i):
                    return why
        if not self.countersignature():
            return "countersignature"
        stages = bytes(s[4] for s in self.all)
        if stages in self.world.variants:
            return "accepted"
        return "chain-diverted" if any(v.startswith(stages) for v in self.world.variants) else "chain-stages"


def check(world, instance_id, data):
    """(reason, honest statements); ("malformed", None) for what is no chain."""
    try:
        chain = Chain(data)
    except Malformed:
        return "malformed", None
    done = Check(world, instance_id, chain)
    return done.reason(), done.honest()
