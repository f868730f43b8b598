"""Secrets that stand in a file of their own, as container platforms hand them out."""

from collections.abc import MutableMapping
from pathlib import Path
from typing import Any

from entrypoints.settings.conversion import Given, NotConvertible, convert
from entrypoints.settings.problems import Problem
from entrypoints.settings.tree import Leaf, is_secret, leaves


def secrets_from_files(values: MutableMapping[str, Any], sources: MutableMapping[str, str]) -> list[Problem]:
    """Fill each secret whose `…_file` is given, note its source, and answer what is wrong."""
    problems = []
    for path in filter(is_secret, leaves()):
        beside = path + "_file"
        if values.get(beside) is None:
            continue
        try:
            if values.get(path) is not None:
                raise NotConvertible(f"and {beside} ({sources[beside]}) are both given; take one of them out")
            values[path] = read_secret(leaves()[path], values[beside])
            sources[path] = f"{values[beside]}, named by {sources[beside]}"
        except NotConvertible as error:
            problems.append(Problem(path, str(error), sources.get(path) or sources[beside]))
    return problems


def read_secret(leaf: Leaf, file: str) -> Any:
    """Raises `NotConvertible`, with nothing of what is in the file."""
    try:
        text = Path(file).read_text(encoding="utf-8-sig")  # some editors put a mark of UTF-8 before the text
    except OSError as error:
        raise NotConvertible(f"should come from {file}, which can't be read: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        raise NotConvertible(f"should come from {file}, which is not UTF-8 text") from error
    return convert(leaf, Given(text.strip(), file))
