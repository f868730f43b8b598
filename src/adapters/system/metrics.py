"""Metrics with Prometheus, in a registry of their own, and what each of them means."""

import logging
import re
import threading
import time
from collections.abc import Callable

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    disable_created_metrics,
    generate_latest,
)

log = logging.getLogger(__name__)

PREFIX = "postlog_"
MAX_SERIES = 500
"""Of one metric. Further series are counted as one, with every label `other`."""

_NAME = re.compile(r"[a-z][a-z0-9_]*")
_UNBOUNDED = frozenset(
    ("author", "comment_id", "correlation_id", "id", "key", "message", "path", "post_id", "username")
)
_BUCKETS = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30)

Family = Counter | Gauge | Histogram
Labels = tuple[tuple[str, str], ...]

COUNTERS = {
    "audit_passes": "Times that `audit --continuous` has compared every post.",
    "audit_posts_compared": "Posts whose rows were compared with the log.",
    "commits_written": "Commits of this process that the log acknowledged.",
    "group_commits": "Writes to the log; each contains one or more commits.",
    "http_connections_closed": "Idle connections closed to make room (http.max_connections).",
    "parked_streams_freed": "Parked posts that were resumed.",
    "projector_commits": "Commits applied to the rows.",
    "projector_commits_from_log": "Commits that the bus did not deliver, read from the log instead.",
    "projector_events": "Events applied to the rows.",
    "projector_foreign_messages": "Bus messages skipped because they belong to another log.",
    "projector_gaps": "Times that the bus skipped a commit.",
    "projector_healed_commits": "Commits that the rows of single posts lacked, read from the log.",
    "projector_repeated_messages": "Bus messages skipped because the rows had them.",
    "projector_unreadable_messages": "Bus messages that could not be read; their commits are read from the log.",
    "relay_commits": "Commits read for publication.",
    "relay_messages": "Messages that the bus acknowledged.",
    "snapshots_failed": "Snapshots that could not be stored.",
    "snapshots_stored": "Snapshots stored.",
    "snapshots_too_large": "Snapshots not stored because they are too large.",
    "streams_parked": "Posts parked because an event could not be read or applied.",
    "version_conflicts": "Appends repeated because another process had written to the same post.",
}
"""Without labels, and exported from the start: Prometheus does not see the increase from a missing series to 1."""

OTHERS = {
    "audit_posts_that_differ": "Posts whose rows differ from the log, and that have not matched again since.",
    "audit_seconds_since_whole": "Seconds since the beginning of the last complete audit, or since the start.",
    "disk_free_bytes": "Free bytes on the disk of the file that this setting names.",
    "event_loop_stall_seconds": "Longest time in the last one or two minutes for which this process was blocked.",
    "group_commit_seconds": "Duration of a write to the log.",
    "health_check_ok": "1 while this check of /health/ready succeeds, else 0.",
    "http_problems": "Error responses, by problem code.",
    "http_request_seconds": "Duration of a request, by method, route and status.",
    "kafka_errors": "Errors that the Kafka client reported, by client and code.",
    "parked_streams": "Parked posts of the live rows.",
    "projector_batch_seconds": "Duration of one transaction of the projector.",
    "projector_bus_resets": "Partitions resumed from the log because the bus no longer had the next message.",
    "projector_interruptions": "Times that the projector had to restart its work, by code.",
    "projector_lag": "Commits in the log that the rows lack.",
    "projector_lag_seconds": "Seconds for which the oldest commit that the rows lack could have been projected.",
    "projector_partitions": "Partitions that exist; 1 without Kafka.",
    "projector_partitions_assigned": "Partitions that this process projects.",
    "projector_position": "Position of the rows, by partition, as this process wrote them.",
    "rebuild_position": "Position that the newest build of the rows had reached when it last wrote a batch.",
    "rebuild_target": "Position that the newest build of the rows has to reach.",
    "rebuild_unfinished": "1 while the newest build of the rows is unfinished, running or not; else 0.",
    "relay_active": "1 while this relay publishes, 0 while it is on standby.",
    "relay_interruptions": "Times that the relay had to restart its work, by code.",
    "relay_lag": "Commits in the log that the bus has not acknowledged.",
    "relay_position": "Position up to which this relay has published.",
    "rows_generation": "Generation of the rows that are live; a rebuild raises it.",
}


