"""Waiting for the rows before the audit that ends an import."""

from collections.abc import Iterator

import pytest

from application.errors import ReadDbNotReady
from application.ports.post_views import Stamp
from entrypoints.composition import import_dotnet


class Views:
    """Rows that move on with every look."""

    def __init__(self, *positions: int) -> None:
        self._positions: Iterator[int] = iter(positions)
        self._last = positions[-1]

    async def stamp(self) -> Stamp:
        return Stamp(generation=1, ready=True, position=next(self._positions, self._last), parked=0)


@pytest.fixture(autouse=True)
def _quickly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(import_dotnet, "_POLL_SECONDS", 0.001)
    monkeypatch.setattr(import_dotnet, "_PATIENCE_SECONDS", 0.1)


async def test_it_ends_when_the_rows_are_there_and_tells_how_far_they_are() -> None:
    told: list[int] = []
    await import_dotnet._caught_up(10, Views(0, 4, 4, 9, 12), told.append)
    assert told == [0, 4, 9, 10]


async def test_rows_that_do_not_move_are_not_waited_for_for_ever() -> None:
    with pytest.raises(ReadDbNotReady) as caught:
        await import_dotnet._caught_up(10, Views(3), lambda _: None)
    assert caught.value.message == "The rows stand at position 3 of 10 and don't move; is a projector running?"
