"""What the gateway's store and the signer's journal hold, read beside the daemons."""

import contextlib
import sqlite3

from signer_peer import read_journal


def query(stack, sql, *values):
    with contextlib.closing(sqlite3.connect(f"file:{stack.folder}/gateway/state/gateway.db?mode=ro", uri=True)) as db:
        return db.execute(sql, values).fetchall()


def signed(stack):
    """The journal's certificates: [(serial, DER)]."""
    records = [record for _, record in read_journal(stack.folder / "signer/state/journal")]
    return [(record[3], record[7]) for record in records if 7 in record]


def certificates_of(stack, device):
    return [row[0] for row in query(stack, "SELECT der FROM certificates JOIN devices ON devices.id = device_id "
                                           "WHERE instance_id = ?", device.instance)]


def open_intents(stack):
    return query(stack, "SELECT count(*) FROM intents WHERE state = 'open'")[0][0]


def check_agreement(stack):
    """No serial twice; what the store calls issued is what the signer's journal holds, byte for byte; nothing is half-done."""
    journal = signed(stack)
    assert len({serial for serial, _ in journal}) == len(journal)
    assert sorted(row[0] for row in query(stack, "SELECT der FROM certificates")) == sorted(der for _, der in journal)
    assert open_intents(stack) == 0
