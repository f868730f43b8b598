"""Handler of the query for where the read database stands against the log."""

from application.mediator import QueryDispatcher
from application.ports.commit_log import CommitLog
from application.ports.post_views import PostViews
from application.ports.read_db import ProjectionStore
from application.query_side.queries import GetReadDbStatus, PartitionStatus, ReadDbStatus


class ReadDbStatusQuery:
    """`adapter` is the configured one's name."""

    def __init__(self, adapter: str, views: PostViews, store: ProjectionStore, log: CommitLog) -> None:
        self._adapter = adapter
        self._views = views
        self._store = store
        self._log = log

    def register_with(self, dispatcher: QueryDispatcher) -> None:
        dispatcher.register(GetReadDbStatus, self.get)

    async def get(self, _: GetReadDbStatus) -> ReadDbStatus:
        stamp, live = await self._views.stamp(), await self._store.live()
        while stamp.generation != live.generation:  # a swap in between: its rows are newer than that position
            stamp, live = await self._views.stamp(), await self._store.live()
        checkpoints = await self._store.checkpoints(live.generation)
        tip = await self._log.tip()
        positions = dict.fromkeys(range(live.partitions), 0)
        positions |= {partition: checkpoint.position for partition, checkpoint in checkpoints.items()}
        return ReadDbStatus(
            adapter=self._adapter,
            generation=live.generation,
            ready=live.ready,
            position=stamp.position,
            lag=max(0, tip - stamp.position),
            parked=stamp.parked,
            partitions=[
                PartitionStatus(partition=partition, position=position, lag=max(0, tip - position))
                for partition, position in sorted(positions.items())
            ],
        )
