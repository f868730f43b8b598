"""The ports that every process has, whatever its settings."""

from typing import TYPE_CHECKING

from application.ports.event_codec import EventCodec
from application.ports.system import Clock, Ids, Journal, RowsMoved

if TYPE_CHECKING:
    from adapters.system.metrics import PrometheusMetrics


def clock() -> Clock:
    from adapters.system.clock import SystemClock

    return SystemClock()


def ids() -> Ids:
    from adapters.system.ids import UuidIds

    return UuidIds()


def metrics() -> "PrometheusMetrics":
    from adapters.system.metrics import PrometheusMetrics

    return PrometheusMetrics()


def codec() -> EventCodec:
    from adapters.wire.event_codec import MsgspecEventCodec

    return MsgspecEventCodec()


def journal() -> Journal:
    from adapters.system.journal import LocalJournal

    return LocalJournal()


def rows_moved() -> RowsMoved:
    from adapters.system.rows_moved import LocalRowsMoved

    return LocalRowsMoved()
