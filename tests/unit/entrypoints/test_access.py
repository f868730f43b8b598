"""Who may use which route: every route of the API and of the pages, as every kind of caller.

A route that is served and has no row here fails a test, and so does a row whose route is not served.
"""

import asyncio
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from uuid import uuid4

import pytest
from litestar import Litestar
from litestar.routes import HTTPRoute

from application.mediator import CommandContext, CommandDispatcher
from domain.commands import AddComment, CreatePost
from domain.ids import CommentId, PostId
from domain.limits import Limits
from entrypoints.web.services import Operations
from identities import BAD_TOKENS, COOKIE, ROLES, access_control, token
from unit.entrypoints.http.fakes import NOW, FakeRebuilds, PostService
from unit.entrypoints.web.conftest import OWN_PAGE, Client, browser_of

CALLERS = ("nobody", *BAD_TOKENS, *ROLES)
TOKENS: Mapping[str, str] = BAD_TOKENS | {name: token(name) for name in ROLES}

# rita reads, olaf is the author of another post, ann the author of this one and of its comment, mona a moderator, otto
# an operator, iris an importer. A bad token is refused even where nobody needs one.
TABLE = """
                                                 nobody expired audience key none confusion rita olaf ann mona otto iris
GET    /health/live                              200    200     200      200 200  200       200  200  200 200  200  200
GET    /health/ready                             503    503     503      503 503  503       503  503  503 503  503  503
GET    /metrics                                  200    200     200      200 200  200       200  200  200 200  200  200
GET    /docs                                     200    200     200      200 200  200       200  200  200 200  200  200
GET    /docs/try                                 200    200     200      200 200  200       200  200  200 200  200  200
GET    /docs/assets/{name}                       404    404     404      404 404  404       404  404  404 404  404  404
GET    /openapi.json                             200    200     200      200 200  200       200  200  200 200  200  200
GET    /problems                                 200    200     200      200 200  200       200  200  200 200  200  200
GET    /problems/{code}                          404    404     404      404 404  404       404  404  404 404  404  404
GET    /static/{name}                            404    404     404      404 404  404       404  404  404 404  404  404

GET    /api/v1/posts                             200    401     401      401 401  401       200  200  200 200  200  200
GET    /api/v1/posts/{id}                        200    401     401      401 401  401       200  200  200 200  200  200
GET    /api/v1/posts/{id}/comments               200    401     401      401 401  401       200  200  200 200  200  200
GET    /api/v1/posts/{id}/events                 200    401     401      401 401  401       200  200  200 200  200  200

POST   /api/v1/posts                             401    401     401      401 401  401       201  201  201 201  201  201
PUT    /api/v1/posts/{id}/message                401    401     401      401 401  401       403  403  200 403  403  403
DELETE /api/v1/posts/{id}                        401    401     401      401 401  401       403  403  200 200  403  403
POST   /api/v1/posts/{id}/likes                  401    401     401      401 401  401       200  200  200 200  200  200
DELETE /api/v1/posts/{id}/likes/{username}       401    401     401      401 401  401       403  403  200 403  403  200
POST   /api/v1/posts/{id}/comments               401    401     401      401 401  401       201  201  201 201  201  201
PUT    /api/v1/posts/{id}/comments/{comment_id}  401    401     401      401 401  401       403  403  200 403  403  403
DELETE /api/v1/posts/{id}/comments/{comment_id}  401    401     401      401 401  401       403  403  200 200  403  403

GET    /api/v1/read-db                           401    401     401      401 401  401       403  403  403 403  200  403
GET    /api/v1/read-db/rebuilds                  401    401     401      401 401  401       403  403  403 403  200  403
POST   /api/v1/read-db/rebuilds                  401    401     401      401 401  401       403  403  403 403  202  403
GET    /api/v1/read-db/rebuilds/{rebuild_id}     401    401     401      401 401  401       403  403  403 403  404  403
DELETE /api/v1/read-db/rebuilds/{rebuild_id}     401    401     401      401 401  401       403  403  403 403  404  403

GET    /                                         200    401     401      401 401  401       200  200  200 200  200  200
GET    /feed/news                                200    401     401      401 401  401       200  200  200 200  200  200
GET    /posts                                    303    401     401      401 401  401       303  303  303 303  303  303
GET    /posts/{id}                               200    401     401      401 401  401       200  200  200 200  200  200
GET    /posts/{id}/edit                          200    401     401      401 401  401       200  200  200 200  200  200
GET    /commands                                 303    401     401      401 401  401       303  303  303 303  303  303
GET    /commands/{id}                            404    401     401      401 401  401       404  404  404 404  404  404
GET    /commands/{id}/stream                     200    401     401      401 401  401       200  200  200 200  200  200

POST   /posts                                    401    401     401      401 401  401       303  303  303 303  303  303
POST   /posts/{id}/message                       401    401     401      401 401  401       403  403  303 403  403  403
POST   /posts/{id}/remove                        401    401     401      401 401  401       403  403  303 303  403  403
POST   /posts/{id}/likes                         401    401     401      401 401  401       303  303  303 303  303  303
POST   /posts/{id}/unlike                        401    401     401      401 401  401       303  303  303 303  303  303
POST   /posts/{id}/comments                      401    401     401      401 401  401       303  303  303 303  303  303
POST   /posts/{id}/comments/{comment_id}         401    401     401      401 401  401       403  403  303 403  403  403
POST   /posts/{id}/comments/{comment_id}/remove  401    401     401      401 401  401       403  403  303 303  403  403
POST   /story                                    401    401     401      401 401  401       403  403  403 403  403  303

GET    /log                                      401    401     401      401 401  401       403  403  403 403  200  403
GET    /log/stream                               401    401     401      401 401  401       403  403  403 403  200  403
GET    /operations                               401    401     401      401 401  401       403  403  403 403  200  403
GET    /operations/stream                        401    401     401      401 401  401       403  403  403 403  200  403
POST   /operations/rebuild                       401    401     401      401 401  401       403  403  403 403  303  403
POST   /operations/rebuild/cancel                401    401     401      401 401  401       403  403  403 403  404  403
POST   /operations/audit                         401    401     401      401 401  401       403  403  403 403  303  403
POST   /operations/audit/cancel                  401    401     401      401 401  401       403  403  403 403  303  403
POST   /operations/parked/retry                  401    401     401      401 401  401       403  403  403 403  303  403
"""


