"""The descendants of a process, and which of them are alive, by /proc (proc(5)); empty on systems without it."""

from contextlib import suppress
from pathlib import Path


def with_descendants(root: int) -> list[int]:
    parents = {pid: parent for pid, (_, parent) in _process_table().items()}
    found = [root]
    for pid in found:
        found += [child for child, parent in parents.items() if parent == pid]
    return found


def alive(pid: int) -> bool:
    state, _ = _process_table().get(pid, ("X", 0))
    return state not in "XZ"


def _process_table() -> dict[int, tuple[str, int]]:
    """Every process's state letter and parent."""
    table: dict[int, tuple[str, int]] = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            state, parent = stat.read_text(errors="replace").rpartition(")")[2].split()[:2]
            table[int(stat.parent.name)] = (state, int(parent))
    return table
