"""For every test: readable failures in the contract suites, and no deadline for a single Hypothesis example, since a
busy machine is no fault. And who runs what where several processes share the tests."""

import gc
import os
import signal
import sys
from collections.abc import Generator
from functools import cache
from pathlib import Path

import httpx._transports.default as httpx_transports
import pytest
from hypothesis import settings
from xdist.remote import Producer
from xdist.scheduler import LoadScopeScheduling

from local.ports import keep_to_share

pytest.register_assert_rewrite("contracts")

# Each client, and each `httpx.get`, would read the certificates of all authorities: 45 ms of processor time.
httpx_transports.create_ssl_context = cache(httpx_transports.create_ssl_context)

settings.register_profile("postlog", deadline=None)
settings.load_profile("postlog")

_TOGETHER = {
    "tests/integration/adapters/kafka/": "Kafka",
    "tests/integration/distributed/": "Kafka",
    "tests/integration/servers/test_kafka.py": "Kafka",
    "tests/integration/version_before/": "Kafka",
    "tests/integration/adapters/mongo/test_deposed_primary.py": "three nodes",
    "tests/integration/adapters/mongo/test_failover.py": "three nodes",
    "tests/integration/servers/test_mongod.py": "three nodes",
    "tests/integration/web/": "a browser",
}
"""By the server that their tests need and that takes long to start: one process starts it, and runs them all."""


def pytest_configure(config: pytest.Config) -> None:
    if sys.dont_write_bytecode:
        _keep_bytecode(config.rootpath / ".pytest_cache" / "bytecode")
    # A shell that starts tests in the background has them ignore Ctrl-C, and their processes, which wait for it, too.
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    if worker := os.environ.get("PYTEST_XDIST_WORKER"):
        keep_to_share(int(worker.removeprefix("gw")), int(os.environ["PYTEST_XDIST_WORKER_COUNT"]))


def _keep_bytecode(folder: Path) -> None:
    """Beside the sources the shell wants none. But without it each of the hundreds of processes that the tests start
    would spend more than half of its time compiling its imports again."""
    sys.dont_write_bytecode = False
    sys.pycache_prefix = os.environ["PYTHONPYCACHEPREFIX"] = str(folder)
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """What is collected stays: looking for garbage in it, now and during the tests, costs seconds."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()


class FilesTogether(LoadScopeScheduling):
    """A file's tests run in one process, in their order, for they share fixtures; and so do some files. Those that wait
    for servers come first (`--no-loadscope-reorder`), so that all processes end with short files, at the same time."""

    def _split_scope(self, nodeid: str) -> str:
        file = nodeid.partition("::")[0]
        return next((name for place, name in _TOGETHER.items() if file.startswith(place)), file)


def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> FilesTogether:
    return FilesTogether(config, log)
