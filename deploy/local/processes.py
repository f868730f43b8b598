"""A server as a child process: it can be started, awaited, killed and frozen, and it ends with this process."""

import functools
import os
import pwd
import shutil
import signal
import subprocess
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

from local.process_tree import alive, with_descendants
from local.waiting import wait_until


class ServerFailedError(Exception):
    """An installed server did not start, or did not respond in time. Quotes the end of its log."""


class ServerProcess:
    """One program in its own process group; the kernel kills it when this process dies."""

    def __init__(
        self,
        name: str,
        command: Sequence[str | Path],
        *,
        log: Path,
        env: Mapping[str, str] | None = None,
        user: str | None = None,
    ) -> None:
        self.name = name
        self.log = log
        self._command = [*guarded(user), *map(str, command)]
        self._env = env
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def check_running(self) -> None:
        """ServerFailedError if it was started and has exited."""
        if self._process is not None and (status := self._process.poll()) is not None:
            raise ServerFailedError(f"{self.name} exited with status {status}\n{self.log_tail()}")

    def start(self) -> None:
        if self.running:
            return
        with self.log.open("ab") as log:
            # The kernel counts the death of the thread that forked as the parent's death (prctl(2)).
            self._process = _forking_thread().submit(self._spawn, log.fileno()).result()

    def wait_until(self, ready: Callable[[], bool], *, seconds: float) -> None:
        """Return as soon as `ready()`; ServerFailedError if the program exits first or the time is up."""

        def ready_or_ended() -> bool:
            self.check_running()
            return ready()

        wait_until(ready_or_ended, seconds=seconds, failure=lambda: self._too_late(seconds))

    def log_tail(self, lines: int = 25) -> str:
        text = self.log.read_text(errors="replace") if self.log.exists() else ""
        return "\n".join([f"end of {self.log}:", *text.splitlines()[-lines:]])

    def stop(self, *, seconds: float = 20, signal_number: int = signal.SIGTERM) -> None:
        """Stop it; kill -9 if that takes longer than `seconds`."""
        if self._process is None:
            return
        self.thaw()
        _signal([self._process.pid], signal_number)
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(seconds)
        self.kill()

    def kill(self) -> None:
        """kill -9 of the program and everything it started; returns when they are gone."""
        if self._process is None:
            return
        pids = self._pids()
        _signal(pids, signal.SIGKILL)
        self._process.wait()
        still_there = ServerFailedError(f"{self.name} still exists 10 s after kill -9")
        wait_until(lambda: not any(map(alive, pids)), seconds=10, failure=lambda: still_there)
        self._process = None

    def freeze(self) -> None:
        """It keeps its sockets and does not respond, like a machine that hangs."""
        _signal(self._pids(), signal.SIGSTOP)

    def thaw(self) -> None:
        _signal(self._pids(), signal.SIGCONT)

    def _too_late(self, seconds: float) -> ServerFailedError:
        return ServerFailedError(f"{self.name} did not respond within {seconds:g} s\n{self.log_tail()}")

    def _spawn(self, log: int) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            self._command,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            env=self._env,
            cwd=self.log.parent,
            process_group=0,
        )

    def _pids(self) -> list[int]:
        # Not killpg: each backend of PostgreSQL leads its own process group.
        return [] if self._process is None else with_descendants(self._process.pid)


def guarded(user: str | None = None) -> list[str]:
    """A command prefix: the command ends with its parent and, if given, runs as `user`."""
    setpriv = shutil.which("setpriv")
    if setpriv is None and user is not None:
        raise ServerFailedError(f"'setpriv' (Debian: util-linux) is needed to run a server as {user!r}")
    if setpriv is None:
        return []
    as_user = [] if user is None else [f"--reuid={user}", f"--regid={_group_of(user)}", "--clear-groups"]
    return [setpriv, *as_user, "--pdeathsig=KILL", "--"]


def _group_of(user: str) -> int:
    return pwd.getpwnam(user).pw_gid


@functools.cache
def _forking_thread() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(max_workers=1, thread_name_prefix="server-starter")


def _signal(pids: Sequence[int], number: int) -> None:
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, number)
