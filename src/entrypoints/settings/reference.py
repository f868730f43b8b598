"""The written-down defaults: `config/embedded.yaml` and the tables of `docs/settings.md`.

`python -m entrypoints.settings.reference`, from the root of the repository, writes both anew.
"""

import re
from itertools import groupby
from pathlib import Path

from entrypoints.settings.conversion import bounds_text
from entrypoints.settings.rendering import defaults_as_yaml, scalar
from entrypoints.settings.tree import Leaf, leaves

HEADER = """\
# Every setting with its default: the whole service in one process, on SQLite. `postlog` runs without this file.
# Another file, or a variable such as POSTLOG__HTTP__PORT=8080, needs to name only what differs.
"""
BEGIN = "<!-- the tables below are written by `python -m entrypoints.settings.reference` -->\n"
_TYPES = {"bool": "true or false", "str": "text", "Secret": "secret"}


def embedded_yaml() -> str:
    return HEADER + "\n" + defaults_as_yaml()


def tables() -> str:
    """Markdown: a section a group, a row a setting."""
    sections = groupby(leaves().values(), key=lambda leaf: leaf.path.rpartition(".")[0])
    return "\n".join(_section(group, list(members)) for group, members in sections)


def _section(group: str, members: list[Leaf]) -> str:
    head = f"\n## {group}\n\n| setting | default | values | what it is for |\n|---|---|---|---|\n"
    return head + "".join(
        f"| `{leaf.name}` | `{scalar(leaf.default)}` | {_values(leaf)} | {leaf.description} |\n" for leaf in members
    )


def _values(leaf: Leaf) -> str:
    if leaf.choices:
        return ", ".join(f"`{choice}`" for choice in leaf.choices)
    if leaf.kind in (int, float):
        return bounds_text(leaf)
    return _TYPES[leaf.kind.__name__] + (" or null" if leaf.optional else "")


def write(root: Path) -> None:
    (root / "config/embedded.yaml").write_text(embedded_yaml(), encoding="utf-8")
    page = root / "docs/settings.md"
    prose = re.split(re.escape(BEGIN), page.read_text(encoding="utf-8"))[0]
    page.write_text(prose + BEGIN + tables(), encoding="utf-8")


if __name__ == "__main__":
    write(Path.cwd())
