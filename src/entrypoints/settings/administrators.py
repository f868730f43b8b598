"""Administrators' addresses of the servers, which `postlog init` and `postlog events cut` use once. They are not
settings: a settings file can't have them, other commands do not read them, and `postlog config` does not print them.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches

from entrypoints.settings.leaves import Leaf, Problem, SettingsError, leaves
from entrypoints.settings.secret import Secret
from entrypoints.settings.sources import InvalidValue, RawValue, convert, read_secret

OPTION = "--admin-url-file"
PREFIX = "POSTLOG_ADMIN__"

_SERVICE_URLS = {
    "mongo": "event_store.mongo.url",
    "postgres": "read_db.postgres.url",
    "sqlserver": "read_db.sqlserver.url",
}
_VARIABLES = {f"{PREFIX}{server.upper()}_URL": server for server in _SERVICE_URLS}


@dataclass(frozen=True, slots=True, kw_only=True)
class Administrators:
    """At most one address for each server; with None, Postlog does not manage that server's logins."""

    mongo: Secret | None = None
    postgres: Secret | None = None
    sqlserver: Secret | None = None


def administrators(environ: Mapping[str, str], files: Sequence[str] = ()) -> Administrators:
    """From `POSTLOG_ADMIN__<SERVER>_URL`, `…_URL_FILE`, and the files of `--admin-url-file`, where the scheme of the
    address selects the server. Raises `SettingsError` with all problems."""
    urls: dict[str, Secret] = {}
    sources: dict[str, str] = {}
    problems: list[Problem] = []
    for server, url, source in _given(environ, files, problems):
        if server in urls:
            problems.append(Problem(source, f"and {sources[server]} both give an address for {server}; remove one"))
        urls[server], sources[server] = url, source
    if problems:
        raise SettingsError(problems)
    return Administrators(**urls)


def _given(
    environ: Mapping[str, str], files: Sequence[str], problems: list[Problem]
) -> Iterator[tuple[str, Secret, str]]:
    """Server, address, and the source of the address. Appends what is wrong to `problems`."""
    for name in sorted(environ):
        if not name.startswith(PREFIX):
            continue
        variable = name.removesuffix("_FILE")
        if variable not in _VARIABLES:
            problems.append(Problem(name, f"is not an administrator's variable; did you mean {_nearest(name)}?"))
            continue
        server = _VARIABLES[variable]
        try:
            yield server, _value(_leaf(server), environ[name], name, in_file=name != variable), name
        except InvalidValue as error:
            problems.append(Problem(name, str(error)))
    for file in files:
        try:
            server, url = _of_any_server(file)
            yield server, url, f"{OPTION} {file}"
        except InvalidValue as error:
            problems.append(Problem(f"{OPTION} {file}", str(error)))


def _value(leaf: Leaf, text: str, name: str, *, in_file: bool) -> Secret:
    value: Secret = read_secret(leaf, text) if in_file else convert(leaf, RawValue(text, name))
    return value


def _of_any_server(file: str) -> tuple[str, Secret]:
    schemes = tuple(scheme for server in _SERVICE_URLS for scheme in _leaf(server).schemes)
    leaf = Leaf(path=OPTION, kind=Secret, default=None, schemes=schemes)
    url: Secret = read_secret(leaf, file)
    [server] = [server for server in _SERVICE_URLS if url.reveal().startswith(_leaf(server).schemes)]
    return server, url


def _leaf(server: str) -> Leaf:
    return leaves()[_SERVICE_URLS[server]]


def _nearest(name: str) -> str:
    return next(iter(get_close_matches(name, _VARIABLES, n=1, cutoff=0.0)))
