"""How many requests one caller may send: as a table, and over a socket."""

from collections.abc import Sequence

import httpx
import pytest

from entrypoints.serving.errors import TooManyRequests
from entrypoints.serving.rate_limit import RateLimiter, network_of
from identities import BAD_TOKENS, access_control, token
from unit.entrypoints.http.fakes import POST, FakeClock, Scripted, done, services
from unit.entrypoints.http.test_server import served

LIKE = f"/api/v1/posts/{POST}/likes"


def limiter(per_second: float, burst: int, clock: FakeClock) -> RateLimiter:
    return RateLimiter(per_second, burst, clock.monotonic)


def waits(limiter: RateLimiter, clock: FakeClock, times: Sequence[float], caller: str = "ann") -> list[int]:
    """For a request at each time, how long it has to wait; 0: it is served."""
    found = []
    for time in times:
        clock.seconds = time
        try:
            limiter.take(caller)
            found.append(0)
        except TooManyRequests as error:
            found.append(error.retry_after)
    return found


@pytest.mark.parametrize(
    ("per_second", "burst", "times", "expected"),
    [
        (0, 1, [0, 0, 0, 0], [0, 0, 0, 0]),
        (1, 1, [0, 0, 0.5, 1, 1, 2.5, 3.4, 3.5], [0, 1, 1, 0, 1, 0, 1, 0]),
        (1, 3, [0, 0, 0, 0, 1, 1, 9, 9, 9, 9], [0, 0, 0, 1, 0, 1, 0, 0, 0, 1]),
        (10, 2, [0, 0, 0, 0.1, 0.1], [0, 0, 1, 0, 1]),
        (0.1, 2, [0, 0, 0, 3, 10, 10], [0, 0, 10, 7, 0, 10]),
    ],
)
def test_a_bucket_is_refilled_at_the_rate_and_holds_a_burst(
    per_second: float, burst: int, times: list[float], expected: list[int]
) -> None:
    clock = FakeClock()
    assert waits(limiter(per_second, burst, clock), clock, times) == expected


def test_refused_requests_cost_nothing() -> None:
    """A caller who never stops is served at the rate all the same."""
    clock = FakeClock()
    told = waits(limiter(1, 1, clock), clock, [number / 10 for number in range(101)])
    assert told.count(0) in (10, 11)


def test_callers_do_not_share_a_bucket() -> None:
    clock = FakeClock()
    bucket = limiter(1, 1, clock)
    assert waits(bucket, clock, [0, 0], "ann") == [0, 1]
    assert waits(bucket, clock, [0, 0], "ben") == [0, 1]


def test_memory_is_bounded_and_the_last_callers_are_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("entrypoints.serving.rate_limit._MOST_CALLERS", 100)
    clock = FakeClock()
    bucket = limiter(1, 1, clock)
    for number in range(1_000):
        assert waits(bucket, clock, [0], f"caller {number}") == [0]
    assert len(bucket._full_at) == 100
    assert [waits(bucket, clock, [0], f"caller {number}") for number in (0, 950, 999)] == [[0], [1], [1]]


@pytest.mark.parametrize(
    ("host", "caller"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("2001:db8:1:2:aaaa::7", "2001:db8:1:2::/64"),
        ("2001:db8:1:2::8", "2001:db8:1:2::/64"),
        ("2001:db8:1:3::8", "2001:db8:1:3::/64"),
        ("", ""),
    ],
)
def test_a_household_is_one_caller(host: str, caller: str) -> None:
    assert network_of(host) == caller


async def test_who_sends_too_many_requests_gets_429_and_when_to_come_back() -> None:
    scripted, clock = Scripted(done()), FakeClock()
    given = services(commands=scripted.commands(), rate_limiter=limiter(0.5, 3, clock))
    async with served(given) as (address, _), httpx.AsyncClient(base_url=address) as client:
        answers = [await client.post(LIKE) for _ in range(5)]
        assert [answer.status_code for answer in answers] == [200, 200, 200, 429, 429]
        assert len(scripted.handed) == 3
        refused = answers[-1]
        assert (refused.json()["code"], refused.headers["retry-after"]) == ("too-many-requests", "2")
        assert "http.requests_per_second" in refused.json()["detail"]
        assert (await client.get("/nowhere")).status_code == 429
        for path in ("/health/live", "/health/ready", "/metrics"):
            assert [(await client.get(path)).status_code for _ in range(10)] == [200] * 10
        clock.seconds += 2
        assert (await client.post(LIKE)).status_code == 200


async def test_users_are_counted_by_name_and_all_others_by_address() -> None:
    """A request with an invalid token counts, too."""
    scripted, clock = Scripted(done()), FakeClock()
    given = services(
        commands=scripted.commands(), rate_limiter=limiter(1, 2, clock), access=access_control(anonymous_reads=False)
    )
    ann, ben = ({"Authorization": f"Bearer {token(name)}"} for name in ("ann", "ben"))
    invalid = {"Authorization": f"Bearer {BAD_TOKENS['key']}"}
    async with served(given) as (address, _), httpx.AsyncClient(base_url=address) as client:
        for headers in (ann, ben):
            liked = [await client.post(LIKE, headers=headers, json={"username": None}) for _ in range(3)]
            assert [answer.status_code == 429 for answer in liked] == [False, False, True]
        assert [(await client.post(LIKE, headers=invalid)).status_code for _ in range(3)] == [401, 401, 429]
        assert (await client.post(LIKE)).status_code == 429
        clock.seconds += 1
        assert (await client.post(LIKE, headers=ann, json={"username": None})).status_code != 429


async def test_without_the_setting_any_number_is_served() -> None:
    scripted = Scripted(done())
    async with (
        served(services(commands=scripted.commands())) as (address, _),
        httpx.AsyncClient(base_url=address) as client,
    ):
        answers = [await client.post(LIKE) for _ in range(150)]
    assert {answer.status_code for answer in answers} == {200}
