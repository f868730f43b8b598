"""The second half of the seeds, in a file of its own, so that another worker runs it."""

import pytest

from simulation.test_seeds import _SEEDS_A_TEST, SEEDS, _collect_less, check_seeds

__all__ = ["_collect_less"]


@pytest.mark.parametrize("first", range(SEEDS, 2 * SEEDS, _SEEDS_A_TEST))
def test_every_promise_is_kept(first):
    assert check_seeds(first)
