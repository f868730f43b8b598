"""`make simulate SEEDS=0-9999`: runs the seeds in WORKERS processes, and prints what was injected how often.

A seed that breaks a promise is run again with fewer and fewer faults; then the command that repeats it, the faults that
are left, and the history of that run are printed. One seed alone prints its history in any case. Exit status 1 if a
seed failed.
"""

import argparse
import gc
import sys
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor

from simulation.world import Result, shrink, simulate

_AT_ONCE = 25
_FAILURES_SHOWN = 3


def seeds_of(text: str) -> range:
    first, _, last = text.partition("-")
    return range(int(first), int(last or first) + 1)


def run_seeds(seeds: Sequence[int]) -> tuple[int, Counter[str], list[int]]:
    """How many commands were sent, what was injected, and which seeds failed."""
    injected: Counter[str] = Counter()
    failed, commands = [], 0
    for seed in seeds:
        result = simulate(seed)
        injected += result.injected
        commands += len(result.operations)
        if result.violation is not None:
            failed.append(seed)
    return commands, injected, failed


def history_of(result: Result) -> Iterable[str]:
    yield f"seed {result.seed}: {result.violation or 'every promise was kept'}"
    yield "faults:"
    yield from (f"  {fault}" for fault in result.faults)
    yield "history:"
    for each in sorted((*result.operations, *result.reads), key=lambda each: each.invoked):
        yield f"  {each}"


def explain(seed: int) -> str:
    """The shortest history that was found for a seed that fails."""
    result = simulate(seed)
    if result.violation is not None:
        result = shrink(seed, result)
    return "\n".join([*history_of(result), f"repeat it: make simulate SEEDS={seed}"])


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="make simulate", description=__doc__)
    parser.add_argument("seeds", help="one seed, or the first and the last with a hyphen between")
    parser.add_argument("--workers", type=int, default=2)
    options = parser.parse_args(arguments)
    seeds, began = seeds_of(options.seeds), time.monotonic()
    if len(seeds) == 1:
        print(explain(seeds[0]))
        return int(simulate(seeds[0]).violation is not None)
    injected: Counter[str] = Counter()
    failed: list[int] = []
    commands = 0
    with ProcessPoolExecutor(options.workers, initializer=gc.freeze) as pool:
        parts = [seeds[begin : begin + _AT_ONCE] for begin in range(0, len(seeds), _AT_ONCE)]
        for more_commands, more, bad in pool.map(run_seeds, parts):
            commands, injected, failed = commands + more_commands, injected + more, failed + bad
            for seed in bad:
                print(f"seed {seed} failed: make simulate SEEDS={seed}", flush=True)
    for kind, number in injected.most_common():
        print(f"{number:9,}  {kind}")
    seconds = time.monotonic() - began
    print(
        f"{len(seeds):,} seeds, {commands:,} commands, {injected.total():,} faults, {len(failed)} failed seeds, "
        f"{seconds:.0f} s"
    )
    for seed in failed[:_FAILURES_SHOWN]:
        print(explain(seed))
    return int(bool(failed))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
