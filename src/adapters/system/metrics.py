"""Metrics with Prometheus, in a registry of their own."""

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
    return name.replace("_", " ").capitalize() + "."


def _other_kind(name: str, child: Family) -> ValueError:
    return ValueError(f"Metric {name} is a {type(child).__name__.lower()} already.")
