"""Servers as processes, and load on them."""

import http.client
import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from pathlib import Path

from benchmarks.bench import POSTLOG, environment
from benchmarks.rounds import WrongResult
from entrypoints.settings.model import Settings
from local.ports import free_port
from local.processes import ServerProcess

_ROOT = Path(__file__).parents[1]
_GRANIAN = str(Path(sys.executable).with_name("granian"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    method: str
    path: str
    body: Mapping[str, str] | None = None
    status: int
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Seen:
    """`latencies` in seconds."""

    seconds: float
    latencies: Sequence[float]


def serve_postlog(
    stack: ExitStack,
    folder: Path,
    settings: Settings,
    side: str,
    more: Mapping[str, str] = {},
    ready_seconds: float = 60,
) -> int:
    """`postlog serve command` or `query`, or `postlog run`, `relay` or `project`, until the stack closes; its port.
    `more` are variables. A projector is ready when it has caught up with the log."""
    port = free_port()
    env = {**environment(settings), "PORT": str(port), "POSTLOG__WORKER__PORT": str(port), **more}
    words = [POSTLOG, "serve", side] if side in ("command", "query") else [POSTLOG, side]
    _start(stack, ServerProcess(f"postlog {side}", words, log=folder / f"{side}.log", env=env), port, ready_seconds)
    return port


def serve_bare(stack: ExitStack, folder: Path, url: str, database: str) -> int:
    """`benchmarks.bare` on one granian worker with uvloop, which is what Postlog's HTTP side is."""
    port = free_port()
    options = ["--interface", "asgi", "--loop", "uvloop", "--workers", "1", "--no-ws", "--backlog", "2048"]
    env = {**os.environ, "PYTHONPATH": str(_ROOT), "BARE_URL": url, "BARE_DATABASE": database}
    command = [_GRANIAN, *options, "--port", str(port), "benchmarks.bare:app"]
    _start(stack, ServerProcess("the bare handler", command, log=folder / "bare.log", env=env), port, 60)
    return port


def _start(stack: ExitStack, process: ServerProcess, port: int, ready_seconds: float) -> None:
    stack.callback(process.stop)
    process.start()
    process.wait_until(lambda: _answers(port), seconds=ready_seconds)


def _answers(port: int) -> bool:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("GET", "/health/ready")
        return connection.getresponse().status in (200, 404)
    except OSError:
        return False
    finally:
        connection.close()


def load(port: int | Sequence[int], connections: Sequence[Sequence[Call]]) -> Seen:
    """Each connection's calls, one after the other, all connections at once, spread over the ports. `WrongResult` for
    any other status than the call's."""
    ports = [port] if isinstance(port, int) else port
    plan = {"ports": ports, "connections": [[asdict(call) for call in calls] for calls in connections]}
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.load"], input=json.dumps(plan).encode(), stdout=subprocess.PIPE, check=True
    )
    seen = json.loads(done.stdout)
    if seen["wrong"]:
        raise WrongResult(f"answers by status: {seen['wrong']}")
    return Seen(seen["seconds"], seen["latencies"])
