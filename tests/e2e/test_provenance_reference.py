"""The chain check against a reference that was written apart from it, and against everything that an attacker can cut and paste.

MOORING_PROVENANCE_CASES and MOORING_PROVENANCE_CHAINS (CI: 4000 and 50) make the runs longer; MOORING_PROVENANCE_SEED repeats one. The long run:
    MOORING_PROVENANCE_CASES=100000 MOORING_PROVENANCE_CHAINS=1000 python3 -m pytest -q -n 2 tests/e2e/test_provenance_reference.py
"""

import collections
import itertools
import os
import random
from pathlib import Path

import pytest
from attester import P256_ORDER
from cddl import decode
from provenance_maker import DAY, T0, Checker, Key, Site, encode, write
from provenance_reference import check, sha256, string

REPO = Path(__file__).resolve().parents[2]
BUILD = Path(os.environ.get("MOORING_BUILD", REPO / "build")).resolve()
SANITIZED = os.environ.get("MOORING_SANITIZED") == "1"
CASES = int(os.environ.get("MOORING_PROVENANCE_CASES", "800" if SANITIZED else "4000"))
CHAINS = int(os.environ.get("MOORING_PROVENANCE_CHAINS", "8" if SANITIZED else "50"))
SEED = int(os.environ.get("MOORING_PROVENANCE_SEED", "1"))
SHARDS = 4
REASONS = 21  # accepted, malformed, and every rule of chain_check.h but the one about test keys


@pytest.fixture(scope="module")
def keys():
    rng = random.Random(SEED)
    return [Key(rng) for _ in range(24)]


@pytest.fixture
def checker():
    with Checker(BUILD) as made:
        yield made


# ---- one thing altered at random, before anything is signed ----

def pick(case):
    return case.rng.randrange(len(case.device.fields))


def near(case, i):
    return (case.device.times[i] or T0) + case.rng.choice((-1, 0, 1))


def other_device(case):
    case.instance_id = b"\x01" + case.rng.randbytes(32)


def other_dev(case):
    case.device.fields[pick(case)][6] = case.rng.randbytes(32)


def other_programme(case):
    case.device.fields[pick(case)][2] = case.rng.randbytes(16)


def other_previous(case):
    case.device.fields[pick(case)][7] = case.rng.randbytes(32)


def other_stage(case):
    fields = case.device.fields
    fields[pick(case)][4] = case.rng.choice((fields[pick(case)][4], case.rng.randrange(1, 256)))


def number_out_of_range(case):
    case.device.fields[pick(case)][case.rng.choice((4, 5))] = case.rng.choice((0, 255, 256, (1 << 32) - 1, 1 << 32))


def number_near_quota(case):
    i = pick(case)
    case.device.fields[i][5] = case.site.orders[i][6] + case.rng.choice((-1, 0, 1))


def other_batch(case):
    case.device.fields[pick(case)][3] = case.rng.choice(("", "x", "B/1", "B" * 16, "B" * 17, "Ł"))


def other_clock(case):
    case.device.fields[pick(case)][8] = case.rng.choice((0, T0 - 40 * DAY, T0 + 40 * DAY, 253402300799, 253402300800))


def rot_key_elsewhere(case):
    fields = case.device.fields[pick(case)]
    if case.rng.random() < 0.5:
        fields.pop(9, None)
    else:
        fields[9] = case.rng.choice((case.device.rot.point, case.rng.choice(case.site.keys).point, bytes(64)))


def a_key_too_many(case):
    case.device.fields[pick(case)][case.rng.choice((10, 24))] = 1


def signed_at_another_line(case):
    case.device.keys[pick(case)] = case.rng.choice(case.site.keys)


def lines_change_places(case):
    case.rng.shuffle(case.device.keys)


def line_forgotten(case):
    del case.site.lines[case.rng.randrange(len(case.site.lines))]


def line_of_other_stages(case):
    case.rng.choice(case.site.lines)[6] = bytes(sorted(case.rng.sample(range(1, 256), case.rng.randint(1, 8))))


def line_of_more_stages(case):
    line = case.rng.choice(case.site.lines)
    line[6] = bytes(sorted({*line[6][:7], case.rng.randrange(1, 256)}))


def line_suspended(case):
    line = case.rng.choice(case.site.lines)
    line[9] = 2
    line.pop(10, None)


def line_revoked(case):
    i = case.rng.randrange(len(case.site.lines))
    case.site.lines[i].update({9: 3, 10: case.rng.choice((near(case, min(i, len(case.device.times) - 1)), 0, T0 + DAY))})


def line_validity(case):
    line, t = case.rng.choice(case.site.lines), near(case, pick(case))
    line.update({7: t} if case.rng.random() < 0.5 else {8: t})


