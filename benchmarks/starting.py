"""How long a server takes from the start of its process to its first good answer."""

import http.client
import json
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from benchmarks.rounds import WrongResult

_POLL_SECONDS, _LONGEST_SECONDS = 0.003, 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class FirstRequest:
    method: str
    path: str
    body: object | None
    status: int


def first_answer_seconds(
    command: Sequence[str], environment: Mapping[str, str], port: int, request: FirstRequest
) -> float:
    """Asked every few milliseconds until it is answered. The process is stopped afterwards."""
    started = time.perf_counter()
    process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        while time.perf_counter() - started < _LONGEST_SECONDS:
            if (status := _status(port, request)) is not None:
                seconds = time.perf_counter() - started
                if status != request.status:
                    raise WrongResult(f"{command[0]} answered with {status} instead of {request.status}")
                return seconds
            if process.poll() is not None:
                raise WrongResult(f"{command[0]} ended with status {process.returncode}")
            time.sleep(_POLL_SECONDS)
        raise WrongResult(f"{command[0]} did not answer within {_LONGEST_SECONDS:g} s")
    finally:
        process.terminate()
        process.wait()


def _status(port: int, request: FirstRequest) -> int | None:
    """None: nobody listens yet."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=_LONGEST_SECONDS)
    try:
        body = None if request.body is None else json.dumps(request.body)
        connection.request(request.method, request.path, body, {"Content-Type": "application/json"})
        return connection.getresponse().status
    except OSError:
        return None
    finally:
        connection.close()
