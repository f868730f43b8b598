"""The table as Markdown. A line without a figure says why; it never looks measured."""

import os
import statistics
from collections.abc import Mapping, Sequence

from benchmarks.figures import Figure
from benchmarks.targets import TARGETS, Target

_HEAD = "| # | measured | against | median | worst | rounds | ours | theirs | goal | floor | verdict |"
_RULE = "|---|---|---|--:|--:|--:|--:|--:|--:|--:|---|"


def report(
    figures: Sequence[Figure],
    missing: Mapping[str, str],
    context: Mapping[str, str],
    *,
    quick: bool = False,
    processors: int | None = None,
) -> str:
    """`missing` has the reason for each line without a figure; `context` is what the figures hold for. A `quick`
    run had smaller sizes than the lines say, so nothing is held against its goal; nor is a line that needs more
    `processors` than there are (by default: those of this machine)."""
    processors = processors or os.cpu_count() or 1
    found = {figure.line: figure for figure in figures}
    lines = [f"- {name}: {value}" for name, value in context.items()]
    lines += ["", _HEAD, _RULE]
    lines += [
        _measured(target, found[target.line], quick, processors)
        if target.line in found
        else _missing(target, missing[target.line])
        for target in TARGETS
        if target.line in found or target.line in missing
    ]
    notes = [f"- {figure.line}: {figure.note}" for figure in figures if figure.note]
    return "\n".join([*lines, "", *notes, ""])


def _measured(target: Target, figure: Figure, quick: bool, processors: int) -> str:
    sign = "≤ " if figure.less_is_better else ""
    return _row(
        target.line,
        target.measured,
        target.against,
        f"**{_number(figure.median)}**",
        _number(figure.worst),
        str(len(figure.ratios)),
        f"{_number(statistics.median(figure.ours))} {figure.unit}",
        f"{_number(statistics.median(figure.theirs))} {figure.unit}",
        f"{sign}{target.goal:g}",
        f"{sign}{target.floor:g}",
        "on a tenth" if quick else too_few_processors(target, processors) or _verdict(target, figure),
    )


def _missing(target: Target, reason: str) -> str:
    return _row(
        target.line, target.measured, target.against, "not measured", *[""] * 4, f"{target.goal:g}",
        f"{target.floor:g}", reason,
    )  # fmt: skip


def _row(*cells: str) -> str:
    return f"| {' | '.join(cells)} |"


def too_few_processors(target: Target, processors: int) -> str:
    """A sentence, or nothing."""
    if processors >= target.processors:
        return ""
    return f"no verdict: it needs {target.processors} processors, and this machine has {processors}"


def _verdict(target: Target, figure: Figure) -> str:
    if figure.reaches(target.goal):
        return "goal reached"
    return "floor reached" if figure.reaches(target.floor) else "below the floor"


def _number(value: float) -> str:
    if value >= 100:
        return f"{value:,.0f}"
    return f"{value:.3g}" if value < 1 else f"{value:.2f}"
