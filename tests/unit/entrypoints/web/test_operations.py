"""The operations page on a small real system: health summary, what an operator can start, and the data of the plots."""

import asyncio
import itertools
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta

import pytest
from msgspec import json

from adapters.memory.generations import MemoryGenerations, MemoryRebuildProcess
from application.envelopes import ProposedCommit, StoredEvent
from application.errors import ReadDbUnavailable
from application.maintenance.doctor import Finding, Findings
from application.maintenance.rebuilds import RebuildState
from application.mediator import CommandDispatcher, QueryDispatcher
from application.ports.generations import Build
from application.query_side.status import (
    PartitionStatus,
    PipelineStatus,
    RelayProgress,
    RowsStatus,
)
from command_process import ANYBODY
from domain.commands import CreatePost
from entrypoints.web.health_summary import summarize_health
from entrypoints.web.operations import samples_of
from entrypoints.web.services import Operations
from given import NOON, POST
from small_system import SmallSystem
from unit.entrypoints.http.fakes import NOW
from unit.entrypoints.web.conftest import OWN_PAGE, Client, browser_of

NEWER = StoredEvent("PostLiked", 9, {"username": "<b>Eve</b>"})
CREATED = CreatePost(post_id=POST, author="Ann", message="Hello", date_posted=NOON)


@dataclass
class Operated:
    """A small system with everything that the operations page needs."""

    system: SmallSystem = field(default_factory=SmallSystem)
    goes_on: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        container, self.generations = self.system.container, self.system.generations
        self.process = MemoryRebuildProcess(self._rebuild)
        rebuilds = container.rebuilds(adapters=["memory"], generations_of=self._generations_of, process=self.process)
        self.operations: Operations = container.operations(rebuilds=rebuilds)

    async def _generations_of(self, _: str) -> MemoryGenerations:
        return self.generations

    async def _rebuild(self) -> AsyncIterator[Build]:
        async for build in self.system.container.rebuild().run():
            yield build
            await self.goes_on.wait()

    def commands(self) -> CommandDispatcher:
        return CommandDispatcher()

    def queries(self) -> QueryDispatcher:
        return self.system.queries

    async def append(self, version: int, *events: StoredEvent) -> None:
        await self.system.event_store.append(
            [
                ProposedCommit(
                    stream_id=POST,
                    version=version,
                    commit_id=f"00000000-0000-7000-8000-{version:012x}",
                    recorded_at=NOON,
                    metadata={},
                    events=events,
                )
            ]
        )

    async def project(self) -> None:
        async with self.system.projecting():
            await self.system.caught_up()

    @asynccontextmanager
    async def browsed(self, stopping: asyncio.Event | None = None) -> AsyncIterator[Client]:
        async with self.process, browser_of(self, operations=self.operations, stopping=stopping) as client:
            yield client
        await self.operations.audits.cancel()
        await self.operations.diagnosis.stop()


@pytest.fixture
async def operated() -> Operated:
    operated = Operated()
    await operated.system.process.commands.handle(CREATED, ANYBODY)
    return operated


def health(html: str) -> str:
    [found] = re.findall(r'<section class="health.*?</section>', html, re.DOTALL)
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", "", found)).strip()


async def send(client: Client, path: str, **fields: str):
    return await client.post(path, data={"key": "-"} | fields, headers=OWN_PAGE)


class TestHealth:
    async def test_everything_is_healthy(self, operated: Operated):
        await operated.project()
        async with operated.browsed() as client:
            html = (await client.get("/operations")).text
        assert health(html) == ("✓ All healthy. All parts respond, and the rows have all 1 commit of the log.")

    async def test_parked_posts_need_action_and_are_shown_with_the_reason(self, operated: Operated):
        await operated.append(2, NEWER)
        await operated.project()
        async with operated.browsed() as client:
            html = (await client.get("/operations")).text
        assert "Action needed. 1 posts are parked until their causes are fixed" in health(html)
        assert "reads up to schema version 2; run a newer one." in html
        assert "<b>Eve</b>" not in html

    async def test_an_unavailable_read_database_is_reported_first_and_the_page_still_works(self, operated: Operated):
        async def away(*_: object) -> object:
            raise ReadDbUnavailable("The read database <x> does not answer (read_db.url).")

        operated.system.store.live = operated.system.views.stamp = away
        async with operated.browsed() as client:
            answer = await client.get("/operations")
        assert answer.status_code == 200
        assert "Action needed. The read database &lt;x&gt; does not answer (read_db.url)." in health(answer.text)

    async def test_rows_that_are_behind_are_catching_up(self, operated: Operated):
        async with operated.browsed() as client:
            html = (await client.get("/operations")).text
        assert health(html) == "… Rows are catching up. 1 commit behind."


