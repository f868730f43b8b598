"""The lock of rebuilds: the kernel's lock on a file beside the database, which goes when its process goes."""

import fcntl
import os
from collections.abc import Callable
from pathlib import Path


def try_lock(path: Path) -> Callable[[], None] | None:
    """What it answers gives the lock back; None: another process, or another rebuild of this one, has it."""
    handle = os.open(path.with_name(f"{path.name}.rebuild-lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(handle)
        return None
    return lambda: os.close(handle)