def order_forgotten(case):
    del case.site.orders[case.rng.randrange(len(case.site.orders))]


def order_of_another_line(case):
    case.rng.choice(case.site.orders)[5] = case.rng.choice(case.site.line_keys).id


def order_route(case):
    order = case.rng.choice(case.site.orders)
    order[10] = b"".join(case.rng.choice(case.site.keys).id for _ in range(case.rng.randint(1, 8))) + case.rng.choice((b"", order.get(10, b"")))[:16]
    order[10] = order[10][:128]


def order_without_route(case):
    case.rng.choice(case.site.orders).pop(10, None)


def order_times(case):
    order, t = case.rng.choice(case.site.orders), near(case, pick(case))
    order.update(case.rng.choice(({7: t}, {7: 0, 8: t - 100, 9: 100}, {7: 0, 8: t, 9: 0})))


def receipt_dropped(case):
    case.device.receipt_count = 0


def receipt_of_fewer(case):
    case.device.receipt_count = case.rng.randint(0, len(case.device.times))


def receipt_of_more(case):
    case.device.times += [case.device.times[-1]] * (len(case.device.times) < 8)
    case.device.receipt_count = len(case.device.times)


def times_at_random(case):
    case.device.receipt_count = case.rng.randint(0, len(case.device.times))
    case.device.times = [case.rng.choice((None, near(case, i), T0, T0 + 60)) for i in range(len(case.device.times))]
    for i in range(case.device.receipt_count):
        case.device.times[i] = case.device.times[i] or T0


def receipt_of_another_register(case):
    case.device.receipt_key = case.rng.choice(case.site.keys)


def receipt_altered(case):
    case.device.receipt_fields = case.rng.choice(({2: bytes(16)}, {3: bytes(32)}, {3: sha256(b"x")}, {4: bytes(12)}, {4: bytes(13)}, {5: bytes(31)}, {5: b"\x01" * 32}))


def no_register_known(case):
    case.site.register_key = case.rng.choice((b"", case.rng.choice(case.site.keys).point))


def countersigned_by_another(case):
    case.device.countersigner = case.rng.choice(case.site.keys)


def countersigned_with_a_token(case):
    case.device.with_token = True


def left_early(case):
    case.site.variants = [(v + bytes([case.rng.randrange(1, 256)]))[:8] for v in case.site.variants]


def other_variants(case):
    stages = case.site.variants[0] if case.site.variants else b"\x01"
    case.site.variants = [v[:8] for v in case.rng.sample([stages, stages[:-1] or b"\x07", stages + b"\xfe", stages[1:] or b"\x07", b"\x05"], case.rng.randint(0, 4))]


# What only shows where everything before it holds comes more often.
RARE = [line_revoked, line_validity, order_times, times_at_random, other_variants, number_near_quota]
BEFORE = [*RARE, *RARE, other_device, other_dev, other_programme, other_previous, other_stage, number_out_of_range, other_batch, other_clock,
          rot_key_elsewhere, a_key_too_many, signed_at_another_line, lines_change_places, line_forgotten, line_of_other_stages, line_of_more_stages,
          line_suspended, order_forgotten, order_of_another_line, order_route, order_without_route,
          receipt_dropped, receipt_of_fewer, receipt_of_more, receipt_of_another_register, receipt_altered, no_register_known,
          countersigned_by_another, countersigned_with_a_token, left_early]


# ---- and after ----

def statements_change_places(case):
    case.rng.shuffle(case.device.statements)


def statement_omitted(case):
    if len(case.device.statements) > 1:
        del case.device.statements[case.rng.randrange(len(case.device.statements))]


def statement_twice(case):
    case.device.statements.insert(pick(case), case.rng.choice(case.device.statements))
    del case.device.statements[8:]


def statement_of_a_twin(case):
    twin = case.site.device().build()
    i = case.rng.randrange(len(case.device.statements))
    case.device.statements[i:] = case.rng.choice(([twin.statements[i % len(twin.statements)]], twin.statements[i:] or twin.statements[-1:]))


def other_nonce(case):
    case.device.nonce = case.rng.randbytes(case.rng.choice((15, 16, 16, 16, 17)))


def byte_replaced(case):
    i = case.rng.randrange(len(case.chain))
    case.chain = case.chain[:i] + bytes([case.chain[i] ^ case.rng.randrange(1, 256)]) + case.chain[i + 1:]


def cut(case):
    case.chain = case.chain[:case.rng.randrange(len(case.chain))]


def lengthened(case):
    case.chain += case.rng.choice((b"\xf6", b"\x00", case.chain))


