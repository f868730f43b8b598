"""`python -m benchmarks [S1 S7 …] [--rounds 5] [--quick]`: measure, print the table, write it to bench-results/."""

import argparse
import os
import shlex
import sys
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from benchmarks import (
    s01_append,
    s02_s03_s04_http,
    s05_hot_post,
    s06_long_streams,
    s07_s09_rebuild_postgres,
    s10_rebuild_sqlite,
    s11_live_projection,
    s12_writes_beside_rebuild,
    s13_memory,
    s14_visible,
    s15_relay,
    s16_get_post,
    s17_s18_start,
    s19_events_check,
    s20_rebuild_workers,
    s21_command_processes,
    s22_tokens,
)
from benchmarks.bench import Bench, SharedServers
from benchmarks.figures import Figure
from benchmarks.machine import fsync_seconds, load_average, machine
from benchmarks.report import report, too_few_processors
from benchmarks.rounds import WrongResult
from benchmarks.targets import ROWS, TARGETS
from local.find import Servers, ServerUnavailableError
from local.folders import server_folder

Measure = Callable[[Bench], list[Figure]]

MEASURES: Sequence[tuple[Sequence[str], Measure]] = tuple(
    (module.ROWS, module.measure)
    for module in (
        s01_append,
        s02_s03_s04_http,
        s05_hot_post,
        s06_long_streams,
        s07_s09_rebuild_postgres,
        s10_rebuild_sqlite,
        s11_live_projection,
        s12_writes_beside_rebuild,
        s13_memory,
        s14_visible,
        s15_relay,
        s16_get_post,
        s17_s18_start,
        s19_events_check,
        s20_rebuild_workers,
        s21_command_processes,
        s22_tokens,
    )
)


def main() -> int:
    """0 when all that was asked for was measured, 1 when a row failed or came to a wrong result, 2 for wrong usage."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("rows", nargs="*", metavar="ROW", help=f"of {' '.join(ROWS)}; without any: all")
    parser.add_argument("--rounds", type=int, default=5, help="of each side (5)")
    parser.add_argument("--quick", action="store_true", help="a tenth of the events: to try, not to quote")
    arguments = parser.parse_args()
    rows: list[str] = arguments.rows or list(ROWS)
    if unknown := [row for row in rows if row not in ROWS]:
        parser.error(f"{unknown[0]} is no row; there are {' '.join(ROWS)}")
    if arguments.rounds < 1:
        parser.error("--rounds must be at least 1")
    figures: list[Figure] = []
    reasons: dict[str, str] = {}
    path = _new_file()
    with Servers() as started, server_folder() as folder:
        servers = SharedServers(started)
        context = _context(folder, quick=arguments.quick)
        for names, measure in MEASURES:
            if not set(names) & set(rows):
                continue
            surroundings = _Surroundings(servers, folder, arguments.rounds, arguments.quick)
            figures += [each for each in _measured(names, measure, surroundings, reasons) if _row(each.line) in rows]
            # After each: who ends a long run keeps what it has measured.
            path.write_text(report(figures, _missing(rows, figures, reasons), context, quick=arguments.quick))
        context["load average after"] = load_average()
    text = report(figures, _missing(rows, figures, reasons), context, quick=arguments.quick)
    path.write_text(text)
    print(text)
    print(f"Written to {path}", file=sys.stderr)
    return 1 if any(reason.startswith(("wrong result", "failed")) for reason in reasons.values()) else 0


def _context(folder: Path, *, quick: bool) -> dict[str, str]:
    context = {
        "machine": machine(),
        "date": f"{datetime.now().astimezone():%Y-%m-%d %H:%M %Z}",
        "command": shlex.join(["python", "-m", "benchmarks", *sys.argv[1:]]),
        "fsync of 4 KB, median": f"{fsync_seconds(folder) * 1_000:.2f} ms",
        "load average before": load_average(),
    }
    return context | ({"sizes": "a tenth (--quick): not to be quoted"} if quick else {})


@dataclass(frozen=True, slots=True)
class _Surroundings:
    servers: SharedServers
    folder: Path
    rounds: int
    quick: bool


def _measured(
    names: Sequence[str], measure: Measure, where: _Surroundings, reasons: dict[str, str]
) -> Sequence[Figure]:
    """The figures of these rows; where there are none, `reasons` says why."""
    started = time.monotonic()
    print(f"{', '.join(names)} …", file=sys.stderr, flush=True)
    own = where.folder / "-".join(names)
    own.mkdir()
    try:
        with ExitStack() as stack:
            return measure(Bench(where.servers, own, where.rounds, where.quick, stack))
    except ServerUnavailableError as error:
        reason = str(error)
    except WrongResult as error:
        reason = f"wrong result: {error}"
    except Exception as error:  # the others' figures took minutes
        at = traceback.extract_tb(error.__traceback__)[-1]
        print(f"{type(error).__name__} at {at.filename}:{at.lineno}", file=sys.stderr)
        reason = f"failed: {type(error).__name__}: {str(error).partition(chr(10))[0][:200]}"
    finally:
        print(f"{', '.join(names)}: {time.monotonic() - started:.0f} s", file=sys.stderr, flush=True)
    reasons |= dict.fromkeys(names, reason)
    return []


def _row(line: str) -> str:
    return line.split()[0]


def _missing(rows: Sequence[str], figures: Sequence[Figure], reasons: Mapping[str, str]) -> dict[str, str]:
    """The reason for each line that was asked for and has no figure."""
    found = {figure.line for figure in figures}
    return {
        target.line: reasons.get(target.row)
        or too_few_processors(target, os.cpu_count() or 1)
        or "the run ended before its turn"
        for target in TARGETS
        if target.row in rows and target.line not in found
    }


def _new_file() -> Path:
    """Never an earlier run's."""
    folder = Path("bench-results")
    folder.mkdir(exist_ok=True)
    return folder / f"{datetime.now().astimezone():%Y-%m-%d-%H%M%S}.md"


if __name__ == "__main__":
    sys.exit(main())
