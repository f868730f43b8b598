"""The load generator, a process of its own: HTTP/1.1 over plain asyncio, since a full client would be slower than what
it measures. `python -m benchmarks.load` reads the plan from stdin and writes what it saw to stdout, both JSON:

`{ports: [port, …], connections: [[{method, path, headers, body, status}, …], …]}`
→ `{seconds, latencies: [seconds, …], wrong: {status: n}}`

The connections take the ports in turn. Each sends its requests one after the other. `status` is the one that is right.
"""

import asyncio
import itertools
import json
import sys
import time
from collections import Counter
from typing import Any

import uvloop

_Prepared = tuple[bytes, int]


async def run(plan: dict[str, Any]) -> dict[str, Any]:
    ports = [port for port, _ in zip(itertools.cycle(plan["ports"]), plan["connections"], strict=False)]
    work = [
        [_prepared(request, port) for request in requests]
        for port, requests in zip(ports, plan["connections"], strict=True)
    ]
    streams = [await asyncio.open_connection("127.0.0.1", port) for port in ports]
    latencies: list[float] = []
    wrong: Counter[int] = Counter()
    started = time.perf_counter()
    async with asyncio.TaskGroup() as tasks:
        for (reader, writer), requests in zip(streams, work, strict=True):
            tasks.create_task(_send_all(reader, writer, requests, latencies, wrong))
    seconds = time.perf_counter() - started
    for _, writer in streams:
        writer.close()
    return {"seconds": seconds, "latencies": latencies, "wrong": wrong}


async def _send_all(
    reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
    requests: list[_Prepared],
    latencies: list[float],
    wrong: Counter[int],
) -> None:
    for request, right in requests:
        started = time.perf_counter()
        writer.write(request)
        status = await _answer(reader)
        latencies.append(time.perf_counter() - started)
        if status != right:
            wrong[status] += 1


async def _answer(reader: asyncio.StreamReader) -> int:
    """The status; the body, which must come with its length, is read and thrown away."""
    head = (await reader.readuntil(b"\r\n\r\n")).lower()
    length = head.partition(b"content-length:")[2].partition(b"\r\n")[0]
    await reader.readexactly(int(length))
    return int(head[9:12])


def _prepared(request: dict[str, Any], port: int) -> _Prepared:
    body = b"" if request["body"] is None else json.dumps(request["body"]).encode()
    further = "".join(f"{name}: {value}\r\n" for name, value in request["headers"].items())
    head = (
        f"{request['method']} {request['path']} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n{further}"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body, request["status"]


if __name__ == "__main__":
    json.dump(uvloop.run(run(json.load(sys.stdin))), sys.stdout)
