"""A bus that misbehaves in the ways a bus may."""

from collections.abc import Callable, Collection, Mapping
from random import Random

from application.errors import BusUnavailable
from application.ports.bus import BusMessage, CommitEntry, Delivery, Publication, Publisher, Subscription, Topic


class UnrulySubscription:
    """A tenth of the messages comes twice, and a tenth late: behind others of its partition, in this delivery or the
    next. `tampered` counts them."""

    def __init__(self, subscription: Subscription, seed: int, share: float = 0.1) -> None:
        self.tampered = 0
        self._subscription = subscription
        self._random = Random(seed)
        self._share = share
        self._late: list[BusMessage] = []

    async def join(self, database_id: str) -> None:
        await self._subscription.join(database_id)

    async def topic(self) -> Topic:
        return await self._subscription.topic()

    async def ends(self, partitions: Collection[int]) -> dict[int, int]:
        return await self._subscription.ends(partitions)

    async def receive(self, limit: int, timeout: float) -> Delivery:
        delivery = await self._subscription.receive(limit, 0.0 if self._late else timeout)
        return Delivery(delivery.assigned, delivery.out_of_range, self._tamper(delivery))

    async def start(self, offsets: Mapping[int, int]) -> None:
        await self._subscription.start(offsets)

    async def pause(self, partitions: Collection[int]) -> None:
        await self._subscription.pause(partitions)

    def commit_offsets(self, offsets: Mapping[int, int]) -> None:
        self._subscription.commit_offsets(offsets)

    def _tamper(self, delivery: Delivery) -> list[BusMessage]:
        late, self._late = self._late, []
        messages: list[BusMessage] = []
        for message in delivery.messages:
            if self._chance():
                self._late.append(message)
                continue
            messages += [message, message] if self._chance() else [message]
            if late and self._random.random() < 0.5:
                messages.append(late.pop(0))
        return messages + late

    def _chance(self) -> bool:
        hit = self._random.random() < self._share
        self.tampered += hit
        return hit


class FaultyPublisher:
    """Loses the commits that `loses` selects, and raises (the relay will send them again) unless it is `silent`."""

    def __init__(self, publisher: Publisher, loses: Callable[[CommitEntry], bool], *, silent: bool = False) -> None:
        self.lost: list[CommitEntry] = []
        self._publisher = publisher
        self._loses = loses
        self._silent = silent

    async def partitions(self) -> int:
        return await self._publisher.partitions()

    async def publish(self, publication: Publication) -> int:
        lost = [entry for entry in publication.entries if isinstance(entry, CommitEntry) and self._loses(entry)]
        self.lost += lost
        kept = [entry for entry in publication.entries if entry not in lost]
        published = await self._publisher.publish(Publication(publication.log_id, publication.partitions, kept))
        if lost and not self._silent:
            raise BusUnavailable("A delivery failed.")
        return published