class TestRebuild:
    async def test_a_rebuild_is_started_and_watched_and_its_rows_become_live(self, operated: Operated):
        await operated.project()
        async with operated.browsed() as client:
            answer = await send(client, "/operations/rebuild")
            assert (answer.status_code, answer.headers["location"]) == (303, "/operations#rebuild-card")
            html = (await client.get("/operations")).text
            assert "Generation 2 is being built. Readers see generation 1 until it is done." in html
            assert "position 0 of 1" in html
            refused = await send(client, "/operations/rebuild")
            assert (refused.status_code, "Rebuild memory-2 is running" in refused.text) == (409, True)
            operated.goes_on.set()
            await state_of_the_last(operated, RebuildState.SWAPPED)
            assert ">done</span>" in (await client.get("/operations")).text

    async def test_one_can_be_cancelled(self, operated: Operated):
        await operated.project()
        async with operated.browsed() as client:
            await send(client, "/operations/rebuild")
            await send(client, "/operations/rebuild/cancel", rebuild="memory-2")
            operated.goes_on.set()
            await state_of_the_last(operated, RebuildState.CANCELLED)
            html = (await client.get("/operations")).text
        assert ">cancelled</span>" in html
        assert operated.system.read_db.live.generation == 1

    async def test_an_unfinished_rebuild_needs_action_and_can_be_discarded(self, operated: Operated):
        await operated.project()
        await operated.generations.begin("log", 1, NOON)
        async with operated.browsed() as client:
            html = (await client.get("/operations")).text
            assert "Action needed. Generation 2 in slot b was left unfinished" in health(html)
            assert "Resume the rebuild" in html
            await send(client, "/operations/rebuild/cancel", rebuild="memory-2")
            assert "All healthy." in health((await client.get("/operations")).text)

    async def test_an_unknown_rebuild_can_t_be_cancelled(self, operated: Operated):
        async with operated.browsed() as client:
            assert (await send(client, "/operations/rebuild/cancel", rebuild="<b>")).status_code == 404


async def state_of_the_last(operated: Operated, state: RebuildState) -> None:
    async with asyncio.timeout(5):
        while (await operated.operations.rebuilds.recent())[0].state is not state:
            await asyncio.sleep(0)


class TestAudit:
    async def test_an_audit_is_run_and_its_result_shown(self, operated: Operated):
        await operated.project()
        async with operated.browsed() as client:
            answer = await send(client, "/operations/audit", sample="")
            assert (answer.status_code, answer.headers["location"]) == (303, "/operations#audit")
            await audited(operated)
            html = (await client.get("/operations")).text
        assert "no difference</span> in 1 post, up to position 1 at least" in html

    async def test_differences_are_shown_and_reported_first(self, operated: Operated):
        await operated.project()
        rows = operated.system.read_db.live_rows
        rows.posts[POST] = rows.posts[POST]._replace(message="<i>by hand</i>")
        async with operated.browsed() as client:
            await send(client, "/operations/audit", sample="100")
            await audited(operated)
            html = (await client.get("/operations")).text
        assert "The last audit found 1 difference between rows and log; postlog audit --repair" in health(html)
        assert "&lt;i&gt;by hand&lt;/i&gt;" in html

    async def test_a_running_audit_can_be_cancelled_but_no_second_one_started(self, operated: Operated):
        hanging = asyncio.Event()

        async def tip() -> int:
            await hanging.wait()
            return 0

        await operated.project()
        async with operated.browsed() as client:
            await client.get("/operations")
            operated.system.commit_log.tip = tip
            await send(client, "/operations/audit", sample="")
            refused = await send(client, "/operations/audit", sample="")
            assert (refused.status_code, "An audit is already running." in refused.text) == (409, True)
            cancelled = await send(client, "/operations/audit/cancel")
            assert cancelled.headers["location"] == "/operations#audit"
            assert operated.operations.audits.last.cancelled
            hanging.set()

    async def test_an_invalid_sample_size_is_refused(self, operated: Operated):
        async with operated.browsed() as client:
            for sample in ("many", "0", "-1", "9" * 19):
                assert (await send(client, "/operations/audit", sample=sample)).status_code == 400


async def audited(operated: Operated) -> None:
    async with asyncio.timeout(5):
        while operated.operations.audits.last.is_running:
            await asyncio.sleep(0)


