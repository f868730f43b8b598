"""Postlog in a process that is forked from one that has loaded it already: a start costs a tenth of the processor time.

The command, its environment, folder, streams, signals and exit status are its own; only the loading is not tested.
"""

import ctypes
import multiprocessing
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from multiprocessing.connection import Connection, wait
from pathlib import Path
from types import ModuleType

_SRC = Path(__file__).parents[1] / "src"
_COMMAND = Path(sys.executable).with_name("postlog")
_PR_SET_PDEATHSIG = 1


def _modules() -> Iterator[str]:
    yield "__main__"  # pytest, which each fork would load otherwise
    for room in ("entrypoints/cli", "entrypoints/web", "adapters"):
        for file in (_SRC / room).rglob("*.py"):
            if "migrations" not in file.parts:
                yield ".".join(file.relative_to(_SRC).with_suffix("").parts)


_forks = multiprocessing.get_context("forkserver")
_forks.set_forkserver_preload(list(_modules()))
_one_at_a_time = threading.Lock()
"""Python answers 255 to one of two threads that ask for the end of the same process."""


class Forked:
    """What tests use of a `subprocess.Popen`. It leads a session of its own and ends with the process of the tests."""

    def __init__(
        self, arguments: tuple[str, ...], env: Mapping[str, str], stdout: Path, stderr: Path, cwd: Path | None = None
    ) -> None:
        self.args = ["postlog", *arguments]
        ready, theirs = _forks.Pipe(duplex=False)
        call = (theirs, arguments, dict(env), stdout, stderr, cwd)
        # A daemon, so that Python does not wait for one that a failed test has left.
        self._process = _forks.Process(target=_run, args=call, daemon=True)
        with _one_at_a_time:
            self._process.start()
            multiprocessing.process._children.discard(self._process)  # type: ignore[attr-defined]  # tests count these
        theirs.close()
        with ready:
            ready.poll(None)
        self.pid: int = self._process.pid or 0

    def poll(self) -> int | None:
        with _one_at_a_time:
            return self._process.exitcode

    returncode = property(poll)

    def wait(self, timeout: float | None = None) -> int:
        wait([self._process.sentinel], timeout)
        status = self.poll()
        if status is None:
            raise subprocess.TimeoutExpired(self.args, timeout or 0)
        return status

    def send_signal(self, number: signal.Signals) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)


def _run(
    ready: Connection, arguments: tuple[str, ...], env: dict[str, str], stdout: Path, stderr: Path, cwd: Path | None
) -> None:
    os.setsid()
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    multiprocessing.current_process()._config["daemon"] = False  # type: ignore[attr-defined]  # it may have children
    os.environ.clear()
    os.environ.update(env)
    if cwd:
        os.chdir(cwd)
    for number, file in ((1, stdout), (2, stderr)):
        opened = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        os.dup2(opened, number)
        os.close(opened)
    sys.modules["__main__"] = ModuleType("__main__")
    sys.modules["__main__"].__file__ = sys.argv[0] = str(_COMMAND)
    sys.argv[1:] = arguments
    ready.close()

    from entrypoints.cli.start import main

    main()
