"""A real PostgreSQL on 127.0.0.1 with password logins."""

import os
import secrets
import shutil
import signal
import subprocess
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit

import psycopg

from local.ports import free_port
from local.processes import ServerFailedError, ServerProcess, guarded

# PostgreSQL refuses to run as root.
_USER = "nobody" if os.geteuid() == 0 else None
_OPTIONS = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "shared_buffers": "64MB",
    "max_connections": "200",
    "timezone": "UTC",
}


class Postgres:
    """One server; it keeps its port and data through kill and restart. With a `primary` it starts as its standby, which
    is read-only until it is promoted. `options` are further settings of the server."""

    admin = "postgres"

    def __init__(
        self,
        programs: Path,
        folder: Path,
        primary: "Postgres | None" = None,
        options: Mapping[str, str] | None = None,
    ) -> None:
        self._port = free_port()
        self._folder = folder / f"postgres-{self._port}"
        self._data = self._folder / "data"
        self._primary = primary
        self._options = options or {}
        self._password = urlsplit(primary.url).password if primary else secrets.token_urlsafe(12)
        self._given_programs = programs
        self._process: ServerProcess | None = None

    @property
    def url(self) -> str:
        """SQLAlchemy's form, as the superuser."""
        return f"postgresql+psycopg://{self.admin}:{self._password}@127.0.0.1:{self._port}/postgres"

    def start(self) -> None:
        self._folder.mkdir(parents=True)
        if _USER:
            shutil.chown(self._folder, _USER)
        programs = self._reachable_programs()
        if self._primary is None:
            self._initdb(programs)
        else:
            self._copy(programs, self._primary)
        options = {**_OPTIONS, "port": str(self._port), **self._options}
        settings = [word for name, value in options.items() for word in ("-c", f"{name}={value}")]
        command = [str(programs / "postgres"), "-D", str(self._data), *settings]
        log = self._folder / "postgres.log"
        self._process = ServerProcess("PostgreSQL", command, log=log, env=_environment(), user=_USER)
        self.restart()

    def stop(self) -> None:
        if self._process:
            self._process.stop(signal_number=signal.SIGINT)  # "fast shutdown": does not wait for sessions

    def kill(self) -> None:
        """kill -9 of the server and all its backends; returns when they are gone."""
        self._started.kill()

    def restart(self) -> None:
        """Start the server if it is down, on its old data, and wait until it responds."""
        self._started.start()
        self._started.wait_until(lambda: answers(self.url), seconds=60)

    def promote(self) -> None:
        """Promote a standby; returns when it accepts writes."""
        with psycopg.connect(self.url.replace("+psycopg", "", 1), autocommit=True) as connection:
            connection.execute("SELECT pg_promote()")

    def freeze(self) -> None:
        self._started.freeze()

    def thaw(self) -> None:
        self._started.thaw()

    def heal(self) -> None:
        self.thaw()
        self.restart()

    @property
    def _started(self) -> ServerProcess:
        if self._process is None:
            raise ServerFailedError("PostgreSQL is not started yet")
        return self._process

    def _initdb(self, programs: Path) -> None:
        password = self._folder / "password"
        password.write_text(str(self._password))
        # Without fsync: an empty database need not survive a power failure. The server itself keeps fsync on.
        options = [f"--username={self.admin}", f"--pwfile={password}", "--auth=scram-sha-256", "--no-sync"]
        self._run(programs / "initdb", "-D", str(self._data), "--encoding=UTF8", "--locale=C.UTF-8", *options)
        password.unlink()

    def _copy(self, programs: Path, primary: "Postgres") -> None:
        source = primary.url.replace("+psycopg", "", 1)
        self._run(programs / "pg_basebackup", "--pgdata", str(self._data), "-R", "--no-sync", "--dbname", source)

    def _reachable_programs(self) -> Path:
        """Readable by the user that runs the server: a copy if they are in root's home, for example."""
        try:
            # By `env`: setpriv itself still sees files that only root can read.
            self._run(Path("/usr/bin/env"), str(self._given_programs / "postgres"), "--version")
        except ServerFailedError:
            if _USER is None:
                raise
            return self._copy_of_wheel()
        return self._given_programs

    def _copy_of_wheel(self) -> Path:
        package = self._given_programs.parent.parent
        copy = self._folder / "programs"
        for part in (package, package.with_name(f"{package.name}.libs")):
            shutil.copytree(part, copy / part.name, symlinks=True)
        return copy / self._given_programs.relative_to(package.parent)

    def _run(self, program: Path, *arguments: str) -> None:
        words = [*guarded(_USER), str(program), *arguments]
        done = subprocess.run(words, capture_output=True, text=True, check=False, cwd=self._folder, env=_environment())
        if done.returncode != 0:
            raise ServerFailedError(f"{program} exited with {done.returncode}:\n{done.stdout}{done.stderr}")


def answers(url: str) -> bool:
    try:
        with psycopg.connect(url.replace("+psycopg", "", 1), connect_timeout=2) as connection:
            connection.execute("SELECT 1")
    except psycopg.OperationalError:
        return False
    return True


def _environment() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.startswith("PG")}
