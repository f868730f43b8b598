"""A PgBouncer on 127.0.0.1 in front of a PostgreSQL, in transaction mode."""

import os
import shutil
import signal
from pathlib import Path
from urllib.parse import unquote, urlsplit, urlunsplit

from local.ports import free_port
from local.postgres import answers
from local.processes import ServerProcess

# PgBouncer refuses to run as root.
_USER = "nobody" if os.geteuid() == 0 else None


class PgBouncer:
    """Few sessions for many clients: two transactions of one client rarely use the same session. `postgres_url` and
    `url` are SQLAlchemy URLs of the superuser, with any database of that server."""

    def __init__(self, program: Path, folder: Path, postgres_url: str, sessions: int = 2) -> None:
        self._server = urlsplit(postgres_url)
        self._port = free_port()
        self._folder = folder / f"pgbouncer-{self._port}"
        self._program = program
        self._sessions = sessions
        self._process: ServerProcess | None = None

    def url(self, postgres_url: str) -> str:
        """The address of this database through the pooler."""
        address = urlsplit(postgres_url)
        login, _, _ = address.netloc.rpartition("@")
        return urlunsplit(address._replace(netloc=f"{login}@127.0.0.1:{self._port}"))

    def start(self) -> None:
        self._folder.mkdir(parents=True)
        logins = self._folder / "logins.txt"
        logins.write_text(f'"{self._server.username}" "{unquote(self._server.password or "")}"\n')
        settings = self._folder / "pgbouncer.ini"
        settings.write_text(
            f"""[databases]
* = host={self._server.hostname} port={self._server.port or 5432}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {self._port}
unix_socket_dir =
auth_type = scram-sha-256
auth_file = {logins}
pool_mode = transaction
default_pool_size = {self._sessions}
max_client_conn = 200
server_login_retry = 1
"""
        )
        if _USER:
            for path in (self._folder, logins, settings):
                shutil.chown(path, _USER)
        log = self._folder / "pgbouncer.log"
        self._process = ServerProcess("PgBouncer", [self._program, settings], log=log, user=_USER)
        self._process.start()
        any_database = urlunsplit(self._server)
        self._process.wait_until(lambda: answers(self.url(any_database)), seconds=20)

    def stop(self) -> None:
        if self._process:
            self._process.stop(signal_number=signal.SIGTERM)
