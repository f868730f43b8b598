"""Postlog on servers that speak TLS only, and serving HTTPS itself: it works with the right authority, and each side
refuses a certificate of another one. SQL Server is not here: none can be had for tests."""

import asyncio
import shutil
import ssl
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import httpx
import psycopg
import pytest

from certificates import Authority
from integration.adapters.mongo.test_connection_faults import Mongod
from local.folders import server_folder
from local.kafka import Kafka, Listener
from local.ports import free_port
from local.postgres import _USER, Postgres
from local.programs import find_kafka
from missing import skip_or_fail
from running import Running, postlog, ticks

pytestmark = [pytest.mark.long, pytest.mark.timeout(300)]

PROBLEM = 2
"""Exit status: it could not run."""


@dataclass(frozen=True, slots=True)
class Servers:
    authority: Authority
    another: Authority
    mongo: str
    kafka: str
    postgres: str
    certificate: Path
    key: Path

    def settings(self, **wrong: Path) -> dict[str, str]:
        """`wrong` are authorities, by the server that they are used for in place of the right one."""
        known = {name: wrong.get(name, self.authority.certificate) for name in ("mongo", "kafka", "postgres")}
        return {
            "POSTLOG__EVENT_STORE__ADAPTER": "mongo",
            "POSTLOG__EVENT_STORE__MONGO__URL": (
                f"mongodb://{self.mongo}/?replicaSet=rs0&serverSelectionTimeoutMS=5000"
                f"&tls=true&tlsCAFile={known['mongo']}"
            ),
            "POSTLOG__BUS__ADAPTER": "kafka",
            "POSTLOG__BUS__KAFKA__BOOTSTRAP_SERVERS": self.kafka,
            "POSTLOG__BUS__KAFKA__SECURITY": "ssl",
            "POSTLOG__BUS__KAFKA__CA_FILE": str(known["kafka"]),
            "POSTLOG__READ_DB__ADAPTER": "postgres",
            "POSTLOG__READ_DB__POSTGRES__URL": f"{self.postgres}?sslmode=verify-full&sslrootcert={known['postgres']}",
        }


@pytest.fixture(scope="module")
def secured(mongo_url: str, kafka_bootstrap: str) -> Iterator[Servers]:
    """`mongo_url` and `kafka_bootstrap` skip where there is no such program."""
    programs = _postgres_with_tls()
    jars = find_kafka()
    assert jars is not None
    with ExitStack() as stack:
        folder = stack.enter_context(server_folder())
        authority, another = Authority(folder), Authority(folder, "another")
        server = authority.sign("server")

        mongod = Mongod(
            folder / "mongod",
            *("--replSet", "rs0", "--tlsMode", "requireTLS", "--tlsCertificateKeyFile", server.both),
            *("--tlsCAFile", authority.certificate, "--tlsAllowConnectionsWithoutCertificates"),
        )
        stack.callback(mongod.process.kill)
        options = f"&tls=true&tlsCAFile={authority.certificate}"
        mongod.start(options)
        mongod.initiate(options)

        store = {"ssl.keystore.type": "PEM", "ssl.keystore.location": str(server.both)}
        listener = Listener("TLS", "SSL", settings=store)
        kafka = Kafka(jars, folder, [listener])
        stack.callback(kafka.stop)
        kafka.start()

        key = folder / "postgres.key"
        shutil.copy(server.key, key)
        key.chmod(0o600)
        if _USER:
            shutil.chown(key, _USER)
        certificate = folder / "postgres.crt"
        shutil.copy(server.certificate, certificate)
        certificate.chmod(0o644)
        tls = {"ssl": "on", "ssl_cert_file": str(certificate), "ssl_key_file": str(key)}
        postgres = Postgres(programs, folder, options=tls)
        stack.callback(postgres.stop)
        postgres.start()

        yield Servers(authority, another, mongod.host, listener.bootstrap, postgres.url, server.certificate, server.key)


def _postgres_with_tls() -> Path:
    """The one that the development dependencies bring has no TLS."""
    for folder in sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True):
        linked = subprocess.run(["ldd", folder / "postgres"], capture_output=True, text=True, check=False).stdout
        if "libssl" in linked:
            break
    else:
        skip_or_fail("no PostgreSQL with TLS on this machine: install it (Debian: 'postgresql')")
    return folder


def test_each_server_is_refused_that_has_a_certificate_of_another_authority(secured: Servers) -> None:
    made = postlog("init", env=secured.settings())
    assert made.returncode == 0, made.stdout + made.stderr
    for name, setting, words in (
        ("mongo", "event_store.mongo.url", "tlsCAFile"),
        ("kafka", "bus.kafka", "bus.kafka.ca_file"),
        ("postgres", "read_db.postgres.url", "certificate verify failed"),
    ):
        found = postlog("doctor", env=secured.settings(**{name: secured.another.certificate}))
        assert found.returncode == PROBLEM, found.stdout + found.stderr
        [line] = [line for line in found.stdout.splitlines() if setting in line and words in line][:1]
        assert "certificate" in line
    assert "read_db.postgres.url" not in postlog("doctor", env=secured.settings()).stderr


async def test_a_post_goes_over_four_encrypted_connections(secured: Servers, tmp_path: Path) -> None:
    address = f"https://localhost:{(port := free_port())}"
    env = secured.settings() | {
        "PORT": str(port),
        "POSTLOG__HTTP__TLS__CERTIFICATE": str(secured.certificate),
        "POSTLOG__HTTP__TLS__KEY": str(secured.key),
    }
    assert postlog("init", env=env).returncode == 0
    knowing = ssl.create_default_context(cafile=secured.authority.certificate)
    with Running(tmp_path, "run", env=env) as running:
        async with httpx.AsyncClient(base_url=address, verify=knowing, timeout=20) as client:
            await _until_ready(client, running)
            assert f"https://127.0.0.1:{port}" in running.printed
            written = await client.post("/api/v1/posts", json={"author": "Ann", "message": "Sealed"})
            position = {"Postlog-Min-Position": str(written.json()["position"])}
            read = await client.get(written.headers["location"], headers=position)
            assert (read.status_code, read.json()["message"]) == (200, "Sealed")
        ours = secured.settings()["POSTLOG__READ_DB__POSTGRES__URL"].replace("+psycopg", "")
        with psycopg.connect(ours) as connection:
            of_clients = "pg_stat_ssl JOIN pg_stat_activity USING (pid) WHERE backend_type = 'client backend'"
            assert connection.execute(f"SELECT bool_and(ssl) FROM {of_clients}").fetchone() == (True,)
        stranger = ssl.create_default_context(cafile=secured.another.certificate)
        async with httpx.AsyncClient(verify=stranger) as client:
            with pytest.raises(httpx.ConnectError, match="CERTIFICATE_VERIFY_FAILED"):
                await client.get(f"{address}/health/live")


async def _until_ready(client: httpx.AsyncClient, running: Running) -> None:
    for _ in ticks(40, f"it is not ready:\n{running.printed}"):
        try:
            if (await client.get("/health/ready")).status_code == httpx.codes.OK:
                return
        except httpx.TransportError:
            pass
        await asyncio.sleep(0.1)
