"""SQL Server reads texts of any length from JSON; a server that speaks its protocol reads 4,000 UTF-16 units and
refuses what is longer. Rows with such texts are few, and go one by one, as parameters.
"""

from collections.abc import Iterable
from typing import Any

from adapters.sql.backend import Row

_LONGEST = 4_000


def divided(rows: Iterable[Row]) -> tuple[list[Row], list[Row]]:
    """Those that JSON may carry, and those with a text that is too long for it."""
    short: list[Row] = []
    long: list[Row] = []
    for row in rows:
        (long if any(map(_is_long, row)) else short).append(row)
    return short, long


def _is_long(value: Any) -> bool:
    if not isinstance(value, str) or len(value) <= _LONGEST // 2:
        return False
    return len(value) > _LONGEST or len(value.encode("utf-16-le")) > 2 * _LONGEST