@dataclass(frozen=True, slots=True)
class Row:
    method: str
    path: str
    statuses: Mapping[str, int]

    @property
    def is_api(self) -> bool:
        return self.path.startswith("/api/")

    @property
    def is_open(self) -> bool:
        return self.statuses["expired"] != 401

    @property
    def is_read(self) -> bool:
        return not self.is_open and self.statuses["nobody"] != 401


def rows() -> list[Row]:
    head, *lines = (line.split() for line in TABLE.splitlines() if line)
    assert tuple(head) == CALLERS
    return [Row(line[0], line[1], dict(zip(head, map(int, line[2:]), strict=True))) for line in lines]


ROWS = rows()

BODIES = {
    ("POST", "/api/v1/posts"): {"message": "Hello"},
    ("PUT", "/api/v1/posts/{id}/message"): {"message": "Edited"},
    ("POST", "/api/v1/posts/{id}/comments"): {"comment": "Well said"},
    ("PUT", "/api/v1/posts/{id}/comments/{comment_id}"): {"comment": "Edited"},
}


class World:
    """A service in memory whose streams end at once, because it is stopping."""

    def __init__(self) -> None:
        self.service = PostService(Limits(name=50, message=1_000, comment=500))
        self.rebuilds = FakeRebuilds(waits=False)
        container = self.rebuilds.system.container
        self.operations: Operations = container.operations(rebuilds=self.rebuilds.rebuilds)
        self.queries = self.service.queries
        self.stopping = asyncio.Event()
        self.stopping.set()

    def commands(self) -> CommandDispatcher:
        return self.service.commands()

    async def post_by_ann(self) -> tuple[PostId, CommentId]:
        """A post that ann wrote, commented and liked."""
        post_id, comment_id = PostId(str(uuid4())), CommentId(str(uuid4()))
        created = CreatePost(post_id=post_id, author="ann", message="Hello", date_posted=NOW)
        commented = AddComment(post_id=post_id, comment_id=comment_id, comment="Hm", username="ann", comment_date=NOW)
        for command in (created, commented):
            await self.commands().dispatch(command, CommandContext())
        return post_id, comment_id

    async def send(self, client: Client, row: Row, headers: Mapping[str, str], **form: str):
        post_id, comment_id = await self.post_by_ann()
        path = row.path.format(
            id=post_id, comment_id=comment_id, username="ann", name="none", code="none", rebuild_id="none"
        )
        if row.method != "POST" or row.is_api:
            return await client.request(row.method, path, json=BODIES.get((row.method, row.path)), headers=headers)
        fields = {"key": uuid4().hex, "text": "New"} | form
        return await client.post(path, data=fields, headers=OWN_PAGE | headers)


