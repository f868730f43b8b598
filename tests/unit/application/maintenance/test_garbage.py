"""How often garbage is searched for comes back, however a job ends."""

import gc

import pytest

from application.maintenance.garbage import seldom_searched


def test_garbage_is_searched_for_seldom_until_the_job_ends():
    before = gc.get_threshold()

    def job() -> None:
        with seldom_searched():
            assert gc.get_threshold() == (1_000_000, *before[1:])
            raise ValueError("it failed")

    with pytest.raises(ValueError, match="it failed"):
        job()
    assert gc.get_threshold() == before
