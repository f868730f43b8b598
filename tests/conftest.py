"""For every test: readable failures in the contract suites, and no deadline for a single Hypothesis example, since a
busy machine is no fault. And who runs what where several processes share the tests."""

import os
import signal
from collections.abc import Sequence

import pytest
from hypothesis import settings

from local.ports import keep_to_share

pytest.register_assert_rewrite("contracts")

settings.register_profile("postlog", deadline=None)
settings.load_profile("postlog")

_DEAR = {"_own_kafka": "kafka", "kafka_bootstrap": "kafka", "_own_three_nodes": "three nodes"}
"""Servers that take long to start: all files with tests that need one go to the same process."""


def pytest_configure() -> None:
    # A shell that starts tests in the background has them ignore Ctrl-C, and their processes, which wait for it, too.
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    if worker := os.environ.get("PYTEST_XDIST_WORKER"):
        keep_to_share(int(worker.removeprefix("gw")), int(os.environ["PYTEST_XDIST_WORKER_COUNT"]))


def pytest_collection_modifyitems(items: Sequence[pytest.Function]) -> None:
    """A file's tests stay together, for they share fixtures."""
    groups: dict[str, str] = {}
    for item in items:
        groups.setdefault(item.path.as_posix(), item.path.as_posix())
        groups |= {item.path.as_posix(): _DEAR[name] for name in item.fixturenames if name in _DEAR}
    for item in items:
        item.add_marker(pytest.mark.xdist_group(groups[item.path.as_posix()]))
