"""From the text that a person wrote to a value of the setting's type.

Files and environment come the same way: YAML's own guesses (`no` a boolean, `0123` an octal number) never happen,
since the type of the setting decides.

Settings from environment variables: `POSTLOG__HTTP__PORT`, and the short ones `PORT` and `POSTLOG_DATA`.

A settings file: YAML read as plain text, with the line of each value. The types come from the model.

Secrets that stand in a file of their own, as container platforms hand them out.
"""

import re
from collections.abc import Iterator, Mapping, MutableMapping
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path, PurePath
from typing import Any

import yaml

from entrypoints.settings.leaves import Leaf, Problem, SettingsError, groups, is_secret, leaves, nearest, unknown
from entrypoints.settings.model import SqliteLog, SqliteReadDb
from entrypoints.settings.secret import Secret

_INTEGER = re.compile(r"-?(0|[1-9][0-9]*)")
_NUMBER = re.compile(r"-?(0|[1-9][0-9]*)(\.[0-9]+)?")
_NOT_TEXT = re.compile("[\x00\ud800-\udfff]")
_BOOLEANS = {"true": True, "yes": True, "on": True, "false": False, "no": False, "off": False}


@dataclass(frozen=True, slots=True)
class RawValue:
    """What stands at a path: `text` as written (None: YAML's null), whether in quotes, and where."""

    text: str | None
    source: str
    quoted: bool = False


class InvalidValue(ValueError):
    """The message is the end of a sentence that begins with the setting's path."""


def convert(leaf: Leaf, given: RawValue) -> Any:
    """Raises `NotConvertible`. A secret's text is in no message."""
    if given.text is None:
        if leaf.optional:
            return None
        raise InvalidValue("has no value; give it one, or take the line out for the default")
    if leaf.kind is bool:
        return _boolean(given.text)
    if leaf.kind in (int, float):
        return _number(leaf, given)
    if leaf.choices:
        return _choice(leaf, given.text)
    return _text(leaf, given.text)


def _boolean(text: str) -> bool:
    try:
        return _BOOLEANS[text.lower()]
    except KeyError:
        raise InvalidValue(f"is {text!r}; it must be true or false") from None


def _number(leaf: Leaf, given: RawValue) -> int | float:
    text = given.text or ""
    pattern = _INTEGER if leaf.kind is int else _NUMBER
    if given.quoted:
        raise InvalidValue(f"is the text {text!r}; write {_expected(leaf)}, without quotes")
    if not pattern.fullmatch(text) or len(text) > 20:
        raise InvalidValue(f"is {text!r}; it must be {_expected(leaf)}")
    value: int | float = leaf.kind(text)
    if not _within(leaf, value):
        raise InvalidValue(f"is {text}; it must be {_expected(leaf)}")
    return value


def _within(leaf: Leaf, value: float) -> bool:
    bounds = leaf.bounds
    return not (
        (bounds.ge is not None and value < bounds.ge)
        or (bounds.gt is not None and value <= bounds.gt)
        or (bounds.le is not None and value > bounds.le)
    )


def _expected(leaf: Leaf) -> str:
    noun = "a whole number" if leaf.kind is int else "a number"
    return f"{noun} {bounds_text(leaf)}"


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
        raise InvalidValue("is empty; give it a value, or take it out for the default")
    if _NOT_TEXT.search(text):
        raise InvalidValue("holds a NUL character or bytes that are not UTF-8")
    if leaf.schemes and not text.startswith(leaf.schemes):
        raise InvalidValue(f"must begin with {' or '.join(leaf.schemes)}")
    return Secret(text) if leaf.kind is Secret else text


PREFIX = "POSTLOG__"
CONFIG_VARIABLE = "POSTLOG_CONFIG"

_SERVICE_LINK = re.compile(
    r".+?_(SERVICE_HOST|SERVICE_PORT(_\w+)?|PORT|PORT_\d+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)", re.ASCII
)
_LINK_ADDRESS = re.compile(r"(tcp|udp|sctp)://", re.IGNORECASE)


def long_variables(environ: Mapping[str, str]) -> tuple[dict[str, RawValue], list[Problem]]:
    """What the `POSTLOG__…` variables give, by path, and those that name no setting. The service links that Kubernetes
    sets in every pod for a service called `postlog-worker` or the like are not ours."""
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
            problems.append(_unknown(name, squeezed.get(name.upper().replace("_", ""))))
        elif name.startswith("POSTLOG_") and name.replace("_", "") in squeezed:
            variable = squeezed[name.replace("_", "")]
            problems.append(Problem(name, f"is not read: the variable's name is {variable}, with two underscores"))
    return given, problems


