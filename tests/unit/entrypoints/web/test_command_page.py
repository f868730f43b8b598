"""The page of a command."""

import asyncio
import re
from datetime import timedelta

import pytest

from application.errors import CommitNotFound
from application.query_side.log import CommitsPage, ListCommits
from application.query_side.trace import CommandTrace, Source, Step, TraceCommand, TracedStep
from entrypoints.web.command_page import timeline_of
from unit.entrypoints.http.fakes import NOW, Scripted
from unit.entrypoints.web.conftest import browser_of
from unit.entrypoints.web.test_log import COMMIT, HOSTILE, logged


def step(
    step: Step, milliseconds: float | None, source: Source = Source.HERE, after: float | None = None
) -> TracedStep:
    moment = None if milliseconds is None else NOW + timedelta(milliseconds=milliseconds)
    before = None if after is None else NOW + timedelta(milliseconds=after)
    return TracedStep(step=step, taken=True, source=source, at=moment, after=before)


def ahead(step: Step) -> TracedStep:
    return TracedStep(step=step, taken=False, source=Source.UNKNOWN)


DONE = (
    step(Step.RECEIVED, 0.3),
    step(Step.DECIDED, 0, Source.LOG),
    step(Step.DURABLE, 2.3),
    step(Step.PROJECTED, 4.3),
    step(Step.VISIBLE, 4.3),
)


def trace(*steps: TracedStep, **changes) -> CommandTrace:
    given = {
        "commit_id": COMMIT,
        "logged": logged(),
        "steps": steps,
        "partition": 0,
        "generation": 3,
        "row_version": 3,
        "parked_at": None,
        "problems": (),
    }
    return CommandTrace(**(given | changes))


async def shown(answer: CommandTrace) -> str:
    async with browser_of(Scripted(answer=answer)) as client:
        answered = await client.get(f"/commands/{COMMIT}")
        assert answered.status_code == 200
        return answered.text


class TestTimes:
    """No duration is shown more precisely than it is known."""

    def test_times_that_this_process_recorded_are_exact(self):
        timeline = timeline_of(trace(*DONE))
        assert [each.passed for each in timeline.steps] == ["", "less than 1 ms", "2.3 ms", "2.0 ms", "0 ms"]
        assert timeline.duration == "4.0 ms"

    def test_times_that_were_observed_give_an_upper_bound(self):
        timeline = timeline_of(
            trace(
                step(Step.RECEIVED, None, Source.UNKNOWN),
                step(Step.DECIDED, 0, Source.LOG),
                step(Step.DURABLE, 900, Source.SEEN, after=-100),
                step(Step.PUBLISHED, None, Source.UNKNOWN),
                step(Step.PROJECTED, 1_900, Source.SEEN, after=900),
                step(Step.VISIBLE, 1_900, Source.SEEN, after=900),
            )
        )
        assert [each.passed for each in timeline.steps] == ["", "", "at most 900 ms", "", "at most 1.0 s", ""]
        assert timeline.duration == "at most 1.9 s"
        assert timeline.steps[2].known == "observed by this process at that time, and not yet at 15:46:58.023"
        assert timeline.steps[3].known == "done; this process does not know the time"

    def test_the_bars_divide_the_duration(self):
        bars = [(each.begin, each.length) for each in timeline_of(trace(*DONE)).steps]
        assert bars[:2] == [(0.0, 0.0), (0.0, 0.0)]
        assert bars[2] == (0.0, pytest.approx(50.0))
        assert bars[3] == (pytest.approx(50.0), pytest.approx(50.0))

    def test_a_command_that_is_not_done_has_no_duration(self):
        assert timeline_of(trace(*DONE[:3], ahead(Step.PROJECTED), ahead(Step.VISIBLE))).duration == ""


