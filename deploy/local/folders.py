"""Temporary folders for server data, removed at the end, or at the next start if their owner was killed."""

import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_PREFIX = "postlog-servers-"


@contextmanager
def server_folder() -> Iterator[Path]:
    """A folder of this process. Other users may traverse it, so that a server may run as one of them."""
    _remove_orphans()
    folder, lock = _own_folder()
    folder.chmod(0o711)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        os.close(lock)


def _own_folder() -> tuple[Path, int]:
    """Another process that starts at the same time could mistake a folder that is not locked yet for an orphan."""
    while True:
        folder = Path(tempfile.mkdtemp(prefix=_PREFIX))
        lock = _lock(folder)
        if lock is not None:
            return folder, lock


def _remove_orphans() -> None:
    for folder in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*"):
        lock = _lock(folder)
        if lock is not None:
            shutil.rmtree(folder, ignore_errors=True)
            os.close(lock)


def _lock(folder: Path) -> int | None:
    """A lock that ends with its process; None if another process holds it or the folder belongs to another user."""
    try:
        descriptor = os.open(folder, os.O_RDONLY)
    except OSError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(descriptor)
        return None
    return descriptor
