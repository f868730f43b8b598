"""Python's search for cyclic garbage, while a job holds a great many objects that have no cycles."""

import gc
from collections.abc import Iterator
from contextlib import contextmanager

_NEW_OBJECTS = 1_000_000


@contextmanager
def seldom_searched() -> Iterator[None]:
    """Search after so many new objects, instead of 700. A batch is about as many, none of which can go before it is
    written, and to look through them again and again takes a quarter of the time. Holds for the whole process: it is
    for one that does nothing else."""
    before = gc.get_threshold()
    gc.set_threshold(max(_NEW_OBJECTS, before[0]), *before[1:])
    try:
        yield
    finally:
        gc.set_threshold(*before)
