from typing import Any

import pytest

from adapters.memory.log import MemoryLog
from contracts.damaged_streams import DamagedStreamsContract, Rewrite, rewrite_in_memory


@pytest.fixture
def rewrite(memory_log: MemoryLog) -> Rewrite:
    async def rewrite(position: int, **changes: Any) -> None:
        rewrite_in_memory(memory_log, position, **changes)

    return rewrite


class TestDamagedStreamsInMemory(DamagedStreamsContract):
    """Adopts the contract with the fixtures `open_log` and `rewrite`."""
