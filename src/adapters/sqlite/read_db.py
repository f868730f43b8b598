"""A read database in a SQLite file."""

from __future__ import annotations

from typing import TYPE_CHECKING

from adapters.sql.address import Address
from adapters.sql.database import SqlDatabase
from adapters.sqlite.read_db_file import SETTING, prepare

if TYPE_CHECKING:
    from pathlib import Path

    from adapters.sql.backend import SqlBackend


def sqlite_read_db(path: Path, pool_size: int = 4, *, make_tables: bool = True) -> SqlDatabase:
    """Opened by `async with`, which makes the file when it is missing, or raises `CannotOpen`. `pool_size` is how many
    connections there are at most. With `make_tables`, the thread that needs the database first makes its tables or
    brings them up to date: nobody runs `postlog init` for a file, and a process that starts answers commands meanwhile.
    """
    address = Address(setting=SETTING, place=str(path))

    def connect() -> SqlBackend:
        from adapters.sql.attempts import attempt
        from adapters.sql.schema import Schema
        from adapters.sqlite.engine import sqlite_backend

        backend = sqlite_backend(path, pool_size)
        if make_tables:
            attempt(backend, address, Schema(backend, address).provision)
        return backend

    return SqlDatabase(address=address, threads=pool_size, check=lambda: prepare(path), connect=connect)
