"""A settings file: YAML read as plain text, with the line of each value. The types come from the model."""

from collections.abc import Iterator
from pathlib import Path

import yaml

from entrypoints.settings.conversion import Given
from entrypoints.settings.problems import Problem, SettingsError, unknown
from entrypoints.settings.tree import groups, leaves

_TAGS = ("str", "int", "float", "bool", "null", "timestamp", "value", "merge")
_PLAIN_TAGS = frozenset(f"tag:yaml.org,2002:{tag}" for tag in _TAGS)
_NULLS = frozenset(("", "~", "null", "Null", "NULL"))

Finding = tuple[str, Given] | Problem


def read_settings_file(file: Path, named_by: str) -> tuple[dict[str, Given], list[Problem]]:
    """What the file gives, by path, and what is wrong with its form. `named_by` is the option or variable that named
    the file. Raises `SettingsError` when it can't be read at all."""
    root = _compose(file, named_by)
    given: dict[str, Given] = {}
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
        yield path, Given(text, source, quoted=node.style is not None)


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
