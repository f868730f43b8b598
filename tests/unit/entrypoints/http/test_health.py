"""Health checks and metrics."""

import asyncio
from dataclasses import dataclass

from application.ports.provisioning import ProbeResult
from unit.entrypoints.http.conftest import client_of
from unit.entrypoints.http.fakes import services

STORE = ProbeResult("event_store", ok=True, detail="SQLite answers.")
READ_DB = ProbeResult("read_db", ok=False, detail="read_db.postgres.url: nothing answers there.")


@dataclass
class Says:
    result: ProbeResult

    @property
    def name(self) -> str:
        return self.result.name

    async def probe(self) -> ProbeResult:
        return self.result


class Hangs:
    name = "read_db"

    async def probe(self) -> ProbeResult:
        await asyncio.Event().wait()
        raise AssertionError


class Breaks:
    name = "bus"

    async def probe(self) -> ProbeResult:
        raise RuntimeError("postgresql://user:secret@db")


async def test_a_process_is_alive_though_nothing_else_is() -> None:
    async with client_of(services(probes=(Breaks(),))) as client:
        answer = await client.get("/health/live")
    assert (answer.status_code, answer.json()) == (200, {"status": "live"})


async def test_a_process_is_ready_when_every_server_responds() -> None:
    async with client_of(services(probes=(Says(STORE),))) as client:
        answer = await client.get("/health/ready")
    assert (answer.status_code, answer.headers["cache-control"]) == (200, "no-store")
    assert answer.json() == {
        "status": "ready",
        "checks": [{"name": "event_store", "ok": True, "detail": "SQLite answers."}],
    }


async def test_a_process_is_not_ready_when_one_server_does_not_respond() -> None:
    async with client_of(services(probes=(Says(STORE), Says(READ_DB)))) as client:
        answer = await client.get("/health/ready")
    assert (answer.status_code, answer.headers["retry-after"], answer.json()["status"]) == (503, "1", "not-ready")
    assert [check["ok"] for check in answer.json()["checks"]] == [True, False]


async def test_a_check_that_hangs_or_raises_counts_as_failed_and_reveals_no_secret() -> None:
    async with client_of(services(probes=(Hangs(), Breaks(), Says(STORE)), probe_seconds=0.05)) as client:
        answer = await client.get("/health/ready")
    assert answer.status_code == 503
    assert answer.json()["checks"] == [
        {"name": "read_db", "ok": False, "detail": "There was no response within 0.05 s."},
        {"name": "bus", "ok": False, "detail": "The check itself failed; the log has the reason."},
        {"name": "event_store", "ok": True, "detail": "SQLite answers."},
    ]


async def test_checks_run_concurrently() -> None:
    """Each waits for the other."""
    met = asyncio.Barrier(2)

    class Waits:
        name = "event_store"

        async def probe(self) -> ProbeResult:
            await met.wait()
            return STORE

    async with client_of(services(probes=(Waits(), Waits()))) as client:
        assert (await client.get("/health/ready")).status_code == 200


async def test_a_stopping_process_is_not_ready() -> None:
    stopping = asyncio.Event()
    stopping.set()
    async with client_of(services(stopping=stopping)) as client:
        answer = await client.get("/health/ready")
    assert (answer.status_code, answer.json()["status"]) == (503, "stopping")
