"""What every relay state must do. An adapter adopts it with a subclass named `Test…` and the fixture `relay`, which
yields the opened adapter on a fresh store.
"""

import asyncio
import time

from application.ports.relay_state import Lease, RelayState, RelayStatus
from contracts.waiting import eventually

LONG = 60.0
"""Seconds that no test lasts."""

SHORT = 0.05
"""Seconds after which a lease has ended; waited for with a deadline, never slept through."""


async def granted(relay: RelayState, owner: str, ttl_seconds: float = LONG) -> Lease:
    lease = await relay.acquire(owner, ttl_seconds)
    assert lease is not None
    return lease


class RelayStateContract:
    async def test_before_the_first_lease_there_is_no_state(self, relay: RelayState) -> None:
        assert await relay.state() is None

    async def test_the_first_lease_begins_at_position_zero(self, relay: RelayState) -> None:
        lease = await granted(relay, "one")
        assert (lease.owner, lease.position, lease.ttl_seconds) == ("one", 0, LONG)
        assert lease.token >= 1
        assert await relay.state() == RelayStatus(owner="one", token=lease.token, position=0)

    async def test_while_a_lease_stands_nobody_else_gets_one(self, relay: RelayState) -> None:
        lease = await granted(relay, "one")
        assert await relay.acquire("two", LONG) is None
        assert await relay.state() == RelayStatus(owner="one", token=lease.token, position=0)
        assert await relay.advance(lease, 5)

    async def test_of_many_that_ask_at_once_exactly_one_gets_the_lease(self, relay: RelayState) -> None:
        answers = await asyncio.gather(*(relay.acquire(f"relay {number}", LONG) for number in range(8)))
        assert len([lease for lease in answers if lease is not None]) == 1

    async def test_a_lease_that_ran_out_is_taken_over_with_a_higher_token(self, relay: RelayState) -> None:
        old = await granted(relay, "one", SHORT)
        new = await eventually(lambda: relay.acquire("two", LONG))
        assert new.owner == "two"
        assert new.token > old.token

    async def test_a_lease_begins_at_the_checkpoint_that_the_last_one_reached(self, relay: RelayState) -> None:
        old = await granted(relay, "one", SHORT)
        assert await relay.advance(old, 41)
        new = await eventually(lambda: relay.acquire("two", LONG))
        assert new.position == 41

    async def test_a_fenced_relay_moves_nothing(self, relay: RelayState) -> None:
        old = await granted(relay, "one", SHORT)
        assert await relay.advance(old, 5)
        new = await eventually(lambda: relay.acquire("two", LONG))
        assert not await relay.advance(old, 99)
        assert not await relay.renew(old)
        assert await relay.state() == RelayStatus(owner="two", token=new.token, position=5)

    async def test_a_checkpoint_is_set_back_to_where_the_log_ends_and_by_the_last_lease_only(
        self, relay: RelayState
    ) -> None:
        old = await granted(relay, "one", SHORT)
        assert await relay.advance(old, 41)
        new = await eventually(lambda: relay.acquire("two", LONG))
        assert not await relay.set_back(old, 5)
        assert await relay.set_back(new, 50)
        assert await relay.state() == RelayStatus(owner="two", token=new.token, position=41)
        assert await relay.set_back(new, 7)
        assert await relay.advance(new, 9)
        assert await relay.state() == RelayStatus(owner="two", token=new.token, position=9)

    async def test_a_fenced_relay_can_not_release_another_s_lease(self, relay: RelayState) -> None:
        old = await granted(relay, "one", SHORT)
        new = await eventually(lambda: relay.acquire("two", LONG))
        await relay.release(old)
        assert await relay.acquire("three", LONG) is None
        assert await relay.advance(new, 1)

    async def test_an_owner_that_asks_again_gets_a_new_token_that_fences_its_former_self(
        self, relay: RelayState
    ) -> None:
        former = await granted(relay, "one")
        lease = await granted(relay, "one")
        assert lease.token > former.token
        assert not await relay.advance(former, 7)
        assert await relay.advance(lease, 7)

    async def test_a_renewed_lease_stands_longer(self, relay: RelayState) -> None:
        lease = await granted(relay, "one", SHORT)
        renewed = Lease(owner="one", token=lease.token, position=lease.position, ttl_seconds=LONG)
        assert await relay.renew(renewed)
        unrenewed_end = time.monotonic() + 2 * SHORT
        while time.monotonic() < unrenewed_end:
            assert await relay.acquire("two", LONG) is None

    async def test_a_lease_that_ran_out_and_that_nobody_took_still_works(self, relay: RelayState) -> None:
        lease = await granted(relay, "one", SHORT)
        await eventually(lambda: _nobody_holds(relay))
        assert await relay.advance(lease, 3)
        assert await relay.renew(lease)

    async def test_a_released_lease_is_free_at_once_and_works_no_more(self, relay: RelayState) -> None:
        lease = await granted(relay, "one")
        await relay.advance(lease, 8)
        await relay.release(lease)
        assert await relay.state() == RelayStatus(owner=None, token=lease.token, position=8)
        assert not await relay.renew(lease)
        assert not await relay.advance(lease, 9)
        new = await granted(relay, "two")
        assert new.position == 8
        assert new.token > lease.token

    async def test_the_checkpoint_never_goes_back(self, relay: RelayState) -> None:
        lease = await granted(relay, "one")
        assert await relay.advance(lease, 10)
        assert await relay.advance(lease, 4)
        assert await relay.state() == RelayStatus(owner="one", token=lease.token, position=10)

    async def test_tokens_grow_for_ever(self, relay: RelayState) -> None:
        tokens: list[int] = []
        for owner in ["one", "two", "one", "three"]:
            lease = await granted(relay, owner)
            tokens.append(lease.token)
            await relay.release(lease)
        assert tokens == sorted(set(tokens))


async def _nobody_holds(relay: RelayState) -> bool:
    status = await relay.state()
    assert status is not None
    return status.owner is None
