"""Messages in partitions, by offset, with a retention by size."""

from uuid import uuid4

from adapters.wire.cloudevents import WireMessage


class TopicPartition:
    """Holds the messages from offset `begin` up to before `end`, `room` bytes of them at most."""

    def __init__(self, room: int) -> None:
        self.begin = 0
        self.end = 0
        self._room = room
        self._messages: dict[int, WireMessage] = {}

    def append(self, message: WireMessage) -> None:
        self._messages[self.end] = message
        self._room -= _bytes_of(message)
        self.end += 1
        while self._room < 0:
            self.drop_before(self.begin + 1)

    def drop_before(self, offset: int) -> None:
        while self.begin < min(offset, self.end):
            self._room += _bytes_of(self._messages.pop(self.begin))
            self.begin += 1

    def __getitem__(self, offset: int) -> WireMessage:
        return self._messages[offset]


class MemoryTopic:
    def __init__(self, partitions: int, retained_bytes: int) -> None:
        self.id = uuid4().hex
        self.partitions = [TopicPartition(retained_bytes // partitions) for _ in range(partitions)]


def _bytes_of(message: WireMessage) -> int:
    return len(message.key or b"") + len(message.value or b"") + sum(len(n) + len(v or b"") for n, v in message.headers)