class TestParked:
    @pytest.mark.parametrize("fields", [{"post": POST}, {}], ids=["one", "all"])
    async def test_parked_posts_are_retried(self, operated: Operated, fields: dict[str, str]):
        await operated.append(2, NEWER)
        await operated.project()
        async with operated.browsed() as client:
            answer = await send(client, "/operations/parked/retry", **fields)
            assert answer.headers["location"] == "/operations?freed=0&still=1#parked"
            html = (await client.get("/operations?freed=0&still=1")).text
        assert "0 posts are no longer parked; 1 still is." in html

    async def test_an_invalid_post_id_is_refused(self, operated: Operated):
        async with operated.browsed() as client:
            assert (await send(client, "/operations/parked/retry", post="x")).status_code == 400


class TestSwitch:
    async def test_without_operations_there_is_no_page_and_no_link_to_it(self, operated: Operated):
        async with browser_of(operated) as client:
            assert (await client.get("/operations")).status_code == 404
            assert 'href="/operations"' not in (await client.get("/log?post=x")).text

    @pytest.mark.parametrize("path", ["rebuild", "rebuild/cancel", "audit", "audit/cancel", "parked/retry"])
    async def test_forms_of_other_sites_start_nothing(self, operated: Operated, path: str):
        async with operated.browsed() as client:
            answer = await client.post(
                f"/operations/{path}", data={"sample": "100"}, headers={"Sec-Fetch-Site": "same-site"}
            )
        assert answer.status_code == 403
        assert operated.operations.audits.last is None
        assert await operated.operations.rebuilds.recent() == []


class TestLive:
    async def test_all_parts_are_sent_once_and_then_only_changed_ones(self, operated: Operated, monkeypatch):
        """Five times it is looked; only the examination ends meanwhile."""
        monkeypatch.setattr("entrypoints.web.operations._SECONDS", 0.01)
        await operated.project()
        stopping, looks = asyncio.Event(), itertools.count(1)
        diagnosis = operated.operations.diagnosis
        findings = diagnosis.findings

        async def counted() -> Findings | None:
            if next(looks) == 5:
                stopping.set()
            return await findings(patience=5)

        monkeypatch.setattr(diagnosis, "findings", counted)
        async with operated.browsed(stopping) as client:
            received = (await client.get("/operations/stream")).text
        for part in ("health", "figures", "partitions", "audit", "parked", "sample", "checks"):
            assert received.count(f'id="{part}"') == 1, part


BEHIND = Findings(NOW, [Finding("lag", ok=False, detail="The rows are behind. Is a projector running?")])


def status(relay: RelayProgress | None, tip: int | None = 8) -> PipelineStatus:
    return PipelineStatus(at=NOW, tip=tip, rows=None, relay=relay, problems=())


def test_a_missing_relay_is_reported_before_rows_that_are_behind():
    health = summarize_health(status(RelayProgress(owner=None, position=5)), [], BEHIND, None)
    assert health.sentence == (
        "No relay publishes the log to the bus, and 3 commits are waiting. Is a relay running (`postlog relay`)?"
    )
    assert health.more == ["The rows are behind. Is a projector running?"]


@pytest.mark.parametrize(
    "standing",
    [
        status(None),
        status(RelayProgress(owner="r1", position=5)),
        status(RelayProgress(owner=None, position=8)),
        status(RelayProgress(owner=None, position=5), tip=None),
    ],
    ids=["no bus", "one works", "nothing to publish", "the log is away"],
)
def test_otherwise_the_relay_is_not_reported(standing: PipelineStatus):
    assert summarize_health(standing, [], BEHIND, None).sentence == "The rows are behind. Is a projector running?"


def look(second: int, behind: int) -> PipelineStatus:
    at = NOW + timedelta(seconds=second)
    since = at - timedelta(seconds=behind) if behind else None
    partition = PartitionStatus(
        partition=0, position=second, commits=behind, events=behind, since=since, at_least=False
    )
    rows = RowsStatus(
        adapter="memory",
        generation=1,
        live_since=None,
        ready=True,
        position=second,
        parked=0,
        partitions=[partition],
    )
    return PipelineStatus(at=at, tip=second + behind, rows=rows, relay=None, problems=())


def test_a_lag_of_one_second_among_all_samples_is_drawn():
    looks = [look(second, behind=90 if second == 1_234 else 0) for second in range(1_800)]
    samples = json.decode(samples_of(looks))
    assert [sample[3] for sample in samples if sample[3]] == [90.0]
    assert samples[1_234][:3] == [NOW.timestamp() + 1_234, 1_324, 1_234]
