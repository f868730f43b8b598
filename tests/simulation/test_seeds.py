"""Seeds of the simulation; `make simulate` runs more. A failure prints the shortest history that was found, and the
command that repeats it.
"""

import gc
import os
import subprocess
import sys
from collections import Counter

import pytest

from simulation.__main__ import explain
from simulation.faults import CALL_FAULTS, EVENTS
from simulation.world import simulate

SEEDS = 150
"""`test_more_seeds.py` has as many."""

_SEEDS_A_TEST = 15


@pytest.fixture(autouse=True)
def _collect_less():
    """A run leaves cycles behind, and a whole collection looks at all that the tests have imported."""
    gc.collect()
    gc.freeze()
    yield
    gc.unfreeze()


def check_seeds(first: int) -> Counter[str]:
    injected: Counter[str] = Counter()
    for seed in range(first, first + _SEEDS_A_TEST):
        result = simulate(seed)
        assert result.violation is None, explain(seed)
        injected += result.injected
    return injected


@pytest.mark.parametrize("first", range(0, SEEDS, _SEEDS_A_TEST))
def test_every_promise_is_kept(first):
    assert check_seeds(first)


def test_every_kind_of_fault_is_injected():
    injected: Counter[str] = Counter()
    wanted = {*CALL_FAULTS, *EVENTS, "client hung up"}
    for seed in range(100_000, 100_200):
        injected += simulate(seed).injected
        if injected.keys() >= wanted:
            return
    pytest.fail(f"never injected: {wanted - injected.keys()}")


def test_a_seed_gives_the_same_run_in_every_process():
    """Also where strings have other hashes."""
    code = "from simulation.world import simulate; print(*[simulate(seed).digest for seed in range(200, 210)])"
    here = [simulate(seed).digest for seed in range(200, 210)]
    for hash_seed in ("1", "2"):
        environment = {**os.environ, "PYTHONHASHSEED": hash_seed, "PYTHONPATH": os.pathsep.join(sys.path)}
        there = subprocess.run(
            [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True
        )
        assert there.stdout.split() == here
