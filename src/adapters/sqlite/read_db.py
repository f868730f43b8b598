"""A read database in a SQLite file."""

from pathlib import Path
from typing import TYPE_CHECKING

from adapters.sql.address import Address
from adapters.sql.read_db import SqlReadDb
from adapters.sqlite.read_db_file import SETTING, prepare

if TYPE_CHECKING:
    from adapters.sql.backend import SqlBackend


def sqlite_read_db(path: Path, pool_size: int = 4, *, make_tables: bool = True) -> SqlReadDb:
    """Opened by `async with`, which creates the file when it is missing, or raises `CannotOpen`. There are at most
    `pool_size` connections. With `make_tables`, the thread that first needs the database creates its tables or upgrades
    them: a file needs no `postlog init`, and a process that starts answers commands meanwhile."""
    address = Address(setting=SETTING, place=str(path))

    def connect() -> "SqlBackend":
        from adapters.sql.database import with_retry
        from adapters.sql.schema import Schema
        from adapters.sqlite.read_db_engine import sqlite_backend

        backend = sqlite_backend(path, pool_size)
        if make_tables:
            with_retry(backend, address, Schema(backend, address).provision)
        return backend

    return SqlReadDb(address=address, threads=pool_size, check=lambda: prepare(path), connect=connect)
