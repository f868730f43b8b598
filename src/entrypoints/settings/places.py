"""Which log and which read database the settings choose, without passwords: said with the result of a job, since
`POSTLOG_DATA` or a settings file may be another one in another shell."""

from collections.abc import Mapping
from pathlib import Path

from entrypoints.settings.model import Settings

LOG, READ_DB = "log", "readDb"
_TITLES = {LOG: "Log", READ_DB: "Read database"}


def places(settings: Settings, *names: str) -> Mapping[str, str]:
    """By `LOG` and `READ_DB`, those that are named."""
    found = {LOG: _log(settings), READ_DB: _read_db(settings)}
    return {name: found[name] for name in names}


def in_words(places: Mapping[str, str]) -> str:
    """`Log: sqlite /data/log.sqlite. Read database: …`, for `places` that are named."""
    return " ".join(f"{_TITLES[name]}: {place}." for name, place in places.items())


def _log(settings: Settings) -> str:
    match settings.event_store.adapter:
        case "sqlite":
            return f"sqlite {_absolute(settings.event_store.sqlite.path)}"
        case "mongo":
            mongo = settings.event_store.mongo
            return f"mongo {mongo.url}, database {mongo.database}"
        case "memory":
            return "memory"


def _read_db(settings: Settings) -> str:
    read_db = settings.read_db
    match read_db.adapter:
        case "sqlite":
            return f"sqlite {_absolute(read_db.sqlite.path)}"
        case "postgres":
            return f"postgres {read_db.postgres.url}"
        case "sqlserver":
            return f"sqlserver {read_db.sqlserver.url}"
        case "memory":
            return "memory"


def _absolute(path: str) -> Path:
    return Path(path).absolute()
