"""A projector in this process tells queries that wait for a position that the rows have moved on."""

from typing import Protocol


class RowsMoved(Protocol):
    def notify(self) -> None:
        """Wake everybody who waits."""
        ...

    async def wait(self, timeout: float) -> None:
        """Return at the next `notify`, at the latest after `timeout` seconds."""
        ...
