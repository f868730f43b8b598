"""The log's page, its filters and its live part."""

import asyncio
import re
from urllib.parse import quote

import pytest

from application.envelopes import Commit, DescribedEvent, StoredEvent
from application.query_side.log import CommitFilter, CommitsPage, ListCommits, ListNewCommits, LoggedCommit, NewCommits
from unit.entrypoints.http.fakes import NOW, POST, Scripted
from unit.entrypoints.web.conftest import browser_of

HOSTILE = """</pre><script>alert("1")</script> " onmouseover='x' {{ 7 * 7 }} \u2028"""
COMMIT = "00000000-0000-7000-8000-0000000000aa"


def logged(position: int = 7, actor: str | None = "Ann", unreadable: str | None = None, **data: str) -> LoggedCommit:
    return LoggedCommit(
        commit=Commit(
            position=position,
            stream_id=POST,
            version=3,
            commit_id=COMMIT,
            recorded_at=NOW,
            metadata={"actor": actor, "correlationId": f"corr-{actor}"} if actor else {},
            events=(StoredEvent("PostLiked", 1, {}),),
        ),
        events=[
            DescribedEvent(
                version=3,
                type="PostLiked",
                schema_version=2,
                stored_type="PostLiked",
                stored_schema_version=1,
                data=data or {"username": actor},
            )
        ],
        unreadable=unreadable,
    )


def page_of(
    *commits: LoggedCommit, searched_from: int = 8, searched_to: int = 1, older: int | None = None
) -> CommitsPage:
    return CommitsPage(commits=commits, searched_from=searched_from, searched_to=searched_to, older=older)


async def shown(answer: CommitsPage, path: str = "/log") -> tuple[str, Scripted]:
    world = Scripted(answer=answer)
    async with browser_of(world) as client:
        answered = await client.get(path)
        assert answered.status_code == 200
        return answered.text, world


async def test_a_commit_is_shown_with_all_its_data():
    html, _ = await shown(page_of(logged()))
    for part in (
        'href="/commands/00000000-0000-7000-8000-0000000000aa"',
        f'href="/posts/{POST}?version=3"',
        "version 3, schema version 2, stored as PostLiked 1",
        "23 Nov 2026, 15:46:58.123 UTC",
        "corr-Ann",
        "&#34;username&#34;: &#34;Ann&#34;",
    ):
        assert part in html


async def test_an_unreadable_commit_shows_the_reason():
    html, _ = await shown(page_of(logged(unreadable="A newer version wrote <this>.")))
    assert "can’t be read" in html
    assert "A newer version wrote &lt;this&gt;." in html


async def test_user_text_is_escaped():
    html, _ = await shown(page_of(logged(actor=HOSTILE, unreadable=HOSTILE, message=HOSTILE)))
    inside = html[html.index('id="commits"') :]
    assert "<script" not in inside
    assert not re.search(r"<[^>]*\sonmouseover", inside)
    assert "{{ 7 * 7 }}" in inside


async def test_the_filter_is_applied_and_kept_in_every_address():
    html, world = await shown(
        page_of(logged(), older=3, searched_to=3), f"/log?type=PostLiked&who={quote('Ann & Co')}&post={POST.upper()}"
    )
    wanted = CommitFilter(event_type="PostLiked", actor="Ann & Co", post_id=POST)
    assert world.last == ListCommits(wanted=wanted, limit=50, before=None)
    assert "<option selected>PostLiked</option>" in html
    assert f"/log?type=PostLiked&amp;who=Ann+%26+Co&amp;post={POST.upper()}&amp;before=3" in html
    assert "/log/stream?type=PostLiked&amp;who=Ann+%26+Co" in html


async def test_a_search_step_without_a_match_says_how_far_it_searched():
    html, world = await shown(
        page_of(searched_from=90_001, searched_to=40_001, older=40_001), "/log?who=Ann&before=90001"
    )
    assert world.last.before == 90_001
    assert "Searched positions 90,000 down to 40,001: 0 matching commits." in html
    assert "Search further back" in html
    assert "data-live" not in html


async def test_the_end_of_a_search_says_that_nothing_matches():
    html, _ = await shown(page_of(), "/log?who=Nobody")
    assert "No matching commit" in html


async def test_an_invalid_post_id_is_not_searched_for():
    html, world = await shown(page_of(), "/log?post=%3Cb%3E")
    assert world.handed == []
    assert "“&lt;b&gt;” is not a post id" in html


@pytest.mark.parametrize("path", ["/log?before=x", "/log?before=0", "/log/stream?after=-1"])
async def test_an_invalid_position_is_refused(path: str):
    async with browser_of(Scripted(answer=page_of())) as client:
        assert (await client.get(path)).status_code == 400


async def test_new_commits_carry_the_position_to_continue_from():
    news = [
        NewCommits(commits=[logged(position=8)], position=9, skipped=(2, 7)),
        NewCommits(commits=[], position=9, skipped=None),
    ]
    stopping = asyncio.Event()

    def answer(_: ListNewCommits) -> NewCommits:
        if len(news) == 1:
            stopping.set()
        return news.pop(0)

    world = Scripted(answer=answer)
    async with browser_of(world, stopping=stopping) as client:
        received = (await client.get("/log/stream?after=1&who=Ann")).text
    assert 'data-live-next="/log/stream?who=Ann&amp;after=8"' in received
    assert "6 commits arrived" in received
    assert [query.after for query in world.handed] == [1, 9]
