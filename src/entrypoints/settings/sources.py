"""What each source of settings gives: the YAML file, environment variables and secret files, as text by path; and how a
text becomes a value of the setting's type.

All sources give text, so YAML's own guesses (`no` is a boolean, `0123` an octal number) never apply: the type of the
setting decides.
"""

import re
from collections.abc import Iterator, Mapping, MutableMapping
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path, PurePath
from typing import Any

import yaml

from entrypoints.settings.leaves import (
    Leaf,
    Problem,
    SettingsError,
    groups,
    is_secret,
    leaves,
    listed,
    nearest_setting,
    unknown_setting,
)
from entrypoints.settings.model import SqliteLog, SqliteReadDb
from entrypoints.settings.secret import Secret

PREFIX = "POSTLOG__"
CONFIG_VARIABLE = "POSTLOG_CONFIG"


@dataclass(frozen=True, slots=True)
class RawValue:
    """The text that a source gives for a setting (None: YAML's null), whether it is quoted, and which source it is."""

    text: str | None
    source: str
    quoted: bool = False


class InvalidValue(ValueError):
    """The message continues a sentence that begins with the setting's path."""


# --- the settings file ---

_TAGS = ("str", "int", "float", "bool", "null", "timestamp", "value", "merge")
_PLAIN_TAGS = frozenset(f"tag:yaml.org,2002:{tag}" for tag in _TAGS)
_NULLS = frozenset(("", "~", "null", "Null", "NULL"))


def read_settings_file(file: Path, named_by: str) -> tuple[dict[str, RawValue], list[Problem]]:
    """The values of the file by path, and what is wrong with its form. `named_by` is the option or variable that named
    the file. Raises `SettingsError` when the file can't be read at all."""
    root = _compose(file, named_by)
    given: dict[str, RawValue] = {}
    problems: list[Problem] = []
    if root is None:
        return given, problems
    for finding in _walk(root, "", str(file)):
        if isinstance(finding, Problem):
            problems.append(finding)
        else:
            given[finding[0]] = finding[1]
    return given, problems