@pytest.fixture(scope="module")
async def world() -> AsyncIterator[World]:
    world = World()
    await world.service.project()
    async with world.rebuilds.processes:
        yield world
    await world.operations.audits.cancel()
    await world.operations.diagnosis.stop()


@pytest.fixture(scope="module")
async def client(world: World) -> AsyncIterator[Client]:
    async with browser_of(
        world,
        operations=world.operations,
        rebuilds=world.rebuilds.rebuilds,
        stopping=world.stopping,
        access=access_control(),
    ) as client:
        yield client


def headers_of(name: str) -> dict[str, str]:
    return {} if name == "nobody" else {"Authorization": f"Bearer {TOKENS[name]}"}


def cookie_of(name: str) -> dict[str, str]:
    return {} if name == "nobody" else {"Cookie": f"other=1; {COOKIE}={TOKENS[name]}"}


def served(client: Client) -> set[tuple[str, str]]:
    app = client._transport.app
    assert isinstance(app, Litestar)
    return {
        (method, route.path_format)
        for route in app.routes
        if isinstance(route, HTTPRoute)
        for method in route.methods - {"HEAD", "OPTIONS"}
    }


async def test_every_route_has_a_row(client: Client) -> None:
    assert served(client) == {(row.method, row.path) for row in ROWS}


@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row.method} {row.path}")
async def test_each_caller_gets_the_status_of_the_table(world: World, client: Client, row: Row) -> None:
    found = {name: await world.send(client, row, headers_of(name)) for name in CALLERS}
    assert {name: answer.status_code for name, answer in found.items()} == row.statuses
    for name, answer in found.items():
        if answer.status_code == 401:
            error = ', error="invalid_token"' if name in BAD_TOKENS else ""
            assert answer.headers["www-authenticate"] == f'Bearer realm="postlog"{error}'
        if row.is_api and answer.status_code == 401:
            assert answer.json()["code"] == ("invalid-token" if name in BAD_TOKENS else "not-authenticated")
    for answer in found.values():
        assert not any(part in answer.text for part in TOKENS.values())


@pytest.mark.parametrize("row", [row for row in ROWS if not row.is_api], ids=lambda row: f"{row.method} {row.path}")
async def test_pages_take_the_token_from_the_cookie(world: World, client: Client, row: Row) -> None:
    found = {name: (await world.send(client, row, cookie_of(name))).status_code for name in CALLERS}
    assert found == row.statuses


@pytest.mark.parametrize("row", [row for row in ROWS if row.is_api], ids=lambda row: f"{row.method} {row.path}")
async def test_the_api_ignores_the_cookie(world: World, client: Client, row: Row) -> None:
    """Pages of other sites can make a browser send it."""
    found = {name: (await world.send(client, row, cookie_of(name))).status_code for name in CALLERS}
    assert set(found.values()) == {row.statuses["nobody"]}


async def test_without_anonymous_reads_every_query_needs_a_user(world: World) -> None:
    async with browser_of(
        world,
        operations=world.operations,
        rebuilds=world.rebuilds.rebuilds,
        stopping=world.stopping,
        access=access_control(anonymous_reads=False),
    ) as client:
        for row in ROWS:
            found = {name: (await world.send(client, row, headers_of(name))).status_code for name in ("nobody", "rita")}
            nobody = 401 if row.is_read else row.statuses["nobody"]
            assert found == {"nobody": nobody, "rita": row.statuses["rita"]}, row


NAMING = {
    ("POST", "/api/v1/posts"): {"message": "Hello", "author": "ann"},
    ("PUT", "/api/v1/posts/{id}/message"): {"message": "Edited", "username": "ann"},
    ("POST", "/api/v1/posts/{id}/likes"): {"username": "ann"},
    ("POST", "/api/v1/posts/{id}/comments"): {"comment": "Well said", "username": "ann"},
    ("PUT", "/api/v1/posts/{id}/comments/{comment_id}"): {"comment": "Edited", "username": "ann"},
    ("DELETE", "/api/v1/posts/{id}?username=ann"): None,
    ("DELETE", "/api/v1/posts/{id}/comments/{comment_id}?username=ann"): None,
    ("DELETE", "/api/v1/posts/{id}/likes/{username}"): None,
}


