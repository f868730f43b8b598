"""The sides of a comparison in turn: A B A B …, so that what else the machine does hits both."""

from collections.abc import Callable, Sequence


def in_turn(rounds: int, *sides: Callable[[], float]) -> list[Sequence[float]]:
    """The results of each side, round by round. One unmeasured call of each comes first: nobody pays for a cold
    start."""
    for side in sides:
        side()
    results: list[list[float]] = [[] for _ in sides]
    for _ in range(rounds):
        for place, side in enumerate(sides):
            results[place].append(side())
    return list(results)


class WrongResult(Exception):
    """A side left something else behind than it should have: its figures count for nothing."""


def require(found: object, wanted: object, what: str) -> None:
    if found != wanted:
        raise WrongResult(f"{what}: {str(found)[:200]} instead of {str(wanted)[:200]}")
