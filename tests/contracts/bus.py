"""What every bus must do. An adapter adopts it with a subclass named `Test…` and the fixture `bus`."""

import asyncio
from collections.abc import Collection, Mapping, Sequence
from contextlib import AsyncExitStack

from adapters.wire.cloudevents import WireMessage
from application.envelopes import Commit, StoredEvent
from application.ports.bus import (
    BusMessage,
    CommitEntry,
    EventMessage,
    Publication,
    Subscription,
    UnreadableMessage,
    Watermark,
    WatermarkMessage,
)
from contracts.bus_handle import PARTITIONS, SOON, BusHandle, created, liked, post_id
from contracts.log_handle import RECORDED_AT
from contracts.waiting import eventually

LOG_ID = "5d7ee5a1-9c0f-4b57-8a39-6f1a6c1f4e11"
ALL = tuple(range(PARTITIONS))


class BusContract:
    # Publishing

    async def test_the_publisher_knows_the_number_of_partitions(self, bus: BusHandle) -> None:
        assert await bus.publisher.partitions() == PARTITIONS

    async def test_every_event_is_acknowledged_and_counted(self, bus: BusHandle) -> None:
        assert await bus.publisher.publish(publication()) == 0
        several = entry(1, 0, created(), liked("ann"), liked("bob"))
        assert await bus.publisher.publish(publication(several, Watermark(1, 0, 1))) == 4

    # Receiving

    async def test_what_was_published_comes_back(self, bus: BusHandle) -> None:
        first, second = entry(1, 0, created("Ahoj, světe 👋"), liked(None)), entry(4, 1, liked("ann"))
        await bus.publisher.publish(publication(first, second, Watermark(0, 4, 9)))
        async with bus.subscription("one") as subscription:
            await started(subscription)
            received = await receive(subscription, 4)
        assert [message.offset for message in received] == [0, 1, 2, 3]
        assert received[0] == EventMessage(0, 0, LOG_ID, 3, 0, 1, 0, 2, part(first, 0))
        assert received[1] == EventMessage(0, 1, LOG_ID, 3, 0, 1, 1, 2, part(first, 1))
        assert received[2] == EventMessage(0, 2, LOG_ID, 3, 1, 4, 0, 1, part(second, 0))
        assert received[3] == WatermarkMessage(0, 3, LOG_ID, 3, 4, 9)

    async def test_each_partition_keeps_the_order_of_overlapping_calls(self, bus: BusHandle) -> None:
        calls = [publication(*[entry(n * 10 + i, 0, liked()) for i in range(1, 11)]) for n in range(20)]
        await asyncio.gather(*[asyncio.create_task(bus.publisher.publish(call)) for call in calls])
        async with bus.subscription("one") as subscription:
            await started(subscription)
            received = await receive(subscription, 200)
        assert positions(received) == list(range(1, 201))

    async def test_an_event_of_a_megabyte_goes_through(self, bus: BusHandle) -> None:
        big = entry(1, 0, StoredEvent("PostCreated", 1, {"message": "x" * 999_980}))
        await bus.publisher.publish(publication(big))
        async with bus.subscription("one") as subscription:
            await started(subscription)
            [received] = await receive(subscription, 1)
        assert isinstance(received, EventMessage)
        assert received.part == part(big, 0)

    async def test_a_message_of_another_producer_is_received_as_unreadable(self, bus: BusHandle) -> None:
        await bus.put(WireMessage(1, b"key", b"\xff", [("ce_type", b"\xff")]))
        async with bus.subscription("one") as subscription:
            await started(subscription)
            [received] = await receive(subscription, 1)
        assert isinstance(received, UnreadableMessage)
        assert (received.partition, received.offset, received.position) == (1, 0, None)

    async def test_no_more_messages_are_received_than_wanted(self, bus: BusHandle) -> None:
        await bus.publisher.publish(publication(*[entry(n, 0, liked()) for n in range(1, 31)]))
        async with bus.subscription("one") as subscription:
            await started(subscription)
            received: list[BusMessage] = []
            while len(received) < 30:
                delivery = await subscription.receive(7, 1.0)
                assert len(delivery.messages) <= 7
                received += delivery.messages
        assert positions(received) == list(range(1, 31))

    async def test_when_there_is_nothing_receiving_ends_all_the_same(self, bus: BusHandle) -> None:
        async with bus.subscription("one") as subscription:
            await started(subscription)
            async with asyncio.timeout(SOON):
                assert (await subscription.receive(10, 0.05)).messages == []

    async def test_a_message_is_received_while_a_consumer_waits_for_it(self, bus: BusHandle) -> None:
        async with bus.subscription("one") as subscription:
            await started(subscription)
            waiting = asyncio.create_task(receive(subscription, 1))
            await asyncio.sleep(0)
            await bus.publisher.publish(publication(entry(1, 0, liked())))
            assert positions(await waiting) == [1]

    # Holding and starting

    async def test_nothing_is_delivered_before_a_partition_is_started(self, bus: BusHandle) -> None:
        await bus.publisher.publish(publication(entry(1, 0, liked()), entry(2, 0, liked(), partition=1)))
        async with bus.subscription("one") as subscription:
            await owning(subscription, PARTITIONS)
            await subscription.start({1: 0})
            assert positions(await receive(subscription, 1)) == [2]
            assert (await subscription.receive(10, 0.1)).messages == []
            await subscription.start({0: 0})
            assert positions(await receive(subscription, 1)) == [1]

    async def test_a_partition_resumes_from_any_offset(self, bus: BusHandle) -> None:
        await bus.publisher.publish(publication(*[entry(n, 0, liked()) for n in range(1, 11)]))
        async with bus.subscription("one") as subscription:
            await started(subscription)
            await receive(subscription, 10)
            await subscription.start({0: 7})
            assert positions(await receive(subscription, 3)) == [8, 9, 10]
            await subscription.start({0: 2})
            assert positions(await receive(subscription, 8)) == [3, 4, 5, 6, 7, 8, 9, 10]

    async def test_a_partition_that_is_restarted_delivers_nothing_that_was_in_flight(self, bus: BusHandle) -> None:
        await bus.publisher.publish(publication(*[entry(n, 0, liked()) for n in range(1, 31)]))
        async with bus.subscription("one") as subscription:
            await started(subscription)
            assert positions(await receive(subscription, 5)) == [1, 2, 3, 4, 5]
            await subscription.start({0: 20})
            assert positions(await receive(subscription, 10)) == list(range(21, 31))

    async def test_a_held_partition_does_not_hold_up_others(self, bus: BusHandle) -> None:
        async with bus.subscription("one") as subscription:
            await started(subscription)
            await subscription.pause([0])
            await bus.publisher.publish(publication(entry(1, 0, liked()), entry(2, 0, liked(), partition=1)))
            assert positions(await receive(subscription, 1)) == [2]
            assert (await subscription.receive(10, 0.1)).messages == []
            await subscription.start({0: 0})
            assert positions(await receive(subscription, 1)) == [1]

    async def test_the_end_of_a_partition_is_behind_its_last_message(self, bus: BusHandle) -> None:
        await bus.publisher.publish(publication(entry(1, 0, liked(), liked())))
        async with bus.subscription("one") as subscription:
            await owning(subscription, PARTITIONS)
            assert await subscription.ends(ALL) == {0: 2, 1: 0, 2: 0}

    async def test_starting_a_partition_of_another_member_does_nothing(self, bus: BusHandle) -> None:
        async with bus.subscription("one") as subscription:
            await started(subscription)
            async with bus.subscription("one") as other:
                await sharing(subscription, other)
                theirs = (await other.receive(1, 0.0)).assigned
                await subscription.start(dict.fromkeys(theirs, 0))
                await bus.publisher.publish(publication(*[entry(1, 0, liked(), partition=p) for p in theirs]))
                assert (await subscription.receive(10, 0.2)).messages == []

    # Messages that expired

    async def test_an_offset_that_is_gone_is_reported_and_the_partition_can_be_started_again(
        self, bus: BusHandle
    ) -> None:
        await bus.publisher.publish(publication(*[entry(n, 0, liked()) for n in range(1, 6)]))
        await bus.expire()
        async with bus.subscription("one") as subscription:
            await started(subscription)
            assert await out_of_range(subscription) == [0]
            ends = await subscription.ends([0])
            assert ends == {0: 5}
            await subscription.start(ends)
            await bus.publisher.publish(publication(entry(6, 5, liked())))
            assert positions(await receive(subscription, 1)) == [6]

    async def test_an_offset_beyond_the_end_is_reported(self, bus: BusHandle) -> None:
        async with bus.subscription("one") as subscription:
            await owning(subscription, PARTITIONS)
            await subscription.start({2: 1_000})
            assert await out_of_range(subscription) == [2]

    async def test_a_recreated_topic_has_another_id(self, bus: BusHandle) -> None:
        async with bus.subscription("one") as subscription:
            before = await subscription.topic()
            assert (await subscription.topic(), before.partitions) == (before, PARTITIONS)
            await bus.recreate()
            after = await subscription.topic()
            assert (after.id != before.id, after.partitions) == (True, PARTITIONS)

    # Groups

    async def test_a_group_shares_the_partitions(self, bus: BusHandle) -> None:
        async with bus.subscription("one") as first, bus.subscription("one") as second:
            await sharing(first, second)
            for subscription in (first, second):
                await subscription.start(dict.fromkeys((await subscription.receive(1, 0.0)).assigned, 0))
            await bus.publisher.publish(publication(*[entry(p + 1, 0, liked(), partition=p) for p in ALL]))
            received: list[BusMessage] = []
            async with asyncio.timeout(SOON):
                while len(received) < PARTITIONS:
                    for subscription in (first, second):
                        received += (await subscription.receive(10, 0.05)).messages
            assert sorted(positions(received)) == [1, 2, 3]

    async def test_each_group_gets_everything(self, bus: BusHandle) -> None:
        await bus.publisher.publish(publication(entry(1, 0, liked())))
        async with bus.subscription("one") as first, bus.subscription("two") as second:
            for subscription in (first, second):
                await started(subscription)
                assert positions(await receive(subscription, 1)) == [1]

    async def test_a_member_that_joins_for_another_database_gives_up_its_partitions_and_gets_all(
        self, bus: BusHandle
    ) -> None:
        await bus.publisher.publish(publication(entry(1, 0, liked())))
        async with bus.subscription("one") as first, bus.subscription("one") as second:
            await sharing(first, second)
            await first.join("one")
            await second.join("two")
            await owning(first, PARTITIONS)
            await started(second)
            assert positions(await receive(second, 1)) == [1]

    async def test_a_leaving_member_gives_up_its_partitions_which_are_paused_at_first(self, bus: BusHandle) -> None:
        async with AsyncExitStack() as second_opened, bus.subscription("one") as first:
            second = await second_opened.enter_async_context(bus.subscription("one"))
            await sharing(first, second)
            kept = (await first.receive(1, 0.0)).assigned
            await first.start(dict.fromkeys(kept, 0))
            await second_opened.aclose()
            assigned = await owning(first, PARTITIONS)
            assert {partition: assigned[partition] for partition in kept} == kept, "what was kept is no new assignment"
            handed_over = [partition for partition in ALL if partition not in kept]
            await bus.publisher.publish(publication(entry(1, 0, liked(), partition=handed_over[0])))
            assert (await first.receive(10, 0.2)).messages == []

    async def test_a_partition_that_comes_back_has_a_new_number(self, bus: BusHandle) -> None:
        async with bus.subscription("one") as first:
            before = await owning(first, PARTITIONS)
            async with bus.subscription("one") as second:
                await sharing(first, second)
                kept = (await first.receive(1, 0.0)).assigned
            after = await owning(first, PARTITIONS)
            assert all(after[p] != before[p] for p in ALL if p not in kept)

    async def test_telling_how_far_it_is_decides_nothing(self, bus: BusHandle) -> None:
        await bus.publisher.publish(publication(entry(1, 0, liked())))
        for _ in range(2):
            async with bus.subscription("one") as subscription:
                await started(subscription)
                assert positions(await receive(subscription, 1)) == [1]
                subscription.commit_offsets({0: 1})
                await subscription.receive(1, 0.0)