def _compose(file: Path, named_by: str) -> yaml.Node | None:
    def refuse(sentence: str) -> SettingsError:
        return SettingsError([Problem(str(file), sentence, named_by)])

    try:
        text = file.read_text(encoding="utf-8-sig")
        root: yaml.Node | None = yaml.compose(text, Loader=yaml.SafeLoader)
    except OSError as error:
        raise refuse(f"can't be read: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        raise refuse("is not UTF-8 text") from error
    except yaml.MarkedYAMLError as error:
        line = f" in line {error.problem_mark.line + 1}" if error.problem_mark else ""
        raise refuse(f"is not valid YAML{line}: {error.problem or error.context}") from error
    except (yaml.YAMLError, RecursionError) as error:
        raise refuse("is not valid YAML: it contains control characters or is nested too deeply") from error
    if root is not None and not isinstance(root, yaml.MappingNode) and not _is_null(root):
        raise refuse("must contain groups of settings, such as `http:` with `port: 8000` below it")
    return root


def _walk(node: yaml.Node, path: str, file: str) -> Iterator[tuple[str, RawValue] | Problem]:
    source = f"{file}:{node.start_mark.line + 1}"
    if path in groups() or not path:
        if isinstance(node, yaml.MappingNode):
            yield from _walk_group(node, path, file)
        elif not _is_null(node):
            yield Problem(path, "is a group of settings; it can't have a value of its own", source)
    elif path not in leaves():
        yield unknown_setting(path, source)
    elif not isinstance(node, yaml.ScalarNode):
        yield Problem(path, "takes one value, not a list or a group", source)
    elif node.tag not in _PLAIN_TAGS:
        yield Problem(path, f"has the YAML tag {node.tag}; write the plain value", source)
    else:
        text = None if _is_null(node) else node.value
        yield path, RawValue(text, source, quoted=node.style is not None)


def _walk_group(node: yaml.MappingNode, path: str, file: str) -> Iterator[tuple[str, RawValue] | Problem]:
    seen: dict[str, int] = {}
    for key, value in node.value:
        line = key.start_mark.line + 1
        if not isinstance(key, yaml.ScalarNode):
            yield Problem(path or file, "has a key that is not a name", f"{file}:{line}")
            continue
        below = f"{path}.{key.value}" if path else key.value
        if key.value in seen:
            yield Problem(below, f"is given twice, first in line {seen[key.value]}", f"{file}:{line}")
            continue
        seen[key.value] = line
        yield from _walk(value, below, file)


def _is_null(node: yaml.Node) -> bool:
    return isinstance(node, yaml.ScalarNode) and node.style is None and node.value in _NULLS


# --- environment variables ---

_SERVICE_LINK = re.compile(
    r".+?_(SERVICE_HOST|SERVICE_PORT(_\w+)?|PORT|PORT_\d+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)", re.ASCII
)
_LINK_ADDRESS = re.compile(r"(tcp|udp|sctp)://", re.IGNORECASE)
_DATA_FILES = {"event_store.sqlite.path": SqliteLog().path, "read_db.sqlite.path": SqliteReadDb().path}


def long_variables(environ: Mapping[str, str]) -> tuple[dict[str, RawValue], list[Problem]]:
    """The values of `POSTLOG__…` variables by path, and the variables that are no setting. Skips the service links that
    Kubernetes sets in every pod for a service called `postlog-worker` or similar."""
    by_variable = {leaf.variable: leaf for leaf in leaves().values()}
    squeezed = {variable.replace("_", ""): variable for variable in by_variable}
    given: dict[str, RawValue] = {}
    problems: list[Problem] = []
    for name, text in sorted(environ.items()):
        if name in by_variable:
            given[by_variable[name].path] = RawValue(text, name)
        elif _is_service_link(name, text):
            continue
        elif name.upper().startswith(PREFIX):
            problems.append(_unknown_variable(name, squeezed.get(name.upper().replace("_", ""))))
        elif name.startswith("POSTLOG_") and name.replace("_", "") in squeezed:
            variable = squeezed[name.replace("_", "")]
            problems.append(Problem(name, f"is not a setting; did you mean {variable}, with double underscores?"))
    return given, problems


def short_variables(environ: Mapping[str, str]) -> dict[str, RawValue]:
    """The values of `PORT` and `POSTLOG_DATA`; an empty variable counts as absent."""
    given: dict[str, RawValue] = {}
    if port := environ.get("PORT"):
        given["http.port"] = RawValue(port, "PORT")
    if folder := environ.get("POSTLOG_DATA"):
        for path, default in _DATA_FILES.items():
            given[path] = RawValue(str(PurePath(folder, PurePath(default).name)), "POSTLOG_DATA")
    return given


def _is_service_link(name: str, text: str) -> bool:
    """`…_PORT` may also be a misspelled setting; there the value decides: `tcp://10.0.0.1:8000` is a service link."""
    found = _SERVICE_LINK.fullmatch(name)
    return found is not None and (found[1] != "PORT" or _LINK_ADDRESS.match(text) is not None)


def _unknown_variable(name: str, variable: str | None) -> Problem:
    """`variable` belongs to the setting whose name differs in the underscores only, if there is one."""
    path = name[len(PREFIX) :].lower().replace("__", ".")
    alike = leaves().get(nearest_setting(path) or "")
    meant = variable or (alike.variable if alike else None)
    hint = f"did you mean {meant}?" if meant else "`postlog config` lists all settings"
    return Problem(name, f"is not a setting; {hint}")


# --- secret files, as container platforms provide them ---


def secrets_from_files(values: MutableMapping[str, Any], sources: MutableMapping[str, str]) -> list[Problem]:
    """Read each secret whose `…_file` setting is given into `values`, record its source, and return the problems."""
    problems = []
    for path in filter(is_secret, leaves()):
        beside = path + "_file"
        if values.get(beside) is None:
            continue
        try:
            if values.get(path) is not None:
                raise InvalidValue(f"and {beside} ({sources[beside]}) are both set; remove one of them")
            values[path] = read_secret(leaves()[path], values[beside])
            sources[path] = f"{values[beside]}, named by {sources[beside]}"
        except InvalidValue as error:
            problems.append(Problem(path, str(error), sources.get(path) or sources[beside]))
    return problems


def read_secret(leaf: Leaf, file: str) -> Any:
    """Raises `InvalidValue`, whose message has nothing of the file's content."""
    try:
        text = Path(file).read_text(encoding="utf-8-sig")  # some editors write a byte order mark before the text
    except OSError as error:
        raise InvalidValue(f"should come from {file}, which can't be read: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        raise InvalidValue(f"should come from {file}, which is not UTF-8 text") from error
    return convert(leaf, RawValue(text.strip(), file))


# --- from text to value ---

_INTEGER = re.compile(r"-?(0|[1-9][0-9]*)")
_NUMBER = re.compile(r"-?(0|[1-9][0-9]*)(\.[0-9]+)?")
_NOT_TEXT = re.compile("[\x00\ud800-\udfff]")
_BOOLEANS = {"true": True, "yes": True, "on": True, "false": False, "no": False, "off": False}


def convert(leaf: Leaf, given: RawValue) -> Any:
    """Raises `InvalidValue`, whose message never has a secret's text. Stricter than msgspec's own conversion of text
    (which takes `1` for true, `8e1` for 80 and `nan`), and its messages name the bounds or the nearest choice."""
    if given.text is None:
        if leaf.optional:
            return None
        raise InvalidValue("has no value; set one, or remove the line to use the default")
    if leaf.kind is bool:
        return _boolean(given.text)
    if leaf.kind in (int, float):
        return _number(leaf, given.text, quoted=given.quoted)
    if leaf.choices:
        return _choice(leaf, given.text)
    return _text(leaf, given.text)


def _boolean(text: str) -> bool:
    try:
        return _BOOLEANS[text.lower()]
    except KeyError:
        raise InvalidValue(f"is {text!r}; it must be true or false") from None


def _number(leaf: Leaf, text: str, *, quoted: bool) -> int | float:
    expected = f"{'a whole number' if leaf.kind is int else 'a number'} {bounds_text(leaf)}"
    if quoted:
        raise InvalidValue(f"is the text {text!r}; write {expected}, without quotes")
    pattern = _INTEGER if leaf.kind is int else _NUMBER
    if not pattern.fullmatch(text) or len(text) > 20:
        raise InvalidValue(f"is {text!r}; it must be {expected}")
    value: int | float = leaf.kind(text)
    if not _is_within_bounds(leaf, value):
        raise InvalidValue(f"is {text}; it must be {expected}")
    return value


def _is_within_bounds(leaf: Leaf, value: float) -> bool:
    bounds = leaf.bounds
    return not (
        (bounds.ge is not None and value < bounds.ge)
        or (bounds.gt is not None and value <= bounds.gt)
        or (bounds.le is not None and value > bounds.le)
    )


def bounds_text(leaf: Leaf) -> str:
    """`from 0 to 65,535`, `above 0, at most 3,600`."""
    bounds = leaf.bounds
    if bounds.gt is not None:
        return f"above {bounds.gt:,}, at most {bounds.le:,}"
    return f"from {bounds.ge:,} to {bounds.le:,}"


def _choice(leaf: Leaf, text: str) -> str:
    if text in leaf.choices:
        return text
    alike = get_close_matches(text.lower(), leaf.choices, n=1, cutoff=0.6)
    hint = f"; did you mean {alike[0]}?" if alike else ""
    raise InvalidValue(f"is {text!r}; it must be one of {', '.join(leaf.choices)}{hint}")


def _text(leaf: Leaf, text: str) -> str | Secret:
    if not text.strip():
        raise InvalidValue("is empty; set a value, or remove it to use the default")
    if _NOT_TEXT.search(text):
        raise InvalidValue("contains a NUL character or bytes that are not UTF-8")
    if leaf.schemes and not text.startswith(leaf.schemes):
        raise InvalidValue(f"must begin with {' or '.join(leaf.schemes)}")
    for item in listed(text) if leaf.items else ():
        if not re.fullmatch(leaf.items or "", item):
            raise InvalidValue(f"has the item {item!r}; each must be {leaf.item}")
    return Secret(text) if leaf.kind is Secret else text
