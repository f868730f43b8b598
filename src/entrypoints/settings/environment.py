"""Settings from environment variables: `POSTLOG__HTTP__PORT`, and the short ones `PORT` and `POSTLOG_DATA`."""

import re
from collections.abc import Mapping
from pathlib import PurePath

from entrypoints.settings.conversion import Given
from entrypoints.settings.model import SqliteLog, SqliteReadDb
from entrypoints.settings.problems import Problem, nearest
from entrypoints.settings.tree import leaves

PREFIX = "POSTLOG__"
CONFIG_VARIABLE = "POSTLOG_CONFIG"

_SERVICE_LINK = re.compile(
    r".+?_(SERVICE_HOST|SERVICE_PORT(_\w+)?|PORT|PORT_\d+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)", re.ASCII
)
_LINK_ADDRESS = re.compile(r"(tcp|udp|sctp)://", re.IGNORECASE)


def long_variables(environ: Mapping[str, str]) -> tuple[dict[str, Given], list[Problem]]:
    """What the `POSTLOG__…` variables give, by path, and those that name no setting. The service links that Kubernetes
    sets in every pod for a service called `postlog-worker` or the like are not ours."""
    by_variable = {leaf.variable: leaf for leaf in leaves().values()}
    squeezed = {variable.replace("_", ""): variable for variable in by_variable}
    given: dict[str, Given] = {}
    problems: list[Problem] = []
    for name, text in sorted(environ.items()):
        if name in by_variable:
            given[by_variable[name].path] = Given(text, name)
        elif _is_service_link(name, text):
            continue
        elif name.upper().startswith(PREFIX):
            problems.append(_unknown(name, squeezed.get(name.upper().replace("_", ""))))
        elif name.startswith("POSTLOG_") and name.replace("_", "") in squeezed:
            variable = squeezed[name.replace("_", "")]
            problems.append(Problem(name, f"is not read: the variable's name is {variable}, with two underscores"))
    return given, problems


def short_variables(environ: Mapping[str, str]) -> dict[str, Given]:
    """What `PORT` and `POSTLOG_DATA` give; an empty one counts as absent."""
    given: dict[str, Given] = {}
    if port := environ.get("PORT"):
        given["http.port"] = Given(port, "PORT")
    if folder := environ.get("POSTLOG_DATA"):
        for path, default in (("event_store.sqlite.path", SqliteLog().path), ("read_db.sqlite.path", _READ_DB)):
            given[path] = Given(str(PurePath(folder, PurePath(default).name)), "POSTLOG_DATA")
    return given


_READ_DB = SqliteReadDb().path


def _is_service_link(name: str, text: str) -> bool:
    """`…_PORT` may also be a person's misspelling of a setting; there the value decides, `tcp://10.0.0.1:8000`."""
    found = _SERVICE_LINK.fullmatch(name)
    return found is not None and (found[1] != "PORT" or _LINK_ADDRESS.match(text) is not None)


def _unknown(name: str, variable: str | None) -> Problem:
    """`variable` is that of a setting whose name differs in the underscores only."""
    path = name[len(PREFIX) :].lower().replace("__", ".")
    alike = leaves().get(nearest(path) or "")
    meant = variable or (alike.variable if alike else None)
    hint = f"did you mean {meant}?" if meant else "`postlog config` lists the settings"
    return Problem(name, f"names no setting; {hint}")
