"""Receipts beside the log on SQLite."""

import sqlite3
from collections.abc import Sequence
from dataclasses import astuple

from application.ports.event_store import RECEIPT_DAYS, Receipt
from domain.ids import PostId

_FIND = "SELECT commit_id, request_digest, stream_id, version, position FROM receipts WHERE commit_id = ?"
_KEEP = "INSERT INTO receipts VALUES (?, ?, ?, ?, ?, unixepoch()) ON CONFLICT DO NOTHING"
_EXPIRE = "DELETE FROM receipts WHERE kept_at < unixepoch() - ?"

_SECONDS = RECEIPT_DAYS * 24 * 60 * 60


def keep_receipts(connection: sqlite3.Connection, receipts: Sequence[Receipt]) -> None:
    connection.execute(_EXPIRE, (_SECONDS,))
    connection.executemany(_KEEP, [astuple(receipt) for receipt in receipts])


def find_receipt(connection: sqlite3.Connection, commit_id: str) -> Receipt | None:
    row = connection.execute(_FIND, (commit_id,)).fetchone()
    if row is None:
        return None
    commit_id, digest, stream_id, version, position = row
    return Receipt(
        commit_id=commit_id,
        request_digest=digest,
        stream_id=PostId(stream_id),
        version=version,
        position=position,
    )
