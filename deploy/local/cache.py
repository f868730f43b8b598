"""Folders that are filled once and then kept, outside the checkout."""

import fcntl
import os
import shutil
from collections.abc import Callable
from pathlib import Path


def cache_folder(name: str) -> Path:
    """$XDG_CACHE_HOME/postlog/<name>; it exists only if it is complete."""
    cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(cache) / "postlog" / name


def filled(target: Path, fill: Callable[[Path], None]) -> Path:
    """`target`, filled if it does not exist; by one process at a time. What was interrupted is begun again."""
    target.parent.mkdir(parents=True, exist_ok=True)
    with target.with_name(f"{target.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not target.is_dir():
            unfinished = target.with_name(f"{target.name}.part")
            shutil.rmtree(unfinished, ignore_errors=True)
            unfinished.mkdir()
            fill(unfinished)
            unfinished.rename(target)
    return target
