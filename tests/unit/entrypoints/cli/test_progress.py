"""Progress: a bar on a terminal, plain lines elsewhere."""

import io

import pytest

from entrypoints.cli import progress
from entrypoints.cli.progress import PlainProgress, show_progress


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def test_a_plain_line_every_five_seconds_with_rate_and_time_left() -> None:
    stream, clock = io.StringIO(), Clock()
    shown = PlainProgress("posts", 10_000, stream, clock)
    for seconds, done in ((1, 400), (4.9, 1_900), (5, 2_000), (6, 2_400), (10, 4_000)):
        clock.now = 100 + seconds
        shown.advance_to(done)
    assert stream.getvalue().splitlines() == [
        "2,000 of 10,000 posts, 400/s, 20 s left",
        "4,000 of 10,000 posts, 400/s, 15 s left",
    ]


def test_without_a_total_there_is_no_time_left() -> None:
    stream, clock = io.StringIO(), Clock()
    shown = PlainProgress("posts", None, stream, clock)
    clock.now += 5
    shown.advance_to(1_000)
    assert stream.getvalue() == "1,000 posts, 200/s\n"


def test_progress_of_zero_is_printed() -> None:
    stream, clock = io.StringIO(), Clock()
    shown = PlainProgress("posts", 10, stream, clock)
    clock.now += 5
    shown.advance_to(0)
    assert stream.getvalue() == "0 of 10 posts, 0/s\n"


def test_a_short_job_prints_nothing_in_a_pipe() -> None:
    stream = io.StringIO()
    with show_progress("posts", 10, stream) as shown:
        shown.advance_to(10)
    assert stream.getvalue() == ""


def test_a_terminal_gets_a_bar(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    monkeypatch.setenv("FORCE_COLOR", "1")
    with progress.show_progress("posts", 10, Terminal()) as shown:
        shown.advance_to(10)
    assert "10/10" in capsys.readouterr().err
