"""Progress of a job on stderr: a bar on a terminal, elsewhere a plain line every few seconds."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Protocol, TextIO

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.progress import Progress as RichProgress

SECONDS_BETWEEN_LINES = 5.0


class Progress(Protocol):
    def advance_to(self, done: int) -> None:
        """`done` is the total so far. Cheap enough to call for every item."""
        ...

    def set_total(self, total: int) -> None:
        """The size of the whole job, as far as it is known now."""
        ...


@contextmanager
def show_progress(what: str, total: int | None, stream: TextIO | None = None) -> Iterator[Progress]:
    """Show progress while the block runs. `what` names the items in plural (`posts`); `total` is None while it is
    unknown."""
    stream = stream or sys.stderr
    if stream.isatty():
        with _bar(what, total) as bar:
            yield bar
    else:
        yield PlainProgress(what, total, stream, time.monotonic)


class PlainProgress:
    """For logs and pipes: `1,200 of 10,000 posts, 400/s, 22 s left`."""

    def __init__(self, what: str, total: int | None, stream: TextIO, clock: Callable[[], float]) -> None:
        self._what = what
        self._total = total
        self._stream = stream
        self._clock = clock
        self._started = self._printed = clock()

    def advance_to(self, done: int) -> None:
        now = self._clock()
        if now - self._printed < SECONDS_BETWEEN_LINES:
            return
        self._printed = now
        print(self._line(done, now - self._started), file=self._stream, flush=True)

    def set_total(self, total: int) -> None:
        self._total = total

    def _line(self, done: int, seconds: float) -> str:
        rate = done / seconds
        if self._total is None:
            return f"{done:,} {self._what}, {rate:,.0f}/s"
        left = f", {max(0, self._total - done) / rate:,.0f} s left" if rate else ""
        return f"{done:,} of {self._total:,} {self._what}, {rate:,.0f}/s{left}"


class _Bar:
    def __init__(self, update: Callable[[int], None], set_total: Callable[[int], None]) -> None:
        self.advance_to = update
        self.set_total = set_total


@contextmanager
def _bar(what: str, total: int | None) -> Iterator[Progress]:
    columns = (
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn(what),
        TextColumn("{task.fields[rate]}/s"),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    with RichProgress(*columns, console=Console(stderr=True), redirect_stdout=False) as rich_progress:
        task = rich_progress.add_task(what, total=total, rate="…")
        started = time.monotonic()

        def update(done: int) -> None:
            rate = done / max(time.monotonic() - started, 0.001)
            rich_progress.update(task, completed=done, rate=f"{rate:,.0f}")

        def set_total(total: int) -> None:
            rich_progress.update(task, total=total)

        yield _Bar(update, set_total)
