"""The findings of the doctor."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any, cast

import pytest

from application.errors import ReadDbUnavailable, SchemaOutdated
from application.maintenance import doctor as module
from application.maintenance.doctor import Doctor, Finding
from application.ports.generations import Build, BuildState
from application.ports.post_views import Stamp
from application.ports.provisioning import Probe, ProbeResult, Provisioning
from application.ports.read_db import Checkpoint, LiveGeneration, ParkedStream
from application.ports.relay_state import RelayStatus
from application.projections.log_checks import LogGaps
from domain.errors import PostlogError
from domain.ids import PostId

LOG_ID = "0198c0de-0000-7000-8000-00000000000a"


@dataclass
class RequestHandler:
    result: ProbeResult

    @property
    def name(self) -> str:
        return self.result.name

    async def probe(self) -> ProbeResult:
        return self.result


@dataclass
class Made:
    error: PostlogError | None = None
    unseen: str | None = None

    async def provision(self) -> list[str]:
        raise AssertionError("A doctor changes nothing.")

    async def check(self) -> str | None:
        if self.error:
            raise self.error
        return self.unseen


@dataclass
class Installation:
    """Stands for the log, the rows and the clock."""

    tip: int = 7
    position: int = 7
    parked: int = 0
    claimed_for: str | None = LOG_ID
    unavailable: bool = False
    checkpoint: Checkpoint | None = None
    time: float = 0.0
    builds_seen: Sequence[Sequence[Build]] = ((),)
    is_building: bool = False
    relays_seen: Sequence[RelayStatus | None] = ()
    unopened: Mapping[str, str] = field(default_factory=dict)
    missing: Collection[int] = ()
    parked_now: Sequence[ParkedStream] = ()
    probes: Sequence[Probe] = field(
        default_factory=lambda: [RequestHandler(ProbeResult("event_store", True, "It answers."))]
    )
    provisionings: Mapping[str, Provisioning] = field(default_factory=lambda: {"read_db schema": Made()})

    async def log_id(self) -> str:
        return LOG_ID

    async def read(self, after: int, limit: int) -> list[Any]:
        return []

    async def live(self) -> LiveGeneration:
        if self.unavailable:
            raise ReadDbUnavailable("The read database is away.")
        return LiveGeneration(generation=1, slot="a", log_id=self.claimed_for, partitions=1, ready=True)

    async def checkpoints(self, generation: int) -> dict[int, Checkpoint]:
        return {0: self.checkpoint} if self.checkpoint else {}

    async def stamp(self) -> Stamp:
        return Stamp(generation=1, ready=True, position=self.position, parked=self.parked)

    async def builds(self) -> Sequence[Build]:
        """One answer a call; the last one is repeated."""
        seen, *later = self.builds_seen
        self.builds_seen = later or self.builds_seen
        return seen

    async def is_locked(self) -> bool:
        return self.is_building

    def monotonic(self) -> float:
        self.time += 1.0
        return self.time

    async def examined(self) -> list[Finding]:
        parts = cast("Any", self)
        log = cast("Any", Log(self))
        doctor = Doctor(
            probes=self.probes,
            provisionings=self.provisionings,
            log=log,
            gaps=LogGaps(log),
            store=parts,
            views=parts,
            parked_streams=cast("Any", Parked(self.parked_now)),
            generations=parts,
            clock=parts,
            relay_state=cast("Any", Relays(list(self.relays_seen))) if self.relays_seen else None,
            unopened=self.unopened,
        )
        return [finding async for finding in doctor.examine()]


@dataclass
class Relays:
    """One answer a call; the last one is repeated."""

    seen: list[RelayStatus | None]

    async def state(self) -> RelayStatus | None:
        return self.seen.pop(0) if len(self.seen) > 1 else self.seen[0]


@dataclass
class Log:
    of: Installation

    async def log_id(self) -> str:
        return LOG_ID

    async def tip(self) -> int:
        return self.of.tip

    async def proven_tip(self) -> int:
        return self.of.tip

    async def read(self, after: int, limit: int) -> list[Any]:
        return []

    async def count(self, after: int, until: int) -> int:
        return sum(
            after < position <= until for position in range(1, self.of.tip + 1) if position not in self.of.missing
        )

    async def rough_count(self) -> int | None:
        return None


@dataclass
class Parked:
    streams: Sequence[ParkedStream]

    async def parked(self, limit: int) -> Sequence[ParkedStream]:
        return self.streams


async def problems_of(installation: Installation) -> list[Finding]:
    return [finding for finding in await installation.examined() if not finding.ok]


async def test_a_sound_installation_has_a_good_line_for_everything() -> None:
    findings = await Installation().examined()
    assert [finding.check for finding in findings] == [
        "event_store",
        "read_db schema",
        "positions",
        "log match",
        "lag",
        "parked posts",
        "rebuild",
    ]
    assert all(finding.ok for finding in findings)


async def test_what_needs_a_server_that_is_away_is_left_out_and_all_else_examined() -> None:
    away = RequestHandler(ProbeResult("read_db", ok=False, detail="It does not answer."))
    there = RequestHandler(ProbeResult("event_store", ok=True, detail="It answers."))
    schemas = {"event_store schema": Made(), "read_db schema": Made()}
    findings = await Installation(probes=[there, away], provisionings=schemas).examined()
    assert findings[:2] == [
        Finding("event_store", True, "It answers."),
        Finding("read_db", False, "It does not answer."),
    ]
    assert [finding.check for finding in findings[2:]] == ["event_store schema", "positions"]
    away, there = replace(away.result, name="event_store"), replace(there.result, name="read_db")
    findings = await Installation(
        probes=[RequestHandler(away), RequestHandler(there)], provisionings=schemas
    ).examined()
    assert [finding.check for finding in findings[2:]] == ["read_db schema", "parked posts", "rebuild"]


async def test_a_part_that_can_not_be_opened_is_a_finding_and_is_not_asked() -> None:
    unopened = {"event_store": "No such file."}
    findings = await Installation(unopened=unopened, parked=1).examined()
    assert findings[0] == Finding("event_store", False, "No such file.")
    assert [finding.check for finding in findings[1:]] == ["read_db schema", "parked posts", "rebuild"]


async def test_an_outdated_schema_leaves_out_what_needs_it() -> None:
    outdated = Made(SchemaOutdated("The tables are missing; run `postlog init`."))
    findings = await Installation(provisionings={"read_db schema": outdated}).examined()
    assert findings[1] == Finding("read_db schema", False, "The tables are missing; run `postlog init`.")
    assert [finding.check for finding in findings[2:]] == ["positions"]


async def test_what_a_schema_check_could_not_check_is_reported() -> None:
    findings = await Installation(provisionings={"bus schema": Made(unseen="Not all was looked at.")}).examined()
    assert findings[1] == Finding("bus schema", True, "Not all was looked at.")


def relay(position: int, owner: str | None = "one") -> RelayStatus:
    return RelayStatus(owner=owner, token=3, position=position)


@pytest.mark.parametrize(
    ("seen", "tip", "detail"),
    [
        ([relay(7)], 7, "A relay is active; the bus has the log up to position 7."),
        ([relay(5), relay(7)], 7, "A relay is active; the bus has the log up to position 7."),
        ([None], 0, "No relay was started yet; the bus has the log up to position 0."),
    ],
)
async def test_a_relay_that_works_is_no_problem(
    seen: list[RelayStatus | None], tip: int, detail: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_POLL_SECONDS", 0.0)
    findings = await Installation(tip=tip, position=tip, relays_seen=seen).examined()
    assert Finding("relay", True, detail) in findings
    assert all(finding.ok for finding in findings)


@pytest.mark.parametrize(
    ("seen", "detail"),
    [
        (
            [relay(5, owner=None)],
            (
                "No relay is active, and 1,200 commits of the log wait to be published, after position 5. Is one "
                "running (`postlog relay`)?"
            ),
        ),
        (
            [None],
            (
                "No relay is active, and 1,205 commits of the log wait to be published, after position 0. Is one "
                "running (`postlog relay`)?"
            ),
        ),
        (
            [relay(1_205, owner=None)],
            "No relay is active. Nothing is waiting yet; start one (`postlog relay`).",
        ),
        (
            [relay(5)],
            (
                "A relay holds the lease and publishes nothing: 1,200 commits of the log wait to be published, after "
                "position 5. What it logs, or the check `bus`, says why; restart it if neither does."
            ),
        ),
        (
            [relay(5), relay(105)],
            "A relay is active and catching up: 1,100 commits of the log wait to be published, after position 105.",
        ),
    ],
)
async def test_a_relay_that_is_gone_stuck_or_behind_is_a_problem_of_the_data(
    seen: list[RelayStatus | None], detail: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_POLL_SECONDS", 0.0)
    found = await problems_of(Installation(tip=1_205, position=1_205, relays_seen=seen))
    assert found == [Finding("relay", False, detail, about_data=True)]


async def test_rows_of_another_log_are_found() -> None:
    (found,) = await problems_of(Installation(claimed_for="0198c0de-0000-7000-8000-00000000000b"))
    assert found.check == "log match"
    assert "was filled from log 0198c0de-0000-7000-8000-00000000000b" in found.detail
    assert not found.about_data


async def test_a_log_that_was_restored_to_an_older_state_is_found() -> None:
    seen = Checkpoint(partition=0, position=7, commit_position=7, commit_id="c-7")
    (found,) = await problems_of(Installation(checkpoint=seen))
    assert "the log was restored to an older state" in found.detail


async def test_a_database_that_is_not_claimed_yet_is_sound() -> None:
    assert await problems_of(Installation(claimed_for=None)) == []


async def test_rows_that_stay_behind_are_a_matter_of_data(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_POLL_SECONDS", 0.0)
    (found,) = await problems_of(Installation(tip=1_207))
    assert found == Finding(
        "lag",
        False,
        "The rows are at position 7, 1,200 commits behind the log. Is a projector running (`postlog project`)?",
        about_data=True,
    )


async def test_parked_posts_are_a_matter_of_data() -> None:
    (found,) = await problems_of(Installation(parked=3))
    assert (found.check, found.about_data) == ("parked posts", True)
    assert "3 posts are parked" in found.detail


async def test_a_post_that_is_damaged_in_the_log_is_named() -> None:
    other = ParkedStream(
        post_id=PostId("0198c0de-0000-7000-8000-000000000001"),
        version=2,
        position=3,
        waiting_version=2,
        code="event-not-readable",
        reason="It is newer.",
        parked_at=datetime(2026, 11, 23, 12, 0, tzinfo=UTC),
    )
    damaged = replace(other, code="stream-damaged", reason="The log is damaged at post …: version 2 is missing.")
    (found,) = await problems_of(Installation(parked=2, parked_now=[other, damaged]))
    assert "2 posts are parked" in found.detail
    assert found.detail.endswith("The log is damaged at post …: version 2 is missing.")


async def test_missing_positions_are_found_however_old() -> None:
    (found,) = await problems_of(Installation(tip=9_000, position=9_000, missing=range(17, 20)))
    assert found.check == "positions"
    assert "The log has no commit at positions 17 to 19, but one at 20" in found.detail
    assert "`postlog events cut`" in found.detail


BUILDING = Build(
    generation=3,
    slot="b",
    state=BuildState.BUILDING,
    log_id=LOG_ID,
    position=1_000,
    commit_id="c-1000",
    target=5_000,
    events=2_000,
    started_at=datetime(2026, 11, 23, 12, 0, tzinfo=UTC),
    updated_at=datetime(2026, 11, 23, 12, 0, 10, tzinfo=UTC),
)


async def test_a_rebuild_whose_process_is_gone_is_named_with_what_to_do() -> None:
    (found,) = await problems_of(Installation(builds_seen=[[BUILDING]]))
    assert found == Finding(
        "rebuild",
        False,
        "Generation 3 in slot b was left unfinished at position 1,000 of 5,000; `postlog rebuild` resumes it, "
        "`postlog rebuild --drop` discards it.",
        about_data=True,
    )
    stopped = replace(BUILDING, state=BuildState.EMPTYING, error="The log is away.")
    (found,) = await problems_of(Installation(builds_seen=[[stopped]]))
    assert "at position 1,000 of 5,000 (The log is away); `postlog rebuild`" in found.detail


async def test_a_rebuild_that_runs_is_no_problem_and_its_progress_is_shown() -> None:
    findings = await Installation(builds_seen=[[BUILDING]], is_building=True).examined()
    assert findings[-1] == Finding(
        "rebuild",
        True,
        "A rebuild is running: generation 3 at position 1,000 of 5,000, 200 events a second, 40 s left.",
    )


async def test_a_rebuild_that_ends_during_the_check_is_no_problem() -> None:
    assert await problems_of(Installation(builds_seen=[[BUILDING], []])) == []


async def test_what_can_not_be_examined_is_a_finding_too() -> None:
    (found,) = await problems_of(Installation(unavailable=True))
    assert found == Finding("log match", False, "The read database is away.")