@pytest.mark.parametrize("method_and_path", NAMING, ids=" ".join)
async def test_only_an_importer_acts_in_the_name_of_another(
    world: World, client: Client, method_and_path: tuple[str, str]
) -> None:
    method, path = method_and_path
    for name in ROLES:
        post_id, comment_id = await world.post_by_ann()
        address = path.format(id=post_id, comment_id=comment_id, username="ann")
        answer = await client.request(method, address, json=NAMING[method_and_path], headers=headers_of(name))
        may = name in ("ann", "iris") or (name == "mona" and "?" in path)  # a moderator removes in their own name
        assert answer.status_code in ((200, 201) if may else (403,)), name
        if not may:
            assert answer.json()["code"] == "not-the-caller"
            [error] = answer.json()["errors"]
            assert error["path"] in ("author", "username")


@pytest.mark.parametrize(
    "row", [row for row in ROWS if row.path.startswith("/posts") and row.method == "POST"], ids=lambda row: row.path
)
async def test_a_form_in_the_name_of_another_is_refused(world: World, client: Client, row: Row) -> None:
    for name in ("rita", "olaf", "mona", "otto"):
        answer = await world.send(client, row, cookie_of(name), name="ann")
        is_own_like = row.path.endswith("/likes")  # which has no field for a name
        assert answer.status_code == (303 if is_own_like else 403), name


async def test_a_name_in_another_spelling_is_the_same_user(world: World, client: Client) -> None:
    answer = await client.post("/api/v1/posts", json={"message": "Hi", "author": "ANN"}, headers=headers_of("ann"))
    assert answer.status_code == 201


@pytest.mark.parametrize("name", ROLES)
async def test_only_an_importer_likes_without_a_name(world: World, client: Client, name: str) -> None:
    post_id, _ = await world.post_by_ann()
    by_api = await client.post(f"/api/v1/posts/{post_id}/likes", json={"username": None}, headers=headers_of(name))
    form = {"key": uuid4().hex, "anonymous": "yes"}
    by_page = await client.post(f"/posts/{post_id}/likes", data=form, headers=OWN_PAGE | cookie_of(name))
    assert (by_api.status_code, by_page.status_code) == ((200, 303) if name == "iris" else (403, 403))


async def test_a_moderator_who_removes_is_named_by_the_event_and_its_metadata(world: World, client: Client) -> None:
    post_id, comment_id = await world.post_by_ann()
    address = f"/api/v1/posts/{post_id}"
    await client.delete(f"{address}/comments/{comment_id}", headers=headers_of("mona"))
    await client.delete(f"{address}?username=ann", headers=headers_of("mona"))
    events = (await client.get(f"{address}/events")).json()["events"]
    removals = [(event["type"], event["actor"], event["data"]["username"]) for event in events[2:]]
    assert removals == [("CommentRemoved", "mona", "mona"), ("PostRemoved", "mona", "mona")]


async def test_what_an_importer_does_names_both(world: World, client: Client) -> None:
    post_id, _ = await world.post_by_ann()
    address = f"/api/v1/posts/{post_id}"
    await client.post(f"{address}/likes", json={"username": "ben"}, headers=headers_of("iris"))
    [*_, event] = (await client.get(f"{address}/events")).json()["events"]
    assert (event["type"], event["actor"], event["data"]) == ("PostLiked", "iris", {"username": "ben"})


async def test_a_key_of_another_caller_gives_nobody_their_response(world: World, client: Client) -> None:
    """Neither with the same body, which then means another author, nor in the other's name."""
    key = {"Idempotency-Key": uuid4().hex}
    body = {"message": "Hello"}
    first = await client.post("/api/v1/posts", json=body, headers=headers_of("ann") | key)
    again = await client.post("/api/v1/posts", json=body, headers=headers_of("ann") | key)
    named = await client.post("/api/v1/posts", json=body | {"author": "ann"}, headers=headers_of("ann") | key)
    assert first.json() == again.json() == named.json()
    by_another = await client.post("/api/v1/posts", json=body, headers=headers_of("olaf") | key)
    assert by_another.json()["code"] == "idempotency-key-reused"
    in_her_name = await client.post("/api/v1/posts", json=body | {"author": "ann"}, headers=headers_of("olaf") | key)
    assert in_her_name.json()["code"] == "not-the-caller"