def in_more_bytes(case):
    """A head that says the same in one byte more."""
    at = [i for i, b in enumerate(case.chain) if b & 31 == 24]
    i = case.rng.choice(at or [0])
    case.chain = case.chain[:i] + bytes([case.chain[i] + 1, 0]) + case.chain[i + 1:]


def signature_altered(case):
    statement = case.device.statements[-1]
    case.device.statements[-1] = statement[:-1] + bytes([statement[-1] ^ 1])


def signature_of_the_larger_s(case):
    statement = case.device.statements[-1]
    case.device.statements[-1] = statement[:-32] + (P256_ORDER - int.from_bytes(statement[-32:], "big")).to_bytes(32, "big")


AFTER = [signature_altered, signature_of_the_larger_s, statements_change_places, statement_omitted, statement_twice, statement_of_a_twin, other_nonce]
BYTES = [byte_replaced, cut, lengthened, in_more_bytes]


class Case:
    def __init__(self, rng, keys):
        self.rng, self.altered = rng, []
        stages = rng.randint(1, 8)
        self.site = Site(rng, keys, stages)
        self.device = self.site.device()
        self.instance_id = self.device.instance_id
        for alter in rng.sample(BEFORE, rng.choice((0, 1, 1, 1, 2, 3))):
            self.alter(alter)
        self.device.build()
        if rng.random() < 0.2:
            self.alter(rng.choice(AFTER))
        self.chain = self.device.chain()
        if rng.random() < 0.1:
            self.alter(rng.choice(BYTES))

    def alter(self, how):
        """What leaves nothing of its kind to alter is left alone."""
        try:
            how(self)
            self.altered.append(how.__name__)
        except (IndexError, ValueError):
            self.altered.append(f"({how.__name__})")


def is_possible(site):
    """A world is made of records and orders that themselves can be read: the others never come into one."""
    return (all(line[7] <= line[8] <= line[7] + 90 * DAY for line in site.lines) and all(o[7] <= o[8] for o in site.orders)
            and all(0 <= x < 253402300800 for r in site.lines + site.orders for x in (r[7], r[8])))


@pytest.mark.parametrize("shard", range(SHARDS))
def test_the_reference_gives_the_same_reason_for_every_chain(shard, keys, checker):
    seen = collections.Counter()
    for number in range(shard, CASES, SHARDS):
        rng = random.Random(f"{SEED}-{number}")
        case = Case(rng, keys)
        if not is_possible(case.site):
            continue
        world = case.site.world()
        case.device.register(world)
        checker.world(case.site, world)
        ours, theirs = checker.check(case.instance_id, case.chain), check(world, case.instance_id, case.chain)
        assert ours == theirs, f"case {SEED}-{number}: {case.altered}: {case.chain.hex()}"
        seen[ours[0]] += 1
    print(dict(seen))
    if CASES >= 4000:
        assert len(seen) == REASONS, seen


# ---- cut and paste ----

def both_devices(rng, keys):
    """Two devices of one site and batch, and one of another programme: all valid."""
    stages = rng.randint(1, 8)
    site, stranger = Site(rng, keys, stages), Site(rng, keys, stages)
    return site, [site.device().build(), site.device().build(), stranger.device().build()]


def parts(device):
    return [*device.statements, device.nonce, device.countersignature, device.receipt]


def assemble(some):
    *statements, nonce, countersignature, receipt = some
    return write(statements, nonce, countersignature, receipt)


def parts_swapped(a, b):
    """Each part of the chain, and each two of them, taken from the other."""
    own, other = parts(a), parts(b)
    for count in (1, 2):
        for places in itertools.combinations(range(len(own)), count):
            yield assemble([other[i] if i in places else own[i] for i in range(len(own))])


def fields_swapped(a, b):
    """Each field of each object taken from the other's, under the signature that was there."""
    for i, (own, other) in enumerate(zip(a.statements + [a.receipt], b.statements + [b.receipt])):
        (protected, _, payload, signature), theirs = decode(own).item, decode(other).item
        altered = [(theirs[0], payload, signature), (protected, theirs[2], signature), (protected, payload, theirs[3])]
        fields, their_fields = decode(payload), decode(theirs[2])
        altered += [(protected, encode({**fields, key: value}), signature) for key, value in their_fields.items()]
        for protected, payload, signature in altered:
            made = b"\xd2\x84" + string(protected) + b"\xa0" + string(payload) + string(signature)
            some = parts(a)
            some[i if i < len(a.statements) else -1] = made
            yield assemble(some)


