"""New ids, as a port."""

from typing import Protocol


class Ids(Protocol):
    def new(self) -> str:
        """A UUIDv7 as lower-case text: ids made later sort later."""
        ...