class TestPage:
    async def test_a_done_command_is_shown_without_further_updates(self):
        html = await shown(trace(*DONE))
        for part in ("<strong>Done.</strong>", "4.0 ms", "at position 7", "generation 3, its row now at version 3"):
            assert part in html
        assert "data-live=" not in html

    async def test_a_command_in_progress_is_updated_live(self):
        html = await shown(trace(*DONE[:3], ahead(Step.PROJECTED), ahead(Step.VISIBLE)))
        assert "Written to the log." in html
        assert f'data-live="/commands/{COMMIT}/stream"' in html
        assert "not yet" in html

    async def test_a_command_of_a_parked_post_says_since_when(self):
        html = await shown(trace(*DONE[:3], ahead(Step.PROJECTED), ahead(Step.VISIBLE), parked_at=5))
        assert re.search(r"its post is parked</strong> since position 5", html)

    async def test_with_a_bus_the_relay_is_a_step(self):
        html = await shown(trace(*DONE[:3], step(Step.PUBLISHED, 3.1), *DONE[3:]))
        assert "to the bus, by the relay" in html

    async def test_a_process_that_took_no_step_shows_the_positions_of_log_relay_and_rows(self):
        elsewhere = [
            TracedStep(step=each, taken=True, source=Source.UNKNOWN, reached=position)
            for each, position in ((Step.DURABLE, 1_300), (Step.PUBLISHED, 1_200), (Step.PROJECTED, 1_100))
        ]
        done = trace(
            TracedStep(step=Step.RECEIVED, taken=True, source=Source.UNKNOWN),
            step(Step.DECIDED, 0, Source.LOG),
            *elsewhere,
            TracedStep(step=Step.VISIBLE, taken=True, source=Source.UNKNOWN, reached=1_000),
        )
        async with browser_of(Scripted(answer=done), reading_only=True) as client:
            html = (await client.get(f"/commands/{COMMIT}")).text
        for part in (
            "Recorded in the log at <time",
            "known only to the processes that took them",
            "This process serves queries: other processes received the command, wrote it to the log, published it and",
            "the log ends at position 1,300",
            "the relay has published up to position 1,200",
            "the projector has projected up to position 1,100",
            "readers get the rows of position 1,000",
        ):
            assert part in html

    async def test_a_step_that_is_not_done_shows_the_position_of_its_process(self):
        behind = TracedStep(step=Step.PROJECTED, taken=False, source=Source.UNKNOWN, reached=6)
        html = await shown(trace(*DONE[:3], behind, ahead(Step.VISIBLE)))
        assert "not yet: the projector has projected up to position 6" in html

    async def test_user_text_is_escaped(self):
        html = await shown(trace(*DONE, logged=logged(actor=HOSTILE, message=HOSTILE), problems=[HOSTILE]))
        inside = html[html.index("<main") :]
        assert "<script" not in inside
        assert not re.search(r"<[^>]*\sonmouseover", inside)

    async def test_an_unknown_command_is_a_404_page(self):
        async with browser_of(Scripted(answer=CommitNotFound("The log has no commit <x>."))) as client:
            answer = await client.get(f"/commands/{COMMIT}")
            assert (answer.status_code, "The log has no commit &lt;x&gt;." in answer.text) == (404, True)

    async def test_an_invalid_id_is_refused(self):
        async with browser_of(Scripted()) as client:
            assert (await client.get("/commands/x")).status_code == 400

    async def test_a_command_is_found_by_its_position(self):
        page = CommitsPage(commits=[logged(position=7)], searched_from=8, searched_to=7, older=7)
        world = Scripted(answer=page)
        async with browser_of(world) as client:
            assert (await client.get("/commands?position=7")).headers["location"] == f"/commands/{COMMIT}"
            assert (await client.get("/commands?position=8")).status_code == 404
            assert (await client.get("/commands")).headers["location"] == "/log"
        assert isinstance(world.last, ListCommits)

    async def test_each_change_is_sent_once_and_the_last_one_ends_the_updates(self):
        stopping = asyncio.Event()
        answers = [trace(*DONE[:3], ahead(Step.PROJECTED), ahead(Step.VISIBLE))] * 2 + [trace(*DONE)] * 2

        def answer(_: TraceCommand) -> CommandTrace:
            if len(answers) == 1:
                stopping.set()
            return answers.pop(0)

        async with browser_of(Scripted(answer=answer), stopping=stopping) as client:
            received = (await client.get(f"/commands/{COMMIT}/stream")).text
        assert received.count('id="trace"') == 2
        assert received.count("data-live=") == 1
        assert received.index("data-live=") < received.index("<strong>Done.</strong>")


async def test_the_page_after_a_form_links_to_the_command_unless_nothing_was_written(browser):
    posted = await browser.post(
        "/posts", data={"key": "k", "text": "Hello", "name": "Ann"}, headers={"Sec-Fetch-Site": "same-origin"}
    )
    html = (await browser.get(posted.headers["location"])).text
    assert '<a href="/commands?position=1">See what happened</a>' in html
    assert "See what happened" not in (await browser.get("/?position=1&did=in-effect")).text