def short_variables(environ: Mapping[str, str]) -> dict[str, RawValue]:
    """What `PORT` and `POSTLOG_DATA` give; an empty one counts as absent."""
    given: dict[str, RawValue] = {}
    if port := environ.get("PORT"):
        given["http.port"] = RawValue(port, "PORT")
    if folder := environ.get("POSTLOG_DATA"):
        for path, default in (("event_store.sqlite.path", SqliteLog().path), ("read_db.sqlite.path", _READ_DB)):
            given[path] = RawValue(str(PurePath(folder, PurePath(default).name)), "POSTLOG_DATA")
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


_TAGS = ("str", "int", "float", "bool", "null", "timestamp", "value", "merge")
_PLAIN_TAGS = frozenset(f"tag:yaml.org,2002:{tag}" for tag in _TAGS)
_NULLS = frozenset(("", "~", "null", "Null", "NULL"))

Finding = tuple[str, RawValue] | Problem


def read_settings_file(file: Path, named_by: str) -> tuple[dict[str, RawValue], list[Problem]]:
    """What the file gives, by path, and what is wrong with its form. `named_by` is the option or variable that named
    the file. Raises `SettingsError` when it can't be read at all."""
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
        raise refuse("is not valid YAML: it holds control characters or is nested too deeply") from error
    if root is not None and not isinstance(root, yaml.MappingNode) and not _is_null(root):
        raise refuse("must hold groups of settings, as in `http:` and below it `port: 8000`")
    return root


def _walk(node: yaml.Node, path: str, file: str) -> Iterator[Finding]:
    source = f"{file}:{node.start_mark.line + 1}"
    if path in groups() or not path:
        if isinstance(node, yaml.MappingNode):
            yield from _walk_group(node, path, file)
        elif not _is_null(node):
            yield Problem(path, "is a group of settings; it has no value of its own", source)
    elif path not in leaves():
        yield unknown(path, source)
    elif not isinstance(node, yaml.ScalarNode):
        yield Problem(path, "takes one value, not a list or a group", source)
    elif node.tag not in _PLAIN_TAGS:
        yield Problem(path, f"carries the YAML tag {node.tag}; write the plain value", source)
    else:
        text = None if _is_null(node) else node.value
        yield path, RawValue(text, source, quoted=node.style is not None)


def _walk_group(node: yaml.MappingNode, path: str, file: str) -> Iterator[Finding]:
    seen: dict[str, int] = {}
    for key, value in node.value:
        line = key.start_mark.line + 1
        if not isinstance(key, yaml.ScalarNode):
            yield Problem(path or file, "has a key that is no name", f"{file}:{line}")
            continue
        below = f"{path}.{key.value}" if path else key.value
        if key.value in seen:
            yield Problem(below, f"stands there twice; the first is in line {seen[key.value]}", f"{file}:{line}")
            continue
        seen[key.value] = line
        yield from _walk(value, below, file)


def _is_null(node: yaml.Node) -> bool:
    return isinstance(node, yaml.ScalarNode) and node.style is None and node.value in _NULLS


def secrets_from_files(values: MutableMapping[str, Any], sources: MutableMapping[str, str]) -> list[Problem]:
    """Fill each secret whose `…_file` is given, note its source, and answer what is wrong."""
    problems = []
    for path in filter(is_secret, leaves()):
        beside = path + "_file"
        if values.get(beside) is None:
            continue
        try:
            if values.get(path) is not None:
                raise InvalidValue(f"and {beside} ({sources[beside]}) are both given; take one of them out")
            values[path] = read_secret(leaves()[path], values[beside])
            sources[path] = f"{values[beside]}, named by {sources[beside]}"
        except InvalidValue as error:
            problems.append(Problem(path, str(error), sources.get(path) or sources[beside]))
    return problems


def read_secret(leaf: Leaf, file: str) -> Any:
    """Raises `NotConvertible`, with nothing of what is in the file."""
    try:
        text = Path(file).read_text(encoding="utf-8-sig")  # some editors put a mark of UTF-8 before the text
    except OSError as error:
        raise InvalidValue(f"should come from {file}, which can't be read: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        raise InvalidValue(f"should come from {file}, which is not UTF-8 text") from error
    return convert(leaf, RawValue(text.strip(), file))