def other_signatures(a):
    """(r, n - s) for (r, s), of each object: it verifies as well, and anyone can make it."""
    for i, part in enumerate(parts(a)):
        if i != len(a.statements) and i != len(a.statements) + 1:
            s = P256_ORDER - int.from_bytes(part[-32:], "big")
            yield assemble([part[:-32] + s.to_bytes(32, "big") if k == i else own for k, own in enumerate(parts(a))])


def omissions(a):
    """Every proper selection of the statements, with the receipt and without."""
    for count in range(1, len(a.statements)):
        for some in itertools.combinations(a.statements, count):
            yield write(some, a.nonce, a.countersignature, a.receipt)
            yield write(some, a.nonce, a.countersignature, b"\xf6")
    yield write(a.statements, a.nonce, a.countersignature, b"\xf6")


def permutations(a, rng):
    orders = list(itertools.permutations(a.statements)) if len(a.statements) <= 5 else [rng.sample(a.statements, len(a.statements)) for _ in range(120)]
    for some in orders:
        yield write(some, a.nonce, a.countersignature, a.receipt)


def splices(a, b):
    """The beginning of one and the end of the other, at every place, and with the rest of either."""
    for i in range(len(a.statements) + 1):
        for k in range(len(b.statements) + 1):
            some = (a.statements[:i] + b.statements[k:])[:8]
            for rest in itertools.product((a, b), repeat=3):
                if some:
                    yield write(some, rest[0].nonce, rest[1].countersignature, rest[2].receipt)


def forgeries(rng, a, others):
    for other in others:
        yield from parts_swapped(a, other)
        yield from fields_swapped(a, other)
        yield from splices(a, other)
    yield from other_signatures(a)
    yield from omissions(a)
    yield from permutations(a, rng)


def check_many(checker, instance_id, chains):
    """In batches that fit into the pipes."""
    chains = iter(chains)
    while batch := list(itertools.islice(chains, 16)):
        for chain in batch:
            checker.send("chain", instance_id, chain)
        checker.process.stdin.flush()
        for chain in batch:
            yield chain, checker.receive()[0]


@pytest.mark.parametrize("shard", range(SHARDS))
def test_nothing_cut_and_pasted_from_valid_chains_is_accepted(shard, keys, checker):
    tried = 0
    for number in range(shard, CHAINS, SHARDS):
        rng = random.Random(f"forge-{SEED}-{number}")
        site, (a, *others) = both_devices(rng, keys)
        checker.world(site, site.world())
        assert checker.check(a.instance_id, a.chain()) == ("accepted", len(a.statements))
        for instance_id, valid in ((a.instance_id, a.chain()), (others[0].instance_id, others[0].chain())):
            made = {*forgeries(rng, a, others)} - {valid}
            for chain, reason in check_many(checker, instance_id, sorted(made)):
                assert reason != "accepted", f"forge-{SEED}-{number}: {chain.hex()}"
            tried += len(made)
    print(tried, "forgeries")


@pytest.mark.parametrize("shard", range(SHARDS))
def test_a_chain_of_which_any_byte_was_replaced_is_refused(shard, keys, checker):
    for number in range(shard, CHAINS, SHARDS):
        rng = random.Random(f"bytes-{SEED}-{number}")
        site = Site(rng, keys, 1 + number % 8)
        device = site.device()
        device.with_token = number % 5 == 0
        device.build()
        checker.world(site, site.world())
        assert checker.check(device.instance_id, device.chain())[0] == "accepted"
        checker.send("replace", device.instance_id, device.chain(), number)
        assert checker.receive() == ["done"], f"bytes-{SEED}-{number}"


# ---- revocation ----

@pytest.mark.parametrize("with_receipts", [True, False], ids=["receipts", "register"])
def test_revoking_a_line_from_a_time_on_takes_what_was_registered_from_then_on_and_nothing_else(with_receipts, keys, checker):
    rng = random.Random(f"revoke-{SEED}")
    site = Site(rng, keys, 3)
    times = sorted(rng.sample(range(T0, T0 + 3000), 6 if SANITIZED else 24)) + [T0 + 3000] * 2
    devices = []
    for time in times:
        device = site.device([time - rng.randrange(60), time, time + rng.randrange(60)])
        device.fields[1][8] = rng.choice((0, T0 - 30 * DAY, T0 + 30 * DAY))
        device.receipt_count = 3 if with_receipts else 0
        devices.append(device.build())
    for moment in sorted({t + d for t in times for d in (-1, 0, 1)}):
        revoked = site.copy()
        revoked.lines[1].update({9: 3, 10: moment})
        world = revoked.world()
        for device in devices:
            device.register(world)
        checker.world(revoked, world)
        reasons = [checker.check(d.instance_id, d.chain())[0] for d in devices]
        assert reasons == ["accepted" if t < moment else "line-revoked" for t in times], moment
