"""Counting and measuring. Names are snake_case without prefix or unit suffix rules; the adapter adds `postlog_`."""

from typing import Protocol


class Metrics(Protocol):
    def count(self, name: str, amount: float = 1, **labels: str) -> None:
        """Add to a counter."""
        ...

    def gauge(self, name: str, value: float, *, good_for: float | None = None, **labels: str) -> None:
        """Set a value that goes up and down. After `good_for` seconds it is shown no more, unless it was set again."""
        ...

    def observe(self, name: str, seconds: float, **labels: str) -> None:
        """Note a duration in seconds."""
        ...
