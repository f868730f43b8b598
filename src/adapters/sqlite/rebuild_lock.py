"""The lock of rebuilds: the kernel's lock on a file beside the database, which goes when its process goes."""

import fcntl
import os
from collections.abc import Callable
from pathlib import Path

from adapters.sqlite.read_db_file import SETTING
from application.errors import ReadDbUnavailable


def try_lock(path: Path) -> Callable[[], None] | None:
    """What it answers gives the lock back; None: another process, or another rebuild of this one, has it. Raises
    `ReadDbUnavailable` when the file can't be made, on a full disk, say."""
    place = path.with_name(f"{path.name}.rebuild-lock")
    try:
        handle = os.open(place, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise _unavailable(place, error) from error
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(handle)
        return None
    except OSError as error:
        os.close(handle)
        raise _unavailable(place, error) from error
    return lambda: os.close(handle)


def _unavailable(place: Path, error: OSError) -> ReadDbUnavailable:
    return ReadDbUnavailable(
        f"The lock of rebuilds beside the read database, {place} ({SETTING}), can't be taken: {error.strerror}. Check "
        f"the disk and the folder.",
        path=SETTING,
    )
