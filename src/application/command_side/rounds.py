"""What came of one round on one post: who is answered with what, and who must be decided again."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from application.command_side.deciding import Decided
from application.command_side.heads import Head
from application.command_side.requests import Proposed, Request
from application.ports.event_store import Appended, AppendOutcome, NotTried


@dataclass(frozen=True, slots=True)
class Reached:
    """A decision on which nothing failed before it, and where the stream stands, durably, behind it."""

    decided: Decided
    head: Head


@dataclass(slots=True)
class RoundResult:
    """`failed` begins with the first commit that was not appended; all that was decided behind it is void. Its outcome
    is None for those that proposed no commit."""

    reached: list[Reached] = field(default_factory=list)
    failed: list[tuple[Request, AppendOutcome | None]] = field(default_factory=list)

    @property
    def quiet(self) -> list[Reached]:
        """Those that appended nothing: refusals, and commands already in effect."""
        return [each for each in self.reached if not isinstance(each.decided.decision, Proposed)]


def pair(decided: Sequence[Decided], outcomes: Sequence[AppendOutcome], head: Head) -> RoundResult:
    """Walk the decisions in order with the outcomes of those that proposed a commit."""
    result = RoundResult()
    remaining = iter(outcomes)
    for each in decided:
        outcome = next(remaining, NotTried()) if isinstance(each.decision, Proposed) else None
        if result.failed or not (outcome is None or isinstance(outcome, Appended)):
            result.failed.append((each.decision.request, outcome))
            continue
        if isinstance(outcome, Appended) and isinstance(each.decision, Proposed):
            head = Head(each.state, each.version, outcome.position, each.decision.commit.commit_id)
        result.reached.append(Reached(each, head))
    return result
