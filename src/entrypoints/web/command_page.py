"""`/commands/{id}`: the timeline of a command, updated live until the command is done: each step, where and when it was
taken, and how long after the step before."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from litestar.types import ASGIApp

from application.errors import CommitNotFound
from application.query_side.log import CommitFilter, ListCommits
from application.query_side.trace import CommandTrace, Source, Step, TraceCommand, TracedStep
from entrypoints.serving.routing import uuid_segment
from entrypoints.web.formatting import clock_time, lasting
from entrypoints.web.live import live
from entrypoints.web.log import LogFilter
from entrypoints.web.page_request import PageRequest, Route, see_other
from entrypoints.web.services import WebServices

_SECONDS = 0.1
_NO_FILTER = LogFilter(type="", who="", post="")


@dataclass(frozen=True, slots=True)
class CommandPage:
    services: WebServices

    def routes(self) -> list[Route]:
        return [
            Route("/commands", show=self.find),
            Route("/commands/{id:str}", show=self.show),
            Route("/commands/{id:str}/stream", show=self.stream),
        ]

    async def find(self, request: PageRequest) -> ASGIApp:
        """By the position of its commit; without a position, redirects to the log."""
        position = request.number("position", low=1)
        if position is None:
            return see_other("/log")
        page = await self.services.queries.ask(ListCommits(wanted=CommitFilter(), limit=1, before=position + 1))
        for logged in page.commits:
            if logged.commit.position == position:
                return see_other(f"/commands/{logged.commit.commit_id}")
        raise CommitNotFound(f"The log has no commit at position {position:,}.")

    async def show(self, request: PageRequest) -> ASGIApp:
        trace = await self.services.queries.ask(TraceCommand(uuid_segment(request.scope)))
        return await request.page("command.html", trace=trace, timeline=timeline_of(trace), wanted=_NO_FILTER)

    async def stream(self, request: PageRequest) -> ASGIApp:
        query, sent = TraceCommand(uuid_segment(request.scope)), ""

        async def news() -> str:
            nonlocal sent
            trace = await self.services.queries.ask(query)
            html = await request.part(
                "command.parts.html", whole=True, trace=trace, timeline=timeline_of(trace), wanted=_NO_FILTER
            )
            if html == sent:
                return ""
            sent = html
            return html

        return live(request, news, _SECONDS)


_TITLES = {
    Step.RECEIVED: ("Received", "by a process that takes commands"),
    Step.DECIDED: ("Decided", "on the state of the post at that time"),
    Step.DURABLE: ("Written to the log", "durably"),
    Step.PUBLISHED: ("Published", "to the bus, by the relay"),
    Step.PROJECTED: ("Projected", "into the rows, by the projector"),
    Step.VISIBLE: ("Visible", "to readers who ask for this position"),
}
_REACHED = {
    Step.DURABLE: "the log ends at position {:,}",
    Step.PUBLISHED: "the relay has published up to position {:,}",
    Step.PROJECTED: "the projector has projected up to position {:,}",
    Step.VISIBLE: "readers get the rows of position {:,}",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class TimelineStep:
    """`known` says how its time is known. `passed` is the time since the step before, "" if one of the two times is
    unknown. `begin` and `length` draw its bar, in percent of the whole timeline."""

    step: Step
    taken: bool
    title: str
    where: str
    time: str
    known: str
    passed: str
    begin: float = 0.0
    length: float = 0.0


@dataclass(frozen=True, slots=True)
class CommandTimeline:
    """`duration` is the time from the first known step to the last one, "" if unknown."""

    steps: Sequence[TimelineStep]
    duration: str

    @property
    def has_bus(self) -> bool:
        return any(step.step is Step.PUBLISHED for step in self.steps)


def timeline_of(trace: CommandTrace) -> CommandTimeline:
    times = [step.at for step in trace.steps if step.at is not None]
    first, last = times[0] if times else None, max(times, default=None)
    steps: list[TimelineStep] = []
    before: TracedStep | None = None
    for step in trace.steps:
        steps.append(_timeline_step(step, before, first, last))
        if step.at is not None:
            before = step
    return CommandTimeline(steps, _duration(trace))


def _duration(trace: CommandTrace) -> str:
    begin, end = next((step for step in trace.steps if step.at), None), trace.steps[-1]
    if begin is None or begin.at is None or end.at is None or trace.parked_at is not None:
        return ""
    return _words(end.at - begin.at, end, begin)


def _timeline_step(
    step: TracedStep, before: TracedStep | None, first: datetime | None, last: datetime | None
) -> TimelineStep:
    title, where = _TITLES[step.step]
    begin, length = _share(step, before, first, last)
    return TimelineStep(
        step=step.step,
        taken=step.taken,
        title=title,
        where=where,
        time=clock_time(step.at) if step.at else "",
        known=_known(step),
        passed=_passed(step, before),
        begin=begin,
        length=length,
    )


def _known(step: TracedStep) -> str:
    match step.source:
        case _ if not step.taken:
            return f"not yet{_reached(step)}"
        case Source.LOG:
            return "recorded in the log, in whole milliseconds"
        case Source.HERE:
            return "recorded by this process"
        case Source.SEEN:
            after = f", and not yet at {clock_time(step.after)}" if step.after else ""
            return f"observed by this process at that time{after}"
        case _:
            return f"done; this process does not know the time{_reached(step)}"


def _reached(step: TracedStep) -> str:
    """The position of the log, the relay or the checkpoints, whichever process took the step."""
    sentence = _REACHED.get(step.step)
    return f": {sentence.format(step.reached)}" if sentence and step.reached is not None else ""


def _passed(step: TracedStep, before: TracedStep | None) -> str:
    if step.at is None or before is None or before.at is None:
        return ""
    if step.at == before.at and step.source is before.source:  # by the same transaction, or observed in the same sample
        return "0 ms" if step.source is Source.HERE else ""
    return _words(step.at - before.at, step, before)


def _words(passed: timedelta, end: TracedStep, begin: TracedStep) -> str:
    """As precise as the two times are known, not more."""
    seconds = max(0.0, passed.total_seconds())
    if Source.SEEN in (end.source, begin.source):
        return f"at most {lasting(seconds)}"
    if Source.LOG in (end.source, begin.source) and seconds < 0.001:
        return "less than 1 ms"
    return lasting(seconds)


def _share(
    step: TracedStep, before: TracedStep | None, first: datetime | None, last: datetime | None
) -> tuple[float, float]:
    if step.at is None or first is None or last is None or last <= first:
        return 0.0, 0.0
    start = before.at if before and before.at else step.at
    begin, end = (max(0.0, 100 * ((at - first) / (last - first))) for at in (start, step.at))
    return round(min(begin, end), 2), round(max(0.0, end - begin), 2)
