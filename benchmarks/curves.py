"""`python -m benchmarks.curves [events log likers partitions processes] [--most N]`: how cost grows, measured here.

Draws docs/curves/*.svg, and writes the figures as tables to bench-results/. `--most` leaves out larger sizes.
"""

import argparse
import shlex
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from benchmarks.bench import Bench, SharedServers
from benchmarks.curves_of_a_log import log_curve
from benchmarks.curves_of_a_post import events_curve, likers_curve
from benchmarks.curves_of_processes import partitions_curve, processes_curve
from benchmarks.machine import fsync_seconds, load_average, machine
from benchmarks.soak import CURVES
from benchmarks.svg import Chart, svg
from local.find import Servers
from local.folders import server_folder

Rows = Mapping[float, Mapping[str, float]]
"""By size, the figures by name."""


@dataclass(frozen=True, slots=True)
class Curve:
    """`plots` are SVG files: the title, the unit, and which figures they show."""

    measure: Callable[[Bench, Sequence[int]], Rows]
    x: str
    sizes: Sequence[int]
    plots: Mapping[str, tuple[str, str, Sequence[str]]]
    log_x: bool = True
    log_y: bool = True


CURVES_OF: Mapping[str, Curve] = {
    "events": Curve(
        events_curve,
        "events of the post",
        (100, 1_000, 10_000, 100_000, 1_000_000),
        {
            "events-of-a-post": (
                "One post that grows: processor time of one request",
                "ms",
                ("first reader", "cold step", "cold command", "warm command"),
            )
        },
    ),
    "likers": Curve(
        likers_curve,
        "named likers of the post",
        (1_000, 10_000, 100_000, 1_000_000),
        {
            "likers-of-a-post": (
                "One post with named likers: processor time of one command",
                "ms",
                ("without snapshot", "from snapshot", "warm"),
            ),
            "memory-of-likers": ("One post with named likers: size of its state", "MB", ("in memory", "snapshot")),
        },
    ),
    "log": Curve(
        log_curve,
        "events in the log",
        (10_000, 100_000, 1_000_000, 10_000_000),
        {
            "speed-and-log": ("A log that grows: processor time of one event", "µs", ("rebuild", "events check")),
            "latency-and-log": ("A log that grows: processor time of one request", "ms", ("command", "GET post")),
            "memory-and-log": ("A log that grows: peak memory of a rebuild", "MB", ("memory of a rebuild",)),
        },
    ),
    "partitions": Curve(
        partitions_curve,
        "partitions of the topic",
        (1, 3, 12, 48),
        {"partitions": ("Partitions of the topic: messages a second, one process each", "1/s", ("relay", "projector"))},
        log_y=False,
    ),
    "processes": Curve(
        processes_curve,
        "workers or processes",
        (1, 2, 4),
        {
            "workers": ("Rebuild by several workers: events a second", "events/s", ("rebuild",)),
            "command-processes": ("Several command processes: commands a second", "commands/s", ("commands",)),
        },
        log_x=False,
        log_y=False,
    ),
}


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.curves", description=__doc__)
    parser.add_argument("curves", nargs="*", metavar="CURVE", help=f"of {' '.join(CURVES_OF)}; without any: all")
    parser.add_argument("--most", type=int, default=10**9)
    arguments = parser.parse_args()
    if unknown := [name for name in arguments.curves if name not in CURVES_OF]:
        parser.error(f"{unknown[0]} is no curve; there are {' '.join(CURVES_OF)}")
    names = arguments.curves or list(CURVES_OF)
    results = Path("bench-results")
    results.mkdir(exist_ok=True)
    CURVES.mkdir(exist_ok=True)
    path = results / f"curves-{datetime.now().astimezone():%Y-%m-%d-%H%M%S}.md"
    with Servers() as servers, server_folder() as folder:
        text = [
            f"- machine: {machine()}",
            f"- date: {datetime.now().astimezone():%Y-%m-%d %H:%M %Z}",
            f"- command: `{shlex.join(['python', '-m', 'benchmarks.curves', *sys.argv[1:]])}`",
            f"- fsync of 4 KB, median: {fsync_seconds(folder) * 1_000:.2f} ms",
            f"- load average before: {load_average()}",
        ]
        for name in names:
            curve, started = CURVES_OF[name], time.monotonic()
            own = folder / name
            own.mkdir()
            with ExitStack() as stack:
                bench = Bench(SharedServers(servers), own, 1, False, stack)
                rows = curve.measure(bench, [size for size in curve.sizes if size <= arguments.most])
            _draw(curve, rows)
            text += ["", *_table(curve, rows)]
            path.write_text("\n".join([*text, ""]))
            print(f"{name}: {time.monotonic() - started:.0f} s", file=sys.stderr, flush=True)
    text += ["", f"- load average after: {load_average()}", ""]
    path.write_text("\n".join(text))
    print("\n".join(text))
    return 0


def _draw(curve: Curve, rows: Rows) -> None:
    for name, (title, unit, shown) in curve.plots.items():
        lines = {each: [(size, row[each]) for size, row in rows.items() if each in row] for each in shown}
        chart = Chart(title=title, x=curve.x, y=unit, lines=lines, log_x=curve.log_x, log_y=curve.log_y)
        (CURVES / f"{name}.svg").write_text(svg(chart), encoding="utf-8")


def _table(curve: Curve, rows: Rows) -> list[str]:
    names = list(dict.fromkeys(name for row in rows.values() for name in row))
    units = {name: unit for _, unit, shown in curve.plots.values() for name in shown}
    head = [f"{name}, {units[name]}" if name in units else name for name in names]
    lines = [f"| {curve.x} | {' | '.join(head)} |", "|--:" * (len(names) + 1) + "|"]
    for size, row in rows.items():
        cells = [_number(row[name]) if name in row else "" for name in names]
        lines.append(f"| {size:,} | {' | '.join(cells)} |")
    return lines


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


if __name__ == "__main__":
    sys.exit(main())
