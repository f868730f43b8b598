"""No password shows in anything that is printed or answered, nor in the list of processes: with right ones and wrong
ones, mistyped addresses, and servers that are away. Everything is logged that can be."""

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import psycopg
import pymongo
import pytest
from psycopg import sql
from sqlalchemy import URL, make_url

from integration.distributed.system import System, delete_topic
from integration.logins.places import ask, connect
from integration.logins.watched import Password, Watch, command_lines, watching
from local.ports import free_port
from local.waiting import wait_until
from running import POSTLOG, Running, postlog, ticks

pytestmark = pytest.mark.timeout(300)

SERVICES = {
    "commands": ("serve", "command"),
    "queries": ("serve", "query"),
    "relay": ("relay",),
    "projector": ("project",),
}
JOBS = [
    *(("config",), ("config", "--json"), ("init",), ("doctor",), ("audit",), ("rebuild",)),
    *(("parked", "list"), ("events", "check")),
]
FEWER_JOBS = [("config",), ("doctor",), ("rebuild",)]
SHORT_WAITS = {
    "POSTLOG__COMMANDS__TIMEOUT_SECONDS": "3",
    "POSTLOG__EVENT_STORE__MONGO__APPEND_TIMEOUT_SECONDS": "2",
    "POSTLOG__EVENT_STORE__MONGO__READ_TIMEOUT_SECONDS": "2",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Addresses:
    """With `{}` where the password stands."""

    mongo: str
    mongo_admin: str
    rows: str
    rows_admin: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Secretive:
    """A system with an administrator and a service's login on every server, each with a password of its own."""

    folder: Path
    adapter: str
    settings: dict[str, str]
    addresses: Addresses
    passwords: tuple[Password, Password, Password, Password]

    def system(self, **changes: str) -> System:
        return System(self.folder, self.settings | changes, POSTLOG)  # its services are in the list of processes

    @property
    def from_files(self) -> dict[str, str]:
        """As they are."""
        return self._variables("_FILE", *(password.in_url for password in self.passwords))

    def with_passwords(self, mongo: str, mongo_admin: str, rows: str, rows_admin: str) -> dict[str, str]:
        return self._variables("", mongo, mongo_admin, rows, rows_admin)

    def _variables(self, how: str, mongo: str, mongo_admin: str, rows: str, rows_admin: str) -> dict[str, str]:
        addresses, server = self.addresses, self.adapter.upper()
        variables = {
            "POSTLOG__EVENT_STORE__MONGO__URL": addresses.mongo.format(mongo),
            "POSTLOG_ADMIN__MONGO_URL": addresses.mongo_admin.format(mongo_admin),
            f"POSTLOG__READ_DB__{server}__URL": addresses.rows.format(rows),
            f"POSTLOG_ADMIN__{server}_URL": addresses.rows_admin.format(rows_admin),
        }
        if how:
            for name, value in variables.items():
                (self.folder / name).write_text(f"{value}\n", encoding="utf-8")
            return {f"{name}{how}": str(self.folder / name) for name in variables}
        return variables


@pytest.fixture(params=["postgres", "sqlserver"])
def secretive(
    request: pytest.FixtureRequest, tmp_path: Path, mongo_with_logins_url: str, kafka_bootstrap: str
) -> Iterator[Secretive]:
    admin = make_url(request.getfixturevalue(f"{request.param}_url"))
    name = f"shown_{free_port()}"
    passwords = Password.new(), Password.new(), Password.new(), Password.new()
    hosts = mongo_with_logins_url.rpartition("@")[2]
    rows = _template(admin.set(username=f"{name}_service", database=name))
    addresses = Addresses(
        mongo=f"mongodb://{name}_service:{{}}@{hosts}",
        mongo_admin=f"mongodb://{name}_admin:{{}}@{hosts}",
        rows=rows,
        rows_admin=_template(admin.set(username=f"{name}_admin")),
    )
    settings = SHORT_WAITS | {
        "POSTLOG__EVENT_STORE__ADAPTER": "mongo",
        "POSTLOG__EVENT_STORE__MONGO__DATABASE": name,
        "POSTLOG__BUS__ADAPTER": "kafka",
        "POSTLOG__BUS__KAFKA__BOOTSTRAP_SERVERS": kafka_bootstrap,
        "POSTLOG__BUS__KAFKA__TOPIC": name,
        "POSTLOG__READ_DB__ADAPTER": request.param,
        "POSTLOG__LOG__LEVEL": "debug",
    }
    rows_server = _postgres_administrator if request.param == "postgres" else _sqlserver_administrator
    with (
        _mongo_administrator(mongo_with_logins_url, name, passwords[1]),
        rows_server(admin, name, passwords[3]),
    ):
        yield Secretive(
            folder=tmp_path, adapter=request.param, settings=settings, addresses=addresses, passwords=passwords
        )
    delete_topic(kafka_bootstrap, name)


def test_nothing_shows_them_when_all_is_well(secretive: Secretive) -> None:
    posts = secretive.folder / "posts.ndjson"
    line = {"externalId": "1", "author": "Ann", "message": "Imported", "datePosted": "2026-11-23T12:00:00Z", "likes": 2}
    posts.write_text(json.dumps(line), encoding="utf-8")
    services = {name: value for name, value in secretive.from_files.items() if name.startswith("POSTLOG__")}
    with watching(*secretive.passwords) as watch, secretive.system() as system:
        _run(system, watch, secretive.from_files, 0, ("init",))
        for name, words in SERVICES.items():
            system.start(name, *words, **services)
        system.wait_until_ready(*SERVICES)
        created = _create(system)
        assert created.status_code == httpx.codes.CREATED, created.text
        _run(system, watch, services, 0, ("import", str(posts)))
        system.wait_for_lag_0("queries", 2)
        _run(system, watch, services, 0, *JOBS, ("events", "show", created.json()["id"]))
        _rebuild_over_http(system, watch)
        for path in ("/api/v1/posts", "/api/v1/read-db", "/health/ready", "/metrics"):
            watch.note(system.get("queries", path).text)
        watch.note(system.get("commands", f"{created.headers['location']}/events").text, system.printed())
    assert any("postlog project" in line for line in watch.command_lines)
    assert watch.found() == []


@pytest.mark.long
def test_nothing_shows_them_when_they_are_wrong(secretive: Secretive) -> None:
    wrong = [Password.new() for _ in range(4)]
    with watching(*secretive.passwords, *wrong) as watch, secretive.system() as system:
        _run(system, watch, secretive.from_files, 0, ("init",))
        given = secretive.with_passwords(*(password.in_url for password in wrong))
        said = _run(system, watch, given, 2, ("init",))
        assert "POSTLOG_ADMIN__MONGO_URL" in said
        services = {name: value for name, value in given.items() if name.startswith("POSTLOG__")}
        said = _run(system, watch, services, None, *FEWER_JOBS)
        assert f"read_db.{secretive.adapter}.url" in said
        assert "event_store.mongo.url" in said
        _stay_red(system, watch, services)
    assert watch.found() == []


@pytest.mark.long
def test_nothing_shows_them_when_servers_are_away(secretive: Secretive) -> None:
    kafka = Password.new()
    nobody = f"127.0.0.1:{free_port()}"
    kafka_settings = {
        "POSTLOG__BUS__KAFKA__BOOTSTRAP_SERVERS": nobody,
        "POSTLOG__BUS__KAFKA__SECURITY": "sasl_plaintext",
        "POSTLOG__BUS__KAFKA__USERNAME": "postlog",
        "POSTLOG__BUS__KAFKA__PASSWORD": kafka.text,
    }
    given = secretive.with_passwords(*(password.in_url for password in secretive.passwords))
    away = {name: _elsewhere(value, nobody) for name, value in given.items()}
    with watching(kafka, *secretive.passwords) as watch, secretive.system(**kafka_settings) as system:
        said = _run(system, watch, away, 2, ("init",))
        assert "POSTLOG_ADMIN__MONGO_URL" in said
        services = {name: value for name, value in away.items() if name.startswith("POSTLOG__")}
        _run(system, watch, services, None, *FEWER_JOBS)
        said = _stay_red(system, watch, services)
        for setting in (f"read_db.{secretive.adapter}.url", "event_store.mongo.url", "bus.kafka.bootstrap_servers"):
            assert setting in said
    assert watch.found() == []


def test_nothing_shows_them_when_they_were_not_escaped(secretive: Secretive) -> None:
    """As they are handed out, signs and all: the address is another one then, or none."""
    given = secretive.with_passwords(*(password.text for password in secretive.passwords))
    with watching(*secretive.passwords) as watch, secretive.system() as system:
        _run(system, watch, given, 2, ("init",))
        services = {name: value for name, value in given.items() if name.startswith("POSTLOG__")}
        _run(system, watch, services, None, *FEWER_JOBS)
    assert watch.found() == []


def test_a_password_that_did_show_would_be_found() -> None:
    password = Password.new()
    with watching(password) as watch:
        command = [sys.executable, "-c", "input()", password.in_url]
        with subprocess.Popen(command, stdin=subprocess.PIPE) as process:
            wait_until(
                lambda: any(password.in_url in line for line in command_lines() & watch.command_lines),
                seconds=20,
                failure=lambda: TimeoutError("It is not in the list of processes."),
            )
            process.communicate(b"\n")
        watch.note(f"first line\nlogin {password.words[3]} failed", json.dumps(password.text), repr(password.text))
    assert len(watch.found()) == 4


def _run(system: System, watch: Watch, given: dict[str, str], status: int | None, *jobs: tuple[str, ...]) -> str:
    """What they print; all end with `status`, or, for None, in a sentence that is no surprise to Postlog."""
    said = ""
    for words in jobs:
        done = postlog(*words, env=system.settings | given, timeout=120)
        said += done.stdout + done.stderr
        assert status is None or done.returncode == status, f"{words}: {done.stdout}{done.stderr}"
    assert "Traceback" not in said
    assert "Something unexpected" not in said
    watch.note(said)
    return said


def _rebuild_over_http(system: System, watch: Watch) -> None:
    """In a child process of the query service."""
    begun = httpx.post(f"{system.url('queries')}/api/v1/read-db/rebuilds", timeout=60)
    assert begun.status_code == httpx.codes.ACCEPTED, begun.text
    for _ in ticks(60, "The rebuild does not end."):
        answer = system.get("queries", begun.headers["location"])
        if answer.json()["state"] != "running":
            break
    assert answer.json()["state"] == "swapped", answer.text
    watch.note(begun.text, answer.text)


def _stay_red(system: System, watch: Watch, given: dict[str, str]) -> str:
    """Start every service; none becomes ready. What they print and answer."""
    for name, words in SERVICES.items():
        system.start(name, *words, **given)
    for name in SERVICES:
        _wait_until_red(system, name, system[name])
        watch.note(system.get(name, "/health/ready").text, system.get(name, "/metrics").text)
    answers = [_create(system), system.get("queries", "/api/v1/posts")]
    assert [answer.status_code for answer in answers] == [503, 503]
    watch.note(*(answer.text for answer in answers), system.printed())
    return system.printed() + "".join(answer.text for answer in answers)


def _wait_until_red(system: System, name: str, running: Running) -> None:
    running.address(40)
    for _ in ticks(40, f"{name} says nothing of what is wrong:\n{running.printed}"):
        if system.get(name, "/health/ready").status_code == 503 and "not ready" in running.printed:
            return


def _create(system: System) -> httpx.Response:
    return httpx.post(f"{system.url('commands')}/api/v1/posts", json={"author": "Ann", "message": "Hi"}, timeout=20)


def _template(url: URL) -> str:
    return url.set(password="PLACE").render_as_string(hide_password=False).replace(":PLACE@", ":{}@")


def _elsewhere(url: str, host: str) -> str:
    before, _, behind = url.rpartition("@")
    return f"{before}@{host}/{behind.partition('/')[2]}"


@contextmanager
def _mongo_administrator(url: str, name: str, password: Password) -> Iterator[None]:
    with pymongo.MongoClient(url, timeoutMS=10_000) as client:
        client.admin.command("createUser", f"{name}_admin", pwd=password.text, roles=["root"])
        try:
            yield
        finally:
            client.drop_database(name)
            client[name].command("dropAllRolesFromDatabase")
            for login in (f"{name}_admin", f"{name}_service"):
                if client.admin.command("usersInfo", login)["users"]:
                    client.admin.command("dropUser", login)


@contextmanager
def _postgres_administrator(admin: URL, name: str, password: Password) -> Iterator[None]:
    url = admin.render_as_string(hide_password=False)
    with connect(url) as connection:
        made = sql.SQL("CREATE ROLE {} SUPERUSER LOGIN PASSWORD {}")
        connection.execute(made.format(sql.Identifier(f"{name}_admin"), sql.Literal(password.text)))
        connection.execute(f"CREATE ROLE {name}_somebody LOGIN".encode())  # or `init` would close others' databases
        try:
            yield
        finally:
            connection.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)".encode())
            for login in (f"{name}_service", f"{name}_admin", f"{name}_somebody"):
                _drop_role(connection, login)


def _drop_role(connection: psycopg.Connection, login: str) -> None:
    connection.execute(f"DROP ROLE IF EXISTS {login}".encode())


@contextmanager
def _sqlserver_administrator(admin: URL, name: str, password: Password) -> Iterator[None]:
    url = admin.render_as_string(hide_password=False)
    literal = password.text.replace("'", "''")
    ask(url, f"CREATE LOGIN {name}_admin WITH PASSWORD = N'{literal}'", "master")
    ask(url, f"ALTER SERVER ROLE sysadmin ADD MEMBER {name}_admin", "master")
    try:
        yield
    finally:
        wait_until(
            lambda: _gone(url, name), seconds=20, failure=lambda: TimeoutError(f"{name} was not dropped in SQL Server.")
        )


def _gone(url: str, name: str) -> bool:
    from adapters.sqlserver import driver

    try:
        ask(url, f"DROP DATABASE IF EXISTS {name}", "master")
        for login in (f"{name}_service", f"{name}_admin"):
            if ask(url, f"SELECT SUSER_ID('{login}')", "master") != [(None,)]:
                ask(url, f"DROP LOGIN {login}", "master")
    except driver.load().Error:
        return False
    return True
