"""The clock of the machine, in whole milliseconds, and UUIDs of version 7."""

import time
from datetime import UTC, datetime

import uuid_utils


class SystemClock:
    def now(self) -> datetime:
        now = datetime.now(UTC)
        return now.replace(microsecond=now.microsecond // 1_000 * 1_000)

    def monotonic(self) -> float:
        return time.monotonic()


class UuidIds:
    def new(self) -> str:
        return str(uuid_utils.uuid7())
