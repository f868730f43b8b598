"""Python's search for cyclic garbage, while a job holds a great many objects that have no cycles."""

import gc
from collections.abc import Iterator
from contextlib import contextmanager

_NEW_OBJECTS = 50_000


@contextmanager
def seldom_searched() -> Iterator[None]:
    """Search after so many new objects, instead of 700. A batch of a rebuild is hundreds of thousands, none of which
    can go before it is written, and to look through them again and again takes a quarter of its time. Holds for the
    whole process: it is for one that does nothing else."""
    before = gc.get_threshold()
    gc.set_threshold(max(_NEW_OBJECTS, before[0]), *before[1:])
    try:
        yield
    finally:
        gc.set_threshold(*before)
