"""`make mutants`: takes protections out of the code, one at a time, and checks that the simulation or a test notices.

`mutants.toml` lists them: in `file`, `search` is replaced by `replace`. `caught_by` names a test; without it the seeds
0 to 299 of the simulation must catch it, the same that `make test` runs. A mutant that survives fails the target, and
so does one that no longer applies.
"""

import os
import shutil
import subprocess
import sys
import tempfile
import time
import tomllib
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path

_ROOT = Path(__file__).parents[2]
_LIST = Path(__file__).with_suffix(".toml")
_SEEDS = 300
_SECONDS = 900


def mutants(names: Sequence[str] = ()) -> list[Mapping[str, str]]:
    found: dict[str, Mapping[str, str]] = {each["name"]: each for each in tomllib.loads(_LIST.read_text())["mutant"]}
    return [found[name] for name in names or found]


def applied(mutant: Mapping[str, str], code: str) -> str:
    """Raises `ValueError` unless there is exactly one place to change."""
    for prefix in ("", "and_") if "and_search" in mutant else ("",):
        search = mutant[f"{prefix}search"]
        if code.count(search) != 1:
            raise ValueError(f"{mutant['name']}: {code.count(search)} places match {search!r} in {mutant['file']}")
        code = code.replace(search, mutant[f"{prefix}replace"])
    return code


def catch(mutant: Mapping[str, str]) -> str | None:
    """What noticed it; None: nothing did."""
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder, "src")
        shutil.copytree(_ROOT / "src", source, ignore=shutil.ignore_patterns("__pycache__", "static", "templates"))
        file = Path(folder, mutant["file"])
        file.write_text(applied(mutant, file.read_text()))
        environment = {**os.environ, "PYTHONPATH": f"{source}:{_ROOT / 'tests'}", "PYTHONDONTWRITEBYTECODE": "1"}
        test = mutant.get("caught_by")
        if test is None:
            command = [sys.executable, "-m", "simulation.mutants", "first-failure", str(source)]
        else:
            command = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", test]
        run = subprocess.run(
            command, cwd=_ROOT, env=environment, capture_output=True, text=True, timeout=_SECONDS, check=False
        )
    last = (run.stdout.strip() or run.stderr.strip()).splitlines()[-1:]
    if test is not None:
        return test if run.returncode == 1 else None
    if run.returncode not in (0, 1):
        raise RuntimeError(f"{mutant['name']}: {run.stderr}")
    return "".join(last) if run.returncode == 1 else None


def first_failure(source: str) -> int:
    """In a process of its own, which imports the changed code."""
    import application
    from simulation.world import simulate

    if not str(application.__path__[0]).startswith(source):
        raise RuntimeError(f"{application.__path__} is not the changed code")
    for seed in range(_SEEDS):
        result = simulate(seed)
        if result.violation is not None:
            print(f"seed {seed}: {result.violation.splitlines()[0]}")
            return 1
    return 0


def main(names: Sequence[str]) -> int:
    chosen, began = mutants(names), time.monotonic()
    survivors = []
    with ThreadPoolExecutor(int(os.environ.get("WORKERS") or 2)) as pool:
        running = {pool.submit(catch, each): each for each in chosen}
        for done in as_completed(running):
            mutant, caught = running[done], done.result()
            print(f"{'caught' if caught else 'SURVIVED':9} {mutant['name']}: {caught or mutant['reason']}", flush=True)
            if caught is None:
                survivors.append(mutant["name"])
    by_seeds = sum("caught_by" not in each for each in chosen)
    print(
        f"{len(chosen) - len(survivors)} of {len(chosen)} caught ({by_seeds} are the simulation's alone), "
        f"{time.monotonic() - began:.0f} s"
    )
    return int(bool(survivors))


if __name__ == "__main__":
    sys.exit(first_failure(sys.argv[2]) if sys.argv[1:2] == ["first-failure"] else main(sys.argv[1:]))
