"""`/`: the newest posts, page by page, and the form that creates one."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import urlencode

from litestar.types import ASGIApp

from application.ports.post_views import PostFilter, PostKey
from application.query_side.posts import ListPosts, PostsPage
from application.query_side.status import GetReadDbStatus
from application.rows import PostRow
from domain.commands import CreatePost
from domain.ids import PostId
from entrypoints.serving.formats import decode_cursor, encode_cursor
from entrypoints.web.form_commands import author_of, send
from entrypoints.web.page_request import PageRequest, Route, see_other
from entrypoints.web.services import WebServices

_ROWS = 20
_COMMENTS = {"with": True, "without": False}
_MOST_LIKES = 2**31 - 1


@dataclass(frozen=True, slots=True)
class FeedFilter:
    """The filter, as the form writes it into the address."""

    author: str
    comments: str
    likes: int

    @property
    def given(self) -> dict[str, str]:
        values = {"author": self.author, "comments": self.comments, "likes": str(self.likes) if self.likes else ""}
        return {name: value for name, value in values.items() if value}

    @property
    def list_name(self) -> tuple[object, ...]:
        """Identifies the filtered list: a cursor is valid for its own list only."""
        return ("posts", self.author, self.comments, self.likes)

    def address(self, more: Mapping[str, str] = {}, path: str = "/") -> str:
        query = urlencode(self.given | dict(more))
        return f"{path}?{query}" if query else path


@dataclass(frozen=True, slots=True)
class Feed:
    services: WebServices

    def routes(self) -> list[Route]:
        return [
            Route("/", show=self.show),
            Route("/feed/news", show=self.news),
            Route("/posts", show=self.moved, submit=self.create),
        ]

    async def show(self, request: PageRequest) -> ASGIApp:
        wanted = _filter_of(request)
        cursor = request.query.get("cursor")
        page = await self._posts(wanted, after=_key_of(cursor, wanted) if cursor else None, position=request.position)
        older = None
        if page.next:
            end = encode_cursor(wanted.list_name, page.next.date_posted, page.next.post_id)
            older = wanted.address({"cursor": end})
        return await request.page(
            "feed.html",
            posts=page.posts,
            older=older,
            wanted=wanted,
            is_first=cursor is None,
            ask_for_news=_news_address(wanted, page.posts),
            parked=page.parked,
            log_is_empty=not page.posts and await self._log_is_empty(),
        )

    async def news(self, request: PageRequest) -> ASGIApp:
        """A link with the number of posts that are newer than the first one of the page; empty when there are none."""
        wanted = _filter_of(request)
        cursor = request.query.get("since")
        since = _key_of(cursor, wanted) if cursor else None
        page = await self._posts(wanted)
        newer = [post for post in page.posts if since is None or _is_newer(post, since)]
        are_more = len(newer) == len(page.posts) and page.next is not None
        return await request.page("feed.news.html", newer=len(newer), are_more=are_more, address=wanted.address())

    async def _posts(self, wanted: FeedFilter, after: PostKey | None = None, position: int | None = None) -> PostsPage:
        return await self.services.queries.ask(
            ListPosts(
                wanted=PostFilter(
                    author=wanted.author or None,
                    has_comments=_COMMENTS.get(wanted.comments),
                    min_likes=wanted.likes or None,
                ),
                limit=_ROWS,
                after=after,
                min_position=position,
            )
        )

    async def _log_is_empty(self) -> bool:
        status = await self.services.queries.ask(GetReadDbStatus())
        return status.position + status.lag == 0

    async def moved(self, _: PageRequest) -> ASGIApp:
        """For people who know the path of the API."""
        return see_other("/")

    async def create(self, request: PageRequest) -> ASGIApp:
        form = await request.form()
        author, message = author_of(request, form), form.text("text")
        command = CreatePost(
            post_id=PostId(self.services.ids.new()),
            author=author,
            message=message,
            date_posted=self.services.clock.now(),
        )
        result = await send(request, command, form, {"author": author, "message": message})
        return see_other(f"/?position={result.position}", request.remembering(author))


def _filter_of(request: PageRequest) -> FeedFilter:
    """Raises `MalformedRequest`."""
    author = request.query.get("author", "").strip()
    comments = request.query.get("comments", "")
    return FeedFilter(
        author="" if "\x00" in author else author,
        comments=comments if comments in _COMMENTS else "",
        likes=min(request.number("likes") or 0, _MOST_LIKES),
    )


def _key_of(cursor: str, wanted: FeedFilter) -> PostKey:
    """Raises `MalformedRequest`."""
    date, row_id = decode_cursor(cursor, wanted.list_name)
    return PostKey(date, PostId(row_id))


def _is_newer(post: PostRow, than: PostKey) -> bool:
    return (post.date_posted, post.post_id) > (than.date_posted, than.post_id)


def _news_address(wanted: FeedFilter, posts: Sequence[PostRow]) -> str:
    since = {"since": encode_cursor(wanted.list_name, posts[0].date_posted, posts[0].post_id)} if posts else {}
    return wanted.address(since, "/feed/news")
