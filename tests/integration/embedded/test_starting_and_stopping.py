"""Starting and stopping `postlog run`, and its messages when it can't start."""

import signal
import socket
import ssl
import threading
from contextlib import suppress
from pathlib import Path
from subprocess import CompletedProcess

import httpx
import pytest

from certificates import Authority
from local.ports import free_port
from running import POSTLOG, Running, embedded, postlog, ticks


def test_a_first_command_succeeds_and_is_read_back(tmp_path: Path):
    with embedded(tmp_path) as (_, address):
        created = httpx.post(f"{address}/api/v1/posts", json={"author": "Ann", "message": "Hello"})
        found = httpx.get(
            f"{address}/api/v1/posts/{created.json()['id']}",
            headers={"Postlog-Min-Position": str(created.json()["position"])},
        )
        docs = httpx.get(f"{address}/docs")

    assert (created.status_code, found.status_code, docs.status_code) == (201, 200, 200)
    assert found.json()["message"] == "Hello"
    assert sorted(path.name for path in tmp_path.glob("*.sqlite")) == ["log.sqlite", "read.sqlite"]


def test_a_read_database_of_another_log_takes_no_commands_down_and_readiness_says_why(tmp_path: Path):
    post = {"author": "Ann", "message": "Hello"}
    with embedded(tmp_path / "one") as (_, address):
        written = httpx.post(f"{address}/api/v1/posts", json=post).json()
        httpx.get(f"{address}/api/v1/posts", headers={"Postlog-Min-Position": str(written["position"])})
    rows = {"POSTLOG__READ_DB__SQLITE__PATH": str(tmp_path / "one" / "read.sqlite")}
    with embedded(tmp_path / "two", **rows) as (running, address):
        for _ in ticks(20, f"readiness does not tell:\n{running.printed}"):
            ready = httpx.get(f"{address}/health/ready")
            if "was filled from log" in ready.text:
                break
        created = httpx.post(f"{address}/api/v1/posts", json=post)
        assert running.process.poll() is None

    assert (ready.status_code, created.status_code) == (503, 201)
    assert running.printed.count("the projector stopped, retrying every 5 s") == 1
    assert "Traceback" not in running.printed


def test_a_position_beyond_the_log_is_refused_at_once(tmp_path: Path):
    """Without waiting for rows that would never arrive."""
    with embedded(tmp_path, POSTLOG__HTTP__MIN_POSITION_WAIT_SECONDS="600") as (_, address):
        position = httpx.post(f"{address}/api/v1/posts", json={"author": "Ann", "message": "Hello"}).json()["position"]
        beyond = {"Postlog-Min-Position": str(position + 1)}
        refused = httpx.get(f"{address}/api/v1/posts", headers=beyond, timeout=30)
        page = httpx.get(f"{address}/?position={position + 1}", timeout=30)
        explained = httpx.get(f"{address}{refused.json()['type']}")

    assert (refused.status_code, refused.json()["code"]) == (409, "position-beyond-log")
    assert "names position 2, but the log ends at 1" in refused.json()["detail"]
    assert page.status_code == 409
    assert 'href="/"' in page.text  # the link to the page that does not wait
    assert explained.status_code == 200


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_open_event_stream_does_not_delay_the_shutdown(tmp_path: Path, number: signal.Signals):
    with embedded(tmp_path) as (running, address):
        post_id = httpx.post(f"{address}/api/v1/posts", json={"author": "Ann", "message": "Hello"}).json()["id"]
        seen: list[str] = []
        reader = threading.Thread(target=read_stream, args=(f"{address}/api/v1/posts/{post_id}/events", seen))
        reader.start()
        for _ in ticks(10, running.printed):
            if any("PostCreated" in line for line in seen):
                break
        status = running.signal(number, deadline=5)
        reader.join(5)

    assert status == 0, running.printed
    assert not reader.is_alive()


def read_stream(url: str, seen: list[str]) -> None:
    try:
        with httpx.stream("GET", url, headers={"Accept": "text/event-stream"}, timeout=30) as stream:
            seen.extend(stream.iter_lines())
    except httpx.TransportError:
        return


def test_a_port_in_use_is_reported_in_one_sentence(tmp_path: Path):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        result = postlog("run", env={"POSTLOG_DATA": str(tmp_path), "PORT": str(taken.getsockname()[1])})

    assert result.returncode == 2
    assert "http.port" in one_sentence(result)


def test_a_folder_that_cannot_be_written_is_reported_in_one_sentence(tmp_path: Path):
    blocked = tmp_path / "a file, not a folder"
    blocked.write_text("")
    result = postlog("run", env={"POSTLOG_DATA": str(blocked / "data"), "PORT": "0"})

    assert result.returncode == 2
    assert "event_store.sqlite.path" in one_sentence(result)


def one_sentence(result: CompletedProcess[str]) -> str:
    assert result.stdout == ""
    [sentence] = result.stderr.splitlines()
    assert sentence.startswith("Error: ")
    return sentence


def test_a_broken_settings_file_is_reported_with_every_error_and_its_path(tmp_path: Path):
    broken = tmp_path / "broken.yaml"
    broken.write_text("http: {prot: 80, port: many}\nread_db: {adapter: oracle}\n")
    result = postlog("run", "--config", str(broken), env={"POSTLOG_DATA": str(tmp_path)})

    assert result.returncode == 2
    for path in ("http.prot", "http.port", "read_db.adapter"):
        assert path in result.stderr
    assert "Traceback" not in result.stderr


def test_commands_and_queries_are_served_apart_on_one_folder(tmp_path: Path):
    env = {"POSTLOG_DATA": str(tmp_path), "PORT": "0", "POSTLOG__WORKER__PORT": "0"}
    with (
        Running(tmp_path, "serve", "command", env=env, program=POSTLOG) as command,
        Running(tmp_path, "project", env=env, program=POSTLOG) as projector,
        Running(tmp_path, "serve", "query", env=env, program=POSTLOG) as query,
    ):
        projector.address()
        created = httpx.post(f"{command.address()}/api/v1/posts", json={"author": "Ann", "message": "Hello"}).json()
        found = httpx.get(
            f"{query.address()}/api/v1/posts/{created['id']}",
            headers={"Postlog-Min-Position": str(created["position"])},
        )
        not_served = httpx.get(f"{command.address()}/api/v1/posts/{created['id']}")

    assert found.status_code == 200, found.text
    assert not_served.status_code in (404, 405)


def test_a_worker_serves_its_health_and_metrics_by_tls(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    made = authority.sign("worker")
    env = {
        "POSTLOG_DATA": str(tmp_path),
        "POSTLOG__WORKER__PORT": str(port := free_port()),
        "POSTLOG__WORKER__TLS__CERTIFICATE": str(made.certificate),
        "POSTLOG__WORKER__TLS__KEY": str(made.key),
    }
    knowing = ssl.create_default_context(cafile=authority.certificate)
    with Running(tmp_path, "project", env=env) as running, httpx.Client(verify=knowing, timeout=5) as client:
        for _ in ticks(20, f"it does not answer:\n{running.printed}"):
            with suppress(httpx.TransportError):
                if client.get(f"https://127.0.0.1:{port}/metrics").status_code == httpx.codes.OK:
                    break
        with pytest.raises(httpx.TransportError):
            httpx.get(f"http://127.0.0.1:{port}/metrics")
        assert f"https://127.0.0.1:{port}" in running.printed