def entry(position: int, prev: int, *events: StoredEvent, partition: int = 0) -> CommitEntry:
    commit = Commit(
        position=position,
        stream_id=post_id(partition),
        version=1,
        commit_id=f"commit-{position}",
        recorded_at=RECORDED_AT,
        metadata={"correlationId": "corr"},
        events=events,
    )
    return CommitEntry(partition, prev, commit)


def part(entry: CommitEntry, index: int) -> Commit:
    commit = entry.commit
    return Commit(
        position=commit.position,
        stream_id=commit.stream_id,
        version=commit.version,
        commit_id=commit.commit_id,
        recorded_at=commit.recorded_at,
        metadata=commit.metadata,
        events=(commit.events[index],),
    )


def publication(*entries: CommitEntry | Watermark) -> Publication:
    return Publication(LOG_ID, PARTITIONS, entries)


def positions(messages: Sequence[BusMessage]) -> list[int | None]:
    return [message.position for message in messages]


async def owning(subscription: Subscription, count: int) -> Mapping[int, int]:
    async def look() -> Mapping[int, int] | None:
        assigned = (await subscription.receive(1, 0.05)).assigned
        return assigned if len(assigned) == count else None

    return await eventually(look, SOON)


async def sharing(first: Subscription, second: Subscription) -> None:
    """Return when both own something and together everything."""

    async def look() -> bool:
        one, two = [(await each.receive(1, 0.02)).assigned.keys() for each in (first, second)]
        return bool(one and two) and not one & two and one | two == set(ALL)

    await eventually(look, SOON)


async def started(subscription: Subscription) -> None:
    """It owns everything, and everything is delivered from the first offset on."""
    await owning(subscription, PARTITIONS)
    await subscription.start(dict.fromkeys(ALL, 0))


async def receive(subscription: Subscription, count: int) -> list[BusMessage]:
    received: list[BusMessage] = []
    async with asyncio.timeout(SOON):
        while len(received) < count:
            received += (await subscription.receive(count - len(received), 0.5)).messages
    return received


async def out_of_range(subscription: Subscription) -> Collection[int]:
    async def look() -> Collection[int]:
        return (await subscription.receive(1, 0.1)).out_of_range

    return await eventually(look, SOON)
