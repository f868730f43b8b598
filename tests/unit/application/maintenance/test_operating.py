"""Audits and examinations that operators start and watch from the pages."""

import asyncio

import pytest

from application.errors import AuditRunning, ReadDbUnavailable
from application.maintenance.audit import AuditProgress, AuditReport, AuditRuns
from application.maintenance.doctor import CachedDiagnosis, Finding
from command_process import SteppingClock

REPORT = AuditReport(generation=1, position=7, posts=3, differences=(), parked=())


class Audit:
    """Waits for its result."""

    def __init__(self) -> None:
        self.result: asyncio.Future[AuditReport] = asyncio.get_running_loop().create_future()
        self.samples: list[int | None] = []

    async def run(self, progress: AuditProgress) -> AuditReport:
        self.samples.append(None)
        progress.total = 10
        progress.advance(4)
        return await self.result

    async def sample(self, posts: int) -> AuditReport:
        self.samples.append(posts)
        return await self.result


@pytest.fixture
async def audit() -> Audit:
    return Audit()


@pytest.fixture
def runs(audit: Audit) -> AuditRuns:
    return AuditRuns(audit, SteppingClock())  # type: ignore[arg-type]


async def ended(runs: AuditRuns) -> None:
    async with asyncio.timeout(5):
        while runs.last is None or runs.last.is_running:
            await asyncio.sleep(0)


class TestAuditRuns:
    async def test_one_is_watched_and_its_result_is_kept(self, audit: Audit, runs: AuditRuns):
        run = runs.begin(None)
        await asyncio.sleep(0)
        assert (run.is_running, run.progress.done, run.progress.total) == (True, 4, 10)
        audit.result.set_result(REPORT)
        await ended(runs)
        assert (run.report, run.error, run.cancelled) == (REPORT, None, False)
        assert run.ended_at is not None
        assert run.ended_at > run.started_at

    async def test_a_sample_is_one_of_so_many_posts(self, audit: Audit, runs: AuditRuns):
        runs.begin(100)
        await asyncio.sleep(0)
        assert audit.samples == [100]
        await runs.cancel()

    async def test_a_second_one_is_refused_while_one_runs(self, runs: AuditRuns):
        runs.begin(None)
        with pytest.raises(AuditRunning):
            runs.begin(100)
        await runs.cancel()

    async def test_one_can_be_cancelled_and_another_begun(self, audit: Audit, runs: AuditRuns):
        run = runs.begin(None)
        await asyncio.sleep(0)
        await runs.cancel()
        assert (run.cancelled, run.report, run.is_running) == (True, None, False)
        audit.result = asyncio.get_running_loop().create_future()
        audit.result.set_result(REPORT)
        runs.begin(100)
        await ended(runs)
        assert runs.last.report == REPORT

    async def test_one_can_be_cancelled_before_it_has_begun(self, runs: AuditRuns):
        run = runs.begin(None)
        await runs.cancel()
        assert (run.cancelled, run.is_running) == (True, False)

    async def test_what_stops_an_audit_is_reported(self, audit: Audit, runs: AuditRuns):
        audit.result.set_exception(ReadDbUnavailable("The read database does not answer."))
        run = runs.begin(None)
        await ended(runs)
        assert (run.error, run.report) == ("The read database does not answer.", None)

    async def test_a_bug_is_reported_without_its_text(self, audit: Audit, runs: AuditRuns):
        audit.result.set_exception(KeyError("a secret"))
        run = runs.begin(None)
        await ended(runs)
        assert run.error == "Internal error, a bug in Postlog: KeyError. The service's log has the traceback."


class Doctor:
    """Its examination ends when it is let go."""

    def __init__(self) -> None:
        self.examinations = 0
        self.may_end = asyncio.Event()

    async def examine(self):
        self.examinations += 1
        await self.may_end.wait()
        yield Finding("lag", ok=True, detail=f"Examined {self.examinations} times.")


class StandingClock(SteppingClock):
    seconds = 0.0

    def monotonic(self) -> float:
        return self.seconds


class TestCheckup:
    async def test_it_examines_once_for_all_callers_until_the_findings_expire(self):
        doctor, clock = Doctor(), StandingClock()
        diagnosis = CachedDiagnosis(lambda: doctor, clock, seconds=10)  # type: ignore[arg-type,return-value]
        assert await diagnosis.findings() is None
        assert await diagnosis.findings() is None
        doctor.may_end.set()
        first = await diagnosis.findings(patience=5)
        assert [finding.detail for finding in first.all] == ["Examined 1 times."]
        clock.seconds = 9.9
        assert await diagnosis.findings(patience=5) == first
        clock.seconds = 10
        assert (await diagnosis.findings(patience=5)).all[0].detail == "Examined 2 times."

    async def test_what_was_changed_is_looked_at_again(self):
        doctor, clock = Doctor(), StandingClock()
        doctor.may_end.set()
        diagnosis = CachedDiagnosis(lambda: doctor, clock)  # type: ignore[arg-type,return-value]
        await diagnosis.findings(patience=5)
        diagnosis.expire()
        assert (await diagnosis.findings(patience=5)).all[0].detail == "Examined 2 times."

    async def test_a_hanging_examination_delays_no_caller_and_ends_with_the_service(self):
        doctor = Doctor()
        diagnosis = CachedDiagnosis(lambda: doctor, StandingClock())  # type: ignore[arg-type,return-value]
        assert await diagnosis.findings(patience=0.01) is None
        await diagnosis.stop()
