"""`postlog run`, `serve` and `project` as processes: what they print, when they end, and with which status."""

import asyncio
import gc
import json
import os
import re
import signal
import socket
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from entrypoints.cli import main, services
from entrypoints.composition.container import container_for
from entrypoints.composition.resources import Resources
from entrypoints.settings.loading import LoadedSettings, load_settings
from entrypoints.worker import ProcessRoles
from running import ticks

POSTLOG = (sys.executable, "-m", "entrypoints.cli.main")
MEMORY = ("--set=event_store.adapter=memory", "--set=bus.adapter=memory", "--set=read_db.adapter=memory")
HELLO = {"author": "ann", "message": "Hello"}


@contextmanager
def running(*arguments: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """The process, and the address that it prints on stdout. It is stopped by SIGTERM, and must end with status 0."""
    process = subprocess.Popen([*POSTLOG, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    with process:
        try:
            assert process.stdout is not None
            line = process.stdout.readline()
            address = re.search(r"http://127\.0\.0\.1:\d+", line)
            assert address is not None, (line, process.stderr and process.stderr.read())
            yield process, address.group()
        finally:
            process.terminate()
            assert process.wait(10) == 0


def test_a_service_in_memory_leaves_no_files(tmp_path: Path) -> None:
    with running("run", "--port", "0", *MEMORY) as (_, address):
        created = httpx.post(f"{address}/api/v1/posts", json=HELLO)
        newest = {"Postlog-Min-Position": str(created.json()["position"])}
        found = httpx.get(f"{address}{created.headers['location']}", headers=newest)
    assert (created.status_code, found.status_code, found.json()["message"]) == (201, 200, "Hello")
    assert list(tmp_path.iterdir()) == []


def test_default_ports_of_processes_do_not_clash(monkeypatch: pytest.MonkeyPatch) -> None:
    ports: dict[str, int] = {}

    def note(loaded: LoadedSettings, verb: str, roles: ProcessRoles) -> int:
        settings = loaded.settings
        ports[verb] = (settings.http if roles.commands or roles.queries else settings.worker).port
        return 0

    for module in ("services", "audit"):
        monkeypatch.setattr(f"entrypoints.cli.{module}.run_service_until_stopped", note)
    assert main.run(["init"]) == 0  # an audit makes no files
    kafka = "--set=bus.adapter=kafka"
    for verb in ("run", "serve command", "serve query", f"relay {kafka}", "project", "audit --continuous"):
        assert main.run(verb.split()) == 0

    assert ports == {
        "run": 8000,
        "serve command": 8000,
        "serve query": 8001,
        "relay": 8002,
        "project": 8003,
        "audit": 8004,
    }


@pytest.mark.parametrize("given", ["--port=7000", "--set=http.port=7000", "PORT", "POSTLOG__HTTP__PORT", "file"])
def test_a_given_port_replaces_the_default_of_the_command(
    given: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    ports: list[int] = []
    arguments = [given] if given.startswith("--") else []
    if given == "file":
        (tmp_path / "settings.yaml").write_text("http: {port: 7000}", encoding="utf-8")
        arguments = ["--config", "settings.yaml"]
    elif not arguments:
        monkeypatch.setenv(given, "7000")

    def note(loaded: LoadedSettings, *_: object) -> int:
        ports.append(loaded.settings.http.port)
        return 0

    monkeypatch.setattr("entrypoints.cli.services.run_service_until_stopped", note)
    assert main.run(["serve", "query", *arguments]) == 0
    assert ports == [7000]


def test_a_projector_serves_health_and_metrics_only() -> None:
    with running("project", "--port", "0") as (_, address):
        for _ in ticks(20, "it is not ready"):
            if httpx.get(f"{address}/health/ready").json()["status"] == "ready":
                break
        metrics = httpx.get(f"{address}/metrics").text
        posts = httpx.get(f"{address}/api/v1/posts")
    assert "postlog_process_cpu_seconds_total" in metrics
    assert posts.status_code == 404


def test_rows_of_another_log_end_a_projector_with_one_sentence() -> None:
    """It has nothing else to do; `run` goes on serving commands."""

    async def claim_for_another_log() -> None:
        async with Resources(container_for(load_settings(environ=os.environ).settings)) as resources:
            store = (await resources.open_read_db()).projection_store
            await store.claim(1, "0198c0de-0000-7000-8000-00000000000b", 1)

    asyncio.run(claim_for_another_log())
    result = subprocess.run(
        [*POSTLOG, "project", "--port", "0"], capture_output=True, text=True, timeout=30, check=False
    )
    assert result.returncode == 2
    errors = [line for line in result.stderr.splitlines() if line.startswith("Error: ")]
    assert len(errors) == 1
    assert errors[0].startswith("Error: The read database was filled from log 0198c0de-0000-7000-8000-00000000000b")
    assert "Traceback" not in result.stderr


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_during_the_start_ends_with_status_0(number: signal.Signals, monkeypatch: pytest.MonkeyPatch) -> None:
    """Before the service listens for signals itself."""

    async def starting(*_: object) -> None:
        os.kill(os.getpid(), number)
        await asyncio.Event().wait()

    monkeypatch.setattr(services, "run_service", starting)
    before = signal.getsignal(signal.SIGTERM)
    try:
        try:
            status = main.run(["run"])
        except SystemExit as leaving:
            status = leaving.code if isinstance(leaving.code, int) else -1
    finally:
        signal.signal(signal.SIGTERM, before)
        gc.enable()
    assert status == 0


@pytest.mark.parametrize(
    "verb", [["serve", "command"], ["serve", "query"], ["project"], ["relay"], ["init"], ["doctor"]]
)
def test_memory_is_refused_where_another_process_could_not_see_it(
    verb: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main.run([*verb, *MEMORY]) == 2
    printed = capsys.readouterr()
    assert f"is memory, which only a single `postlog run` process can use; `postlog {' '.join(verb)}` needs" in (
        printed.err + printed.out
    )


def test_a_relay_needs_a_bus(capsys: pytest.CaptureFixture[str]) -> None:
    assert main.run(["relay"]) == 2
    assert "bus.adapter is log: projectors read the log directly, so no relay is needed" in capsys.readouterr().err


def test_a_side_must_be_named(capsys: pytest.CaptureFixture[str]) -> None:
    assert main.run(["serve"]) == 2
    assert "Error: Missing argument" in capsys.readouterr().err
    assert main.run(["serve", "both"]) == 2
    assert "'both' is not one of 'command', 'query'" in capsys.readouterr().err


def test_another_read_database_can_be_projected(capsys: pytest.CaptureFixture[str]) -> None:
    assert main.run(["project", "--read-db", "oracle"]) == 2
    assert "read_db.adapter is 'oracle'; it must be one of sqlite, postgres" in capsys.readouterr().err


def test_init_reports_what_it_creates_and_can_be_repeated(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert main.run(["init"]) == 0
    log, rows, where = capsys.readouterr().out.splitlines()
    assert log == "Created the event log var/log.sqlite: a SQLite file with its tables."
    assert rows.startswith("Created the tables of the read database var/read.sqlite (revision ")
    assert main.run(["init"]) == 0
    said, where = capsys.readouterr().out.splitlines()
    assert said == "Everything exists already; nothing was changed."
    assert where.startswith(f"Log: sqlite {tmp_path / 'var/log.sqlite'}. Read database: ")
    assert sorted(path.name for path in (tmp_path / "var").glob("*.sqlite")) == ["log.sqlite", "read.sqlite"]


AWAY = ["--set", "event_store.adapter=mongo"]
NOBODY = "mongodb://ann:s3cr3t@127.0.0.1:1/?serverSelectionTimeoutMS=100"


def test_init_creates_what_it_can_when_a_server_is_unavailable(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("POSTLOG__EVENT_STORE__MONGO__URL", NOBODY)
    assert main.run(["init", *AWAY]) == 2
    printed = capsys.readouterr()
    problem, summary = printed.err.splitlines()
    assert problem.startswith("Error: event_store: The event store, MongoDB at mongodb://ann:***@127.0.0.1:1/ (")
    assert summary == "Incomplete: event_store. Everything else exists; fix this and run `postlog init` again."
    assert "s3cr3t" not in printed.err + printed.out
    with sqlite3.connect(tmp_path / "var/read.sqlite") as connection:
        assert connection.execute("SELECT count(*) FROM sqlite_master WHERE type = 'table'").fetchone()[0] > 3
    assert main.run(["init", "--json", *AWAY]) == 2
    [record] = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert record["missing"] == "event_store"
    assert "event_store.mongo.url" in record["reason"]


def test_the_doctor_checks_the_rows_while_the_log_is_unavailable(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert main.run(["init"]) == 0
    capsys.readouterr()
    monkeypatch.setenv("POSTLOG__EVENT_STORE__MONGO__URL", NOBODY)
    assert main.run(["doctor", *AWAY]) == 2
    lines = capsys.readouterr().out.splitlines()
    checks = [line.split(":")[0] for line in lines]
    assert checks[1] == "problem  event_store"
    assert [check for check in checks if check.endswith(("read_db schema", "parked posts", "rebuild"))] == [
        "ok       read_db schema",
        "ok       parked posts",
        "ok       rebuild",
    ]


def test_the_doctor_checks_the_rows_while_the_log_can_not_be_opened(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert main.run(["init"]) == 0
    capsys.readouterr()
    monkeypatch.setenv("POSTLOG__EVENT_STORE__MONGO__URL", "mongodb://127.0.0.1:1/?tls=true&tlsCAFile=/not/there.pem")
    assert main.run(["doctor", *AWAY]) == 2
    out = capsys.readouterr().out
    assert "problem  event_store: MongoDB's client can't use a file that event_store.mongo.url names" in out
    assert "ok       parked posts" in out


@pytest.mark.parametrize(
    "verb",
    [
        ("run", *MEMORY),
        pytest.param(("serve", "command"), marks=pytest.mark.long),
        pytest.param(("serve", "query"), marks=pytest.mark.long),
        ("project",),
        pytest.param(
            ("relay", "--set=bus.adapter=kafka", "--set=bus.kafka.bootstrap_servers=127.0.0.1:1"),
            marks=pytest.mark.long,
        ),
        pytest.param(("audit", "--continuous"), marks=pytest.mark.long),
    ],
    ids=" ".join,
)
def test_the_service_responds_as_soon_as_the_address_is_printed(verb: tuple[str, ...]) -> None:
    if verb[0] == "audit":
        assert main.run(["init"]) == 0
    with running(*verb, "--port", "0") as (_, address):
        host, port = address.removeprefix("http://").split(":")
        with socket.create_connection((host, int(port)), timeout=30) as client:
            client.sendall(b"GET /health/live HTTP/1.1\r\nHost: localhost\r\n\r\n")
            assert client.recv(4_096).startswith(b"HTTP/1.1 200 ")
