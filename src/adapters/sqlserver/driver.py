"""pyodbc, and the ODBC driver that an address names: loads them, and says what is missing on this machine."""

import re
from types import ModuleType

from application.errors import CannotOpen

SETTING = "read_db.sqlserver.url"
DRIVER = "ODBC Driver 18 for SQL Server"

_NOT_LOADED = {"01000", "IM002", "IM003", "IM004", "IM005"}
"""SQLSTATEs of the driver manager for a driver that it does not know or can't load."""

_AROUND = re.compile(r"^(?:\[[^]]*\] ?)+|(?: \(-?\d+\))?(?: \(SQL\w+\))?$")
"""`[28000] [Microsoft][ODBC Driver 18 for SQL Server][SQL Server]` before, ` (18456) (SQLDriverConnect)` behind."""


def require_driver(name: str) -> None:
    """`name` as in the address: a name that the driver manager knows, or the path of a library. Raises `CannotOpen`.

    Without a server's name the driver manager loads the driver, which then refuses without contacting any server."""
    pyodbc = load()
    try:
        pyodbc.connect(f"DRIVER={{{name.replace('}', '}}')}}}", timeout=1).close()
    except pyodbc.Error as error:
        if error.args[0] in _NOT_LOADED:
            raise _missing(f"its ODBC driver '{name}' can't be loaded ({server_message(error)})") from error


def load() -> ModuleType:
    """pyodbc, which leaves pools to SQLAlchemy. Raises `CannotOpen` when unixODBC is missing."""
    try:
        import pyodbc  # type: ignore[import-not-found]
    except ImportError as error:
        raise _missing(f"pyodbc can't be loaded ({error})") from error
    pyodbc.pooling = False
    module: ModuleType = pyodbc
    return module


def server_message(reason: object) -> str:
    """The first message of a driver, without the names of the components that passed it on: `Login failed for user
    'ann'`."""
    args = reason.args if isinstance(reason, Exception) else ()
    first = str(args[-1] if args else reason).partition("; [")[0]
    return _AROUND.sub("", first)


def _missing(what: str) -> CannotOpen:
    return CannotOpen(
        f"The read database in SQL Server can't be used: {what}. Install unixODBC (Debian: `apt install unixodbc`) and "
        f"Microsoft's driver 18 (package msodbcsql18), and name the driver in {SETTING}: …?driver=, then its name with "
        f"+ for blanks, or the path of its library.",
        path=SETTING,
    )
