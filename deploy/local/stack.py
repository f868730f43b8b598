"""`python -m local.stack`: the three servers and Postlog's four processes, until Ctrl-C. Their data ends with them.

Kill one of the processes to watch the system recover: it is started again.
"""

import argparse
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

from local.find import Servers, ServerUnavailableError
from local.folders import server_folder
from local.ports import free_port, port_is_free
from local.processes import ServerFailedError, ServerProcess, guarded
from local.waiting import answers_ok

# Each process, by the words of its command line, and the port that is tried first: its default.
_PROCESSES = {"serve command": 8000, "serve query": 8001, "relay": 8002, "project": 8003}


def main() -> int:
    """0 if stopped by Ctrl-C or SIGTERM; 1 if a process of Postlog does not become ready; 2 if it can't start."""
    parser = argparse.ArgumentParser(prog="python -m local.stack", description=__doc__)
    parser.add_argument("--servers-only", action="store_true", help="without Postlog's own processes")
    servers_only: bool = parser.parse_args().servers_only
    stopped = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stopped.set())
    try:
        with Servers() as servers, server_folder() as folder:
            settings = start_servers(servers)
            if servers_only:
                stopped.wait()
                return 0
            return run_postlog(settings, folder, stopped)
    except (ServerFailedError, ServerUnavailableError) as error:
        print(error, file=sys.stderr)
        return 2


def start_servers(servers: Servers) -> dict[str, str]:
    """Postlog's settings for these servers, as environment variables."""
    settings = {
        "POSTLOG__EVENT_STORE__ADAPTER": "mongo",
        "POSTLOG__EVENT_STORE__MONGO__URL": servers.mongo_url(),
        "POSTLOG__BUS__ADAPTER": "kafka",
        "POSTLOG__BUS__KAFKA__BOOTSTRAP_SERVERS": servers.kafka_bootstrap(),
        "POSTLOG__READ_DB__ADAPTER": "postgres",
        "POSTLOG__READ_DB__POSTGRES__URL": servers.postgres_url(),
    }
    for name, value in settings.items():
        print(f"{name}={value}", flush=True)
    return settings


def run_postlog(settings: dict[str, str], folder: Path, stopped: threading.Event) -> int:
    postlog = Path(sys.executable).with_name("postlog")
    environment = {**os.environ, **settings}
    init = subprocess.run([*guarded(), str(postlog), "init"], env=environment, check=False)
    if init.returncode != 0:
        raise ServerFailedError(f"`postlog init` exited with status {init.returncode}")
    processes: dict[ServerProcess, int] = {}
    try:
        for words, first_choice in _PROCESSES.items():
            port = first_choice if port_is_free(first_choice) else free_port()
            processes[_start(words, port, postlog, environment, folder)] = port
        for process, port in processes.items():
            _wait_until_ready(process, port)
            print(f"{process.name}: http://127.0.0.1:{port}", flush=True)
        print(_what_to_try(list(processes.values())), flush=True)
        print(f"logs: {folder}; stop with Ctrl-C", flush=True)
        while not stopped.wait(0.2):
            for process, port in processes.items():
                _start_again_if_ended(process, port)
    except ServerFailedError as error:
        print(error, file=sys.stderr)
        return 1
    finally:
        for process in reversed(processes):
            process.stop()
    return 0


def _what_to_try(ports: list[int]) -> str:
    """`ports` are those of `_PROCESSES`, in their order."""
    commands, queries, relay, projector = (f"http://127.0.0.1:{port}" for port in ports)
    post = '{"author": "Ann", "message": "Hello"}'
    return f"""
Everything is ready. Open the pages at {queries}/ (read-only), the API at {commands}/docs and {queries}/docs.
A post that goes through MongoDB, Kafka and PostgreSQL:
  curl -s {commands}/api/v1/posts -H 'Content-Type: application/json' -d '{post}'
  curl -s {queries}/api/v1/posts
Relay and projector have {relay}/health/ready and {projector}/metrics.
Kill any of the processes (kill -9): it is started again, and the rows catch up.
"""


def _start(words: str, port: int, postlog: Path, environment: dict[str, str], folder: Path) -> ServerProcess:
    listens = "HTTP" if words.startswith("serve") else "WORKER"
    own = {f"POSTLOG__{listens}__HOST": "127.0.0.1", f"POSTLOG__{listens}__PORT": str(port)}
    process = ServerProcess(
        f"postlog {words}",
        [postlog, *words.split()],
        log=folder / f"{words.replace(' ', '-')}.log",
        env={**environment, **own},
    )
    process.start()
    return process


def _wait_until_ready(process: ServerProcess, port: int) -> None:
    process.wait_until(lambda: answers_ok(port, "/health/ready"), seconds=60)


def _start_again_if_ended(process: ServerProcess, port: int) -> None:
    """Like a service manager; if the process does not become ready again, the stack ends."""
    if process.running:
        return
    print(f"{process.name} has exited; restarting it", flush=True)
    process.start()
    _wait_until_ready(process, port)
    print(f"{process.name} is ready again", flush=True)


if __name__ == "__main__":
    sys.exit(main())
