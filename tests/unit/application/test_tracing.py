"""The spans of a command, of the pipeline behind it, of queries and of maintenance, each in its trace."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress

import pytest
from msgspec.structs import replace
from opentelemetry.sdk.trace import ReadableSpan

from application.mediator import CommandContext, IdempotencyKey
from application.ports.system import Step
from application.query_side.posts import GetPost
from containers import IN_MEMORY, container_with
from domain.commands import CreatePost, EditMessage, LikePost
from domain.errors import NotTheAuthor
from domain.ids import PostId
from entrypoints.composition.container import Container
from entrypoints.settings.model import Bus
from given import NOON, POST
from traced import Traces
from unit.adapters.otel.test_tracer import A, B, C, ids

OTHERS = [PostId(f"0198c0de-0000-7000-8000-00000000000{number}") for number in (2, 3)]


@pytest.fixture
def traces() -> Traces:
    return Traces()


@pytest.fixture
def container(traces: Traces) -> Container:
    return container_with(tracer=traces.tracer)


def by_name(traces: Traces, traceparent: str) -> Mapping[str, ReadableSpan]:
    """The spans of this trace; each name once."""
    spans = traces.of_trace(traceparent)
    found = {span.name: span for span in spans}
    assert len(found) == len(spans)
    return found


async def create(container: Container, post_id: PostId, traceparent: str | None, key: str | None = None) -> int:
    context = CommandContext(
        traceparent=traceparent, idempotency_key=IdempotencyKey(key, "digest") if key is not None else None
    )
    command = CreatePost(post_id=post_id, author="Ann", message="Hello", date_posted=NOON)
    return (await container.command_dispatcher().dispatch(command, context)).position


@asynccontextmanager
async def running(container: Container, *parts: str) -> AsyncIterator[None]:
    tasks = [asyncio.create_task(container.providers[part]().run()) for part in parts]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task


async def until_projected(container: Container, position: int) -> None:
    async with asyncio.timeout(5):
        while (await container.post_views().stamp()).position < position:
            await asyncio.sleep(0.001)


async def test_the_steps_of_a_command_hang_below_it_and_its_commit_names_it(
    container: Container, traces: Traces
) -> None:
    position = await create(container, POST, A, key="k-1")
    spans = by_name(traces, A)
    command = spans["command CreatePost"]
    assert traces.parent(command) == ids(A)
    assert set(spans) == {"command CreatePost", "load", "decide", "append"}
    assert {traces.parent(spans[name]) for name in ("load", "decide", "append")} == {traces.ids(command)}
    assert command.attributes == {
        "postlog.post_id": POST,
        "postlog.version": 1,
        "postlog.position": position,
        "postlog.replayed": False,
    }
    assert spans["decide"].attributes == {
        "postlog.requests": 1,
        "postlog.version": 0,
        "postlog.events": 1,
        "postlog.refused": 0,
    }
    [commit] = await container.commit_log().read(0)
    assert ids(commit.metadata["traceparent"]) == traces.ids(command)


async def test_commands_that_are_written_together_share_one_step_in_each_of_their_traces(
    container: Container, traces: Traces
) -> None:
    await asyncio.gather(*map(create, [container] * 3, [POST, *OTHERS], [A, B, C]))
    appends = [by_name(traces, traceparent)["append"] for traceparent in (A, B, C)]
    commands = [by_name(traces, traceparent)["command CreatePost"] for traceparent in (A, B, C)]
    assert [traces.parent(each) for each in appends] == [traces.ids(each) for each in commands]
    assert traces.links(appends[0]) == {traces.ids(each) for each in commands}
    assert [each.attributes for each in appends] == [appends[0].attributes] * 3
    assert appends[0].attributes == {
        "db.system.name": "mongodb",
        "postlog.group_size": 3,
        "postlog.position": 1,
        "postlog.last_position": 3,
    }


async def test_a_command_without_a_caller_s_trace_begins_one(container: Container, traces: Traces) -> None:
    await create(container, POST, None)
    command = next(span for span in traces.spans if span.name == "command CreatePost")
    assert traces.parent(command) is None
    [commit] = await container.commit_log().read(0)
    assert ids(commit.metadata["traceparent"]) == traces.ids(command)


async def test_a_refusal_is_no_failure_and_quotes_nobody(container: Container, traces: Traces) -> None:
    await create(container, POST, A)
    edit = EditMessage(post_id=POST, message="Mine now", username="Bobolink", edited_at=NOON)
    with pytest.raises(NotTheAuthor):
        await container.command_dispatcher().dispatch(edit, CommandContext(traceparent=B))
    spans = by_name(traces, B)
    assert spans["command EditMessage"].attributes == {"postlog.post_id": POST, "postlog.problem": "not-the-author"}
    assert not spans["command EditMessage"].status.status_code.value
    assert (spans["decide"].attributes or {})["postlog.refused"] == 1
    assert "append" not in spans
    assert not [
        text for span in traces.spans for text in ("Bobolink", "Mine", "Ann", "Hello") if text in span.to_json()
    ]


@pytest.mark.parametrize("bus", ["log", "memory"])
async def test_the_pipeline_adds_its_steps_to_the_traces_of_the_commits(traces: Traces, bus: str) -> None:
    container = container_with(replace(IN_MEMORY, bus=Bus(adapter=bus)), tracer=traces.tracer)
    await create(container, POST, A)
    position = await create(container, OTHERS[0], B)
    parts = ["follower"] if bus == "log" else ["follower", "relay"]
    async with running(container, *parts):
        await until_projected(container, position)
        position = await create(container, OTHERS[1], C)
        await until_projected(container, position)
    for traceparent in (A, B, C):
        spans = by_name(traces, traceparent)
        command = spans["command CreatePost"]
        steps = ["project"] if bus == "log" else ["project", "publish posts"]
        assert [traces.parent(spans[step]) for step in steps] == [traces.ids(command)] * len(steps)
        for step in steps:
            first, last = ((spans[step].attributes or {})[f"postlog.{name}"] for name in ("position", "last_position"))
            assert first <= (command.attributes or {})["postlog.position"] <= last  # type: ignore[operator]
        linked = traces.links(spans["project"])
        assert traces.ids(command) in linked or linked <= {traces.ids(span) for span in traces.spans}


async def test_watermarks_alone_have_no_span(traces: Traces) -> None:
    container = container_with(replace(IN_MEMORY, bus=Bus(adapter="memory")), tracer=traces.tracer)
    async with running(container, "relay"):
        await asyncio.sleep(0.05)
    assert traces.spans == []


async def test_a_query_is_traced_inside_a_request_only(container: Container, traces: Traces) -> None:
    position = await create(container, POST, A)
    async with running(container, "follower"):
        query = GetPost(post_id=POST, min_position=position)
        await container.query_dispatcher().ask(query)
        assert not [span for span in traces.spans if span.name.startswith("query")]
        with traces.tracer.span(Step.REQUEST, "GET", parent=B) as request:
            await container.query_dispatcher().ask(query)
    spans = by_name(traces, B)
    assert traces.parent(spans["query GetPost"]) == ids(request.traceparent)
    assert traces.parent(spans["read rows"]) == traces.ids(spans["query GetPost"])
    assert spans["read rows"].attributes == {
        "db.system.name": "postgresql",
        "postlog.min_position": position,
        "postlog.position": position,
        "postlog.reads": 1,
    }


async def test_the_wait_of_a_query_is_in_its_span(container: Container, traces: Traces) -> None:
    position = await create(container, POST, A)

    async def asked() -> None:
        with traces.tracer.span(Step.REQUEST, "GET", parent=B):
            await container.query_dispatcher().ask(GetPost(post_id=POST, min_position=position))

    asking = asyncio.create_task(asked())
    await asyncio.sleep(0.05)
    async with running(container, "follower"):
        await asking
    rows = by_name(traces, B)["read rows"]
    assert (rows.attributes or {})["postlog.reads"] > 1  # type: ignore[operator]
    assert (rows.end_time or 0) - (rows.start_time or 0) > 40e6


async def test_rebuild_and_audit_are_traced(container: Container, traces: Traces) -> None:
    position = await create(container, POST, A)
    async with running(container, "follower"):
        await until_projected(container, position)
    with traces.tracer.span(Step.REQUEST, "POST", parent=B):
        async for _ in container.rebuild().run():
            pass
        await container.audit().run()
        await container.audit().sample(1)
    spans = [span for span in traces.spans if traces.ids(span)[0] == ids(B)[0]]
    rebuild, audit, sample = (
        next(span for span in spans if span.name == name) for name in ("rebuild", "audit", "audit sample")
    )
    assert rebuild.attributes == {"postlog.generation": 2, "postlog.position": position, "postlog.events": 1}
    steps = [span for span in spans if span.name == "rebuild step"]
    assert {traces.parent(step) for step in steps} == {traces.ids(rebuild)}
    assert [(step.attributes or {}).get("postlog.state") for step in steps] == ["emptying", "building", "live", None]
    for each in (audit, sample):
        assert each.attributes == {
            "postlog.generation": 2,
            "postlog.position": position,
            "postlog.posts": 1,
            "postlog.differences": 0,
            "postlog.parked": 0,
        }


async def test_without_a_tracer_every_object_is_of_the_plain_class() -> None:
    """So tracing costs nothing: no step asks whether there is a tracer."""
    container = container_with(replace(IN_MEMORY, bus=Bus(adapter="memory")))
    made = [container.providers[name]() for name in sorted(container.providers) if name in TRACEABLE]
    made += [container.command_queue()._committer, container.command_queue()._decider, container.relay()._publisher]
    assert len(made) == len(TRACEABLE) + 3
    assert not [each for each in made if type(each).__module__ == "application.tracing"]


TRACEABLE = {
    "audit",
    "command_queue",
    "commands",
    "follower",
    "freshness",
    "projector",
    "query_dispatcher",
    "rebuild",
}


async def test_with_a_tracer_each_of_them_is_traced(traces: Traces) -> None:
    container = container_with(tracer=traces.tracer)
    made = [container.providers[name]() for name in sorted(TRACEABLE)]
    made += [container.command_queue()._committer, container.command_queue()._decider]
    assert {type(each).__module__ for each in made} == {"application.tracing"}
    liked = LikePost(post_id=POST, username=None)
    await create(container, POST, A)
    await container.command_dispatcher().dispatch(liked, CommandContext())
    assert [commit.version for commit in await container.commit_log().read(0)] == [1, 2]
