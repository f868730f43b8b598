"""Postlog as a later version of it might be: `PostLiked` has a schema version 3, with the mood of the person who likes.

It is a copy of the sources, changed as `docs/tutorials/change-an-event.md` changes an event.
"""

import shutil
from pathlib import Path

_SOURCES = Path(__file__).parents[1] / "src"
_CHANGES = {
    "domain/events.py": (
        'counts every time."""\n',
        'counts every time."""\n\n    mood: str | None = None\n',
    ),
    "domain/event_types.py": ('"PostLiked", 2', '"PostLiked", 3'),
    "domain/upcasters.py": (
        '    add_field("PostLiked", 1, "username", None),\n',
        '    add_field("PostLiked", 1, "username", None),\n    add_field("PostLiked", 2, "mood", None),\n',
    ),
}


def newer_code(folder: Path) -> dict[str, str]:
    """Environment variables with which `postlog` runs the newer code, from a new folder in `folder`."""
    copy = folder / "newer-code"
    shutil.copytree(_SOURCES, copy)
    for name, (before, after) in _CHANGES.items():
        source = (copy / name).read_text(encoding="utf-8")
        changed = source.replace(before, after, 1)
        assert changed != source, f"{name} does not contain {before!r}"
        (copy / name).write_text(changed, encoding="utf-8")
    return {"PYTHONPATH": str(copy)}
