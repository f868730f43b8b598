"""Decide waiting requests on one post, one after the other, each on the state that the one before it leads to."""

from collections.abc import Sequence
from dataclasses import dataclass

from application.command_side.heads import Head
from application.command_side.requests import Decision, InEffect, Proposed, Refused, Request
from application.envelopes import ProposedCommit
from application.errors import VersionMismatch
from application.ports.event_codec import EventCodec
from application.ports.system import Clock
from domain.errors import PostlogError
from domain.events import PostEvent
from domain.limits import Limits
from domain.post import PostState, decide, evolve


@dataclass(frozen=True, slots=True)
class Decided:
    """`state` and `version` are what the stream comes to when this and all before it become durable."""

    decision: Decision
    state: PostState
    version: int


class Decider:
    def __init__(self, codec: EventCodec, clock: Clock, limits: Limits) -> None:
        self._codec = codec
        self._clock = clock
        self._limits = limits

    def decide_all(self, requests: Sequence[Request], head: Head) -> list[Decided]:
        decided: list[Decided] = []
        state, version = head.state, head.version
        for request in requests:
            try:
                events, after = self._decide(request, state, version)
                decision: Decision = InEffect(request)
                if events:
                    commit = self._propose(request, version, events)
                    decision, state, version = Proposed(request, commit), after, commit.last_version
            except PostlogError as error:
                decision = Refused(request, error)
            decided.append(Decided(decision, state, version))
        return decided

    def _decide(self, request: Request, state: PostState, version: int) -> tuple[list[PostEvent], PostState]:
        expected = request.context.expected_version
        if expected not in (None, version) and version:
            raise VersionMismatch(
                f"If-Match names version {expected}, but the post stands at {version}; read it and decide again.",
                current_version=version,
            )
        events: list[PostEvent] = []
        for command in request.commands:
            new = decide(command, state, self._limits)
            for event in new:
                state = evolve(state, event)
            events += new
        return events, state

    def _propose(self, request: Request, version: int, events: Sequence[PostEvent]) -> ProposedCommit:
        return ProposedCommit(
            stream_id=request.post_id,
            version=version + 1,
            commit_id=request.commit_id,
            recorded_at=self._clock.now(),
            metadata=request.metadata(),
            events=self._codec.encode(events),
        )
