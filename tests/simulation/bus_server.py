"""The simulated bus: the one in memory behind a network, which loses, repeats and delays messages."""

import asyncio
from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
from random import Random

from adapters.memory.bus import MemoryBus, MemorySubscription
from adapters.wire.cloudevents import WireMessage, to_messages
from application.errors import BusUnavailable
from application.ports.bus import Delivery, Publication, Topic
from simulation.faults import BUS
from simulation.network import Network
from simulation.virtual_loop import SERVER_CONTEXT


class BusServer:
    def __init__(self, network: Network, memory: MemoryBus) -> None:
        self.network = network
        self.memory = memory
        self.on_publish: Callable[[Publication], None] = lambda _: None

    def put(self, messages: list[WireMessage]) -> int:
        """As the bus may: some are lost, some come twice, some late."""
        happens = self.network.happens
        for message in messages:
            if happens("message lost", BUS):
                continue
            if happens("message late", BUS):
                self._later(message)
                continue
            self.memory.put([message, message] if happens("message duplicated", BUS) else [message])
        return len(messages)

    def rebalance(self) -> None:
        """The partitions go to other members."""
        for members in self.memory._groups.values():
            members.reverse()
            self.memory._rebalance(members)

    def expire(self, random: Random) -> None:
        for partition in self.memory.topic.partitions:
            partition.drop_before(random.randint(partition.begin, partition.end))

    def _later(self, message: WireMessage) -> None:
        def put() -> None:
            with suppress(BusUnavailable):
                self.memory.put([message])

        delay = self.network.random.choice((0.001, 0.1, 3.0))
        asyncio.get_running_loop().call_later(delay, put, context=SERVER_CONTEXT)


class SimulatedPublisher:
    """In each partition messages are in the order of the calls: a call arrives after the one before it there."""

    def __init__(self, server: BusServer) -> None:
        self._server = server
        self._arrive_at: dict[int, float] = {}
        """By partition."""

    async def partitions(self) -> int:
        return await self._server.network.call(BUS, lambda: len(self._server.memory.topic.partitions), BusUnavailable)

    async def publish(self, publication: Publication) -> int:
        server, network = self._server, self._server.network
        messages = list(to_messages(publication))
        plan = network.plan(BUS, writes=True)
        if network.happens("stored in part", BUS):
            messages = messages[: network.random.randrange(len(messages) + 1)]
            plan.unknown = True
        now, partitions = asyncio.get_running_loop().time(), {each.partition for each in publication.entries}
        arrives_at = max([now + plan.there, *(self._arrive_at.get(each, 0.0) for each in partitions)])
        self._arrive_at |= dict.fromkeys(partitions, arrives_at)
        plan.there = arrives_at - now

        def at_server() -> int:
            put = server.put(messages)
            server.on_publish(publication)
            return put

        return await network.send(BUS, at_server, BusUnavailable, plan)


class SimulatedSubscription:
    """Seeking and pausing are local, as in the driver. A process that is paused is thrown out of its group, and joins
    it again when it calls."""

    def __init__(self, server: BusServer, memory: MemorySubscription) -> None:
        self._server = server
        self._memory = memory
        self._database_id = ""

    async def join(self, database_id: str) -> None:
        await self._server.network.call(BUS, lambda: None, BusUnavailable)
        self._database_id = database_id
        await self._memory.join(database_id)

    def expel(self) -> None:
        self._memory._leave()

    async def topic(self) -> Topic:
        memory = self._server.memory
        return await self._server.network.call(
            BUS, lambda: Topic(memory.topic.id, len(memory.topic.partitions)), BusUnavailable
        )

    async def ends(self, partitions: Collection[int]) -> dict[int, int]:
        def at_server() -> dict[int, int]:
            topic = self._server.memory.topic
            if any(partition >= len(topic.partitions) for partition in partitions):
                raise BusUnavailable("The topic has fewer partitions.")
            return {partition: topic.partitions[partition].end for partition in partitions}

        return await self._server.network.call(BUS, at_server, BusUnavailable)

    async def receive(self, limit: int, timeout: float) -> Delivery:
        await self._memory.join(self._database_id)
        await self._server.network.call(BUS, lambda: None, BusUnavailable)
        return await self._memory.receive(limit, timeout)

    async def start(self, offsets: Mapping[int, int]) -> None:
        await self._memory.start(offsets)

    async def pause(self, partitions: Collection[int]) -> None:
        await self._memory.pause(partitions)

    def commit_offsets(self, offsets: Mapping[int, int]) -> None:
        self._memory.commit_offsets(offsets)
