"""Postlog's own processes, as a person starts them: the real command, on loopback, its data in a test's folder."""

import os
import re
import signal as signals
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Self

import httpx

from forked import Forked
from local.processes import guarded

POSTLOG = Path(sys.executable).with_name("postlog")
_ADDRESS = re.compile(r"http://127\.0\.0\.1:\d+")


def environment(changes: Mapping[str, str] = {}) -> dict[str, str]:
    """This process's, without any setting of Postlog's or OpenTelemetry's, and with these."""
    left_out = ("POSTLOG", "OTEL_")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(left_out) and name != "PORT"}
    return kept | {"NO_COLOR": "1"} | changes


def _program_for(changes: Mapping[str, str]) -> Path | None:
    """Variables of the interpreter have no effect on a fork."""
    return POSTLOG if any(name.startswith("PYTHON") for name in changes) else None


def postlog(
    *arguments: str, env: Mapping[str, str] = {}, timeout: float = 60, program: Path | None = None
) -> subprocess.CompletedProcess[str]:
    """Run a verb to its end. `program` as for `Running`."""
    if program := program or _program_for(env):
        words = [program, *arguments]
        return subprocess.run(words, env=environment(env), capture_output=True, text=True, timeout=timeout, check=False)
    with tempfile.TemporaryDirectory() as folder:
        stdout, stderr = Path(folder) / "stdout", Path(folder) / "stderr"
        process = Forked(arguments, environment(env), stdout, stderr)
        try:
            status = process.wait(timeout)
        except subprocess.TimeoutExpired as late:
            process.send_signal(signals.SIGKILL)
            late.add_note(stdout.read_text() + stderr.read_text())
            raise
        return subprocess.CompletedProcess(process.args, status, stdout.read_text(), stderr.read_text())


class Running:
    """A verb that runs until it is stopped, or the thread that started it ends: tests that are killed leave nothing
    behind. What it prints goes to `output`, stdout and stderr together. With a `program` this is started; otherwise
    Postlog is forked, which is much cheaper."""

    def __init__(
        self,
        folder: Path,
        *arguments: str,
        env: Mapping[str, str] = {},
        program: str | Path | None = None,
        cwd: Path | None = None,
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.output = folder / f"{'-'.join(arguments[:2]).replace('/', '_')}-{time.monotonic_ns()}.log"
        self.process: subprocess.Popen[bytes] | Forked
        program = program or _program_for(env)
        if program is None:
            self.process = Forked(arguments, environment(env), self.output, self.output, cwd)
            return
        with self.output.open("wb") as output:
            self.process = subprocess.Popen(
                [*guarded(), program, *arguments],
                env=environment(env),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                cwd=cwd,
            )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.process.poll() is None:
            self.kill()

    @property
    def printed(self) -> str:
        return self.output.read_text(encoding="utf-8", errors="replace")

    def address(self, deadline: float = 20) -> str:
        """The first address that it prints, once it is ready for requests."""
        for _ in ticks(deadline, f"no address in:\n{self.printed}"):
            found = _ADDRESS.search(self.printed)
            if found and is_live(found.group()):
                return found.group()
            if self.process.poll() is not None:
                raise AssertionError(f"it ended with status {self.process.returncode}:\n{self.printed}")
        raise AssertionError

    def signal(self, number: signals.Signals, deadline: float = 10) -> int:
        """Send a signal and answer the exit status."""
        self.process.send_signal(number)
        return self.process.wait(deadline)

    def signal_group(self, number: signals.Signals, deadline: float = 10) -> int:
        """As a terminal does with Ctrl-C: every process of the group gets it."""
        os.killpg(self.process.pid, number)
        return self.process.wait(deadline)

    def kill(self) -> None:
        """kill -9, the whole process group."""
        os.killpg(self.process.pid, signals.SIGKILL)
        self.process.wait(10)


def ticks(deadline: float, otherwise: str) -> Iterator[None]:
    """Tries, a moment apart, until `deadline` seconds have passed; then the test fails with `otherwise`."""
    until = time.monotonic() + deadline
    while time.monotonic() < until:
        yield
        time.sleep(0.02)
    raise AssertionError(otherwise)


def is_live(address: str) -> bool:
    """Whether a process of Postlog answers there."""
    try:
        return httpx.get(f"{address}/health/live", timeout=2).status_code == httpx.codes.OK
    except httpx.TransportError:
        return False


@contextmanager
def embedded(folder: Path, **env: str) -> Iterator[tuple[Running, str]]:
    """`postlog run` on the embedded default, with its data in `folder`; and its address."""
    settings = {"POSTLOG_DATA": str(folder), "PORT": "0"} | env
    with Running(folder, "run", env=settings) as running:
        yield running, running.address()
