"""What is said of each commit, and to whom: pure."""

from collections.abc import Sequence

from application.envelopes import Commit
from application.partitioning import partition_of
from application.ports.bus import CommitEntry, Publication, Watermark


class Announcer:
    """Knows the position that was sent last to each partition. At first that is `position`, the relay's checkpoint:
    what came before it is no claim of this relay's.
    """

    def __init__(self, log_id: str, partitions: int, position: int) -> None:
        self.partitions = partitions
        self.position = position
        self._log_id = log_id
        self._sent = [position] * partitions

    @property
    def level(self) -> bool:
        """Whether every partition was told of the position."""
        return all(sent == self.position for sent in self._sent)

    def commits(self, commits: Sequence[Commit]) -> list[CommitEntry]:
        """They follow each other, and the position, without gap."""
        entries: list[CommitEntry] = []
        for commit in commits:
            partition = partition_of(commit.stream_id, self.partitions)
            entries.append(CommitEntry(partition, self._sent[partition], commit))
            self._sent[partition] = self.position = commit.position
        return entries

    def watermarks(self) -> list[Watermark]:
        """For the partitions that were not told of the position yet: a database is as new as its oldest partition."""
        behind = [partition for partition, sent in enumerate(self._sent) if sent < self.position]
        return [self._watermark(partition) for partition in behind]

    def reminders(self) -> list[Watermark]:
        """For every partition: who missed the last message of a quiet partition learns of it by this."""
        return [self._watermark(partition) for partition in range(self.partitions)]

    def publication(self, entries: Sequence[CommitEntry | Watermark]) -> Publication:
        return Publication(self._log_id, self.partitions, entries)

    def _watermark(self, partition: int) -> Watermark:
        mark = Watermark(partition, self._sent[partition], self.position)
        self._sent[partition] = self.position
        return mark