class PrometheusMetrics:
    """Each name keeps the kind and the label names of its first use; another use raises `ValueError`, and so does a
    label that can take any number of values (a post, a person). Safe to call from any thread.
    """

    def __init__(self) -> None:
        disable_created_metrics()  # type: ignore[no-untyped-call]  # a second series for every counter, for nothing
        self._registry = CollectorRegistry()
        ProcessCollector(namespace="postlog", registry=self._registry)
        self._families: dict[str, Family] = {}
        self._series: dict[tuple[str, Labels], Family] = {}
        self._sizes: dict[str, int] = {}
        self._good_until: dict[tuple[str, Labels], float] = {}
        self._lock = threading.Lock()
        for name in COUNTERS:
            self._child(name, {}, self._counter)

    def count(self, name: str, amount: float = 1, **labels: str) -> None:
        child = self._child(name, labels, self._counter)
        if not isinstance(child, Counter):
            raise _other_kind(name, child)
        child.inc(amount)

    def gauge(self, name: str, value: float, *, good_for: float | None = None, **labels: str) -> None:
        child = self._child(name, labels, self._gauge)
        if not isinstance(child, Gauge):
            raise _other_kind(name, child)
        child.set(value)
        if good_for is not None:
            self._good_until[name, tuple(labels.items())] = time.monotonic() + good_for

    def observe(self, name: str, seconds: float, **labels: str) -> None:
        child = self._child(name, labels, self._histogram)
        if not isinstance(child, Histogram):
            raise _other_kind(name, child)
        child.observe(seconds)

    def text(self) -> tuple[bytes, str]:
        """All metrics in Prometheus' text format, and its content type."""
        self._forget_what_is_old()
        return generate_latest(self._registry), "text/plain; version=0.0.4; charset=utf-8"

    def _forget_what_is_old(self) -> None:
        now = time.monotonic()
        with self._lock:
            for key in [key for key, until in self._good_until.items() if until < now]:
                name, labels = key
                del self._good_until[key], self._series[key]
                self._sizes[name] -= 1
                if labels:
                    self._families[name].remove(*(value for _, value in labels))
                else:
                    self._registry.unregister(self._families.pop(name))

    def _counter(self, name: str, labels: tuple[str, ...]) -> Counter:
        return Counter(PREFIX + name, _described(name), labels, registry=self._registry)

    def _gauge(self, name: str, labels: tuple[str, ...]) -> Gauge:
        return Gauge(PREFIX + name, _described(name), labels, registry=self._registry)

    def _histogram(self, name: str, labels: tuple[str, ...]) -> Histogram:
        return Histogram(PREFIX + name, _described(name), labels, registry=self._registry, buckets=_BUCKETS)

    def _child(self, name: str, labels: dict[str, str], make: Callable[[str, tuple[str, ...]], Family]) -> Family:
        key = (name, tuple(labels.items()))
        child = self._series.get(key)
        if child is None:
            with self._lock:
                child = self._series.get(key) or self._add(key, labels, make)
        return child

    def _add(
        self,
        key: tuple[str, Labels],
        labels: dict[str, str],
        make: Callable[[str, tuple[str, ...]], Family],
    ) -> Family:
        name = key[0]
        family = self._families.get(name)
        if family is None:
            _check(name, labels)
            family = self._families[name] = make(name, tuple(labels))
        if not labels:
            child = family
        elif self._sizes.get(name, 0) >= MAX_SERIES:
            return family.labels(**dict.fromkeys(labels, "other"))
        else:
            child = family.labels(**labels)
        self._sizes[name] = self._sizes.get(name, 0) + 1
        if self._sizes[name] == MAX_SERIES:
            log.warning("Metric %s has %d series; further ones are counted as `other`.", name, MAX_SERIES)
        self._series[key] = child
        return child


def _check(name: str, labels: dict[str, str]) -> None:
    if not _NAME.fullmatch(name):
        raise ValueError(f"{name!r} is no name of a metric; it takes snake_case.")
    unbounded = sorted(_UNBOUNDED.intersection(labels))
    if unbounded:
        raise ValueError(f"Metric {name} can't have the label {unbounded[0]}: its values have no bound.")


def _described(name: str) -> str:
    return COUNTERS.get(name) or OTHERS.get(name) or name


def _other_kind(name: str, child: Family) -> ValueError:
    return ValueError(f"Metric {name} is a {type(child).__name__.lower()} already.")
