"""What processes have in common."""

import gc

from entrypoints.cli.running import relax_gc, run_job


def test_a_service_that_has_started_searches_rarely_and_never_what_it_had_at_its_start() -> None:
    before = gc.get_threshold()
    gc.disable()
    try:
        relax_gc()
        assert gc.isenabled()
        assert gc.get_threshold() == (50_000, *before[1:])
        assert gc.get_freeze_count() > 10_000
    finally:
        gc.unfreeze()
        gc.set_threshold(*before)
        gc.enable()


def test_a_job_searches_rarely_and_leaves_the_collector_as_it_was() -> None:
    before = gc.get_threshold()

    async def job() -> int:
        return 7 if gc.get_threshold() == (50_000, *before[1:]) else 0

    assert run_job(job) == 7
    assert gc.get_threshold() == before
