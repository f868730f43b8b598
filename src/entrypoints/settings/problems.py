"""What is wrong with the settings: all of it at once."""

from collections.abc import Sequence
from dataclasses import dataclass
from difflib import get_close_matches

from entrypoints.settings.tree import groups, leaves


@dataclass(frozen=True, slots=True)
class Problem:
    """`path` is the setting's, `sentence` goes on from it (`must be …`); `source` is where the value came from: a
    file and line, a variable, an option."""

    path: str
    sentence: str
    source: str | None = None

    def __str__(self) -> str:
        origin = f" ({self.source})" if self.source else ""
        return f"{self.path} {self.sentence}{origin}"


class SettingsError(Exception):
    """Postlog can't run with these settings. `problems` are all that were found, each once."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__(self._text())

    def _text(self) -> str:
        if len(self.problems) == 1:
            return f"The settings don't fit: {self.problems[0]}"
        lines = "".join(f"\n  {problem}" for problem in self.problems)
        return f"The settings don't fit, in {len(self.problems)} places:{lines}"


def nearest(path: str) -> str | None:
    """The setting or group that was probably meant: a neighbour spelled alike, or the same name elsewhere."""
    every = [*leaves(), *sorted(groups())]
    parent, _, name = path.rpartition(".")
    neighbours = {known.rpartition(".")[2]: known for known in every if known.rpartition(".")[0] == parent}
    alike = get_close_matches(name, neighbours, n=1, cutoff=0.6)
    if alike:
        return neighbours[alike[0]]
    elsewhere = [known for known in every if known.rpartition(".")[2] == name]
    return next(iter(elsewhere or get_close_matches(path, every, n=1, cutoff=0.6)), None)


def unknown(path: str, source: str) -> Problem:
    meant = nearest(path)
    hint = f"; did you mean {meant}?" if meant else "; `postlog config` lists them all"
    return Problem(path, f"is not a setting{hint}", source)
