"""An error says why MongoDB can't be reached and what to do, and following it works."""

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pymongo
import pytest
from pymongo.errors import PyMongoError

from adapters.mongo.database import MongoDatabase
from adapters.mongo.provisioning import MongoProbe, MongoProvisioning
from application.errors import CannotOpen, StoreUnavailable
from certificates import Authority, openssl
from local.ports import free_port
from local.processes import ServerProcess
from local.programs import find_mongod
from proxy import Proxy

pytestmark = [
    pytest.mark.usefixtures("forgotten_sockets"),
    pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning"),
]

SOON = "serverSelectionTimeoutMS=300"
"""The driver reports servers that it drops within a second: tests that need this wait for its own 2 s."""


@dataclass(frozen=True, slots=True)
class Certificates:
    """`server` is for 127.0.0.1 and localhost, `elsewhere` for another host; both are signed by `authority`. `locked`
    is a client's, its key locked with "a lock"."""

    authority: Path
    another_authority: Path
    server: Path
    elsewhere: Path
    locked: Path


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    folder = tmp_path_factory.mktemp("certificates")
    authority, client = Authority(folder), folder / "locked.pem"
    plain = authority.sign("client", "DNS:client")
    openssl("pkey", "-in", str(plain.key), "-aes256", "-passout", "pass:a lock", "-out", str(client))
    client.write_text(client.read_text() + plain.certificate.read_text())
    return Certificates(
        authority=authority.certificate,
        another_authority=Authority(folder, "another").certificate,
        server=authority.sign("server").both,
        elsewhere=authority.sign("elsewhere", "DNS:elsewhere.example").both,
        locked=client,
    )


class Mongod:
    """One process with options of its own, in a set 'rs0' when it is `initiated`."""

    def __init__(self, folder: Path, *options: str | Path) -> None:
        mongod = find_mongod()
        assert mongod is not None
        self.port = free_port()
        self.host = f"127.0.0.1:{self.port}"
        folder.mkdir()
        own = ["--bind_ip", "127.0.0.1", "--nounixsocket", "--wiredTigerCacheSizeGB", "0.25"]
        command: list[str | Path] = [mongod, "--dbpath", folder, "--port", str(self.port), *own, *options]
        self.process = ServerProcess("mongod", command, log=folder / "mongod.log")

    def start(self, client_options: str = "") -> None:
        self.process.start()
        self._wait_for("hello", client_options)

    def initiate(self, client_options: str = "") -> None:
        self.command({"replSetInitiate": {"_id": "rs0", "members": [{"_id": 0, "host": self.host}]}}, client_options)
        self._wait_for("isWritablePrimary", client_options)

    def command(self, command: dict[str, object], client_options: str = "") -> dict[str, object]:
        url = f"mongodb://{self.host}/?directConnection=true&timeoutMS=5000{client_options}"
        with pymongo.MongoClient[dict[str, object]](url) as client:
            return client.admin.command(command)

    def _wait_for(self, what: str, client_options: str) -> None:
        def there() -> bool:
            try:
                answer = self.command({"hello": 1}, client_options)
            except PyMongoError:
                return False
            return what == "hello" or bool(answer.get(what))

        self.process.wait_until(there, seconds=60)


@pytest.fixture(scope="module")
def mongod(mongo_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mongod]:
    """`mongo_url` skips where there is no such program."""
    server = Mongod(tmp_path_factory.mktemp("mongod") / "data", "--replSet", "rs0")
    try:
        server.start()
        server.initiate()
        yield server
    finally:
        server.process.kill()


@pytest.fixture(scope="module")
def tls_mongod(
    mongo_url: str, certificates: Certificates, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Mongod]:
    """Accepts TLS only, without a client's certificate."""
    server = Mongod(
        tmp_path_factory.mktemp("tls") / "data", "--replSet", "rs0", *_tls(certificates.server, certificates)
    )
    options = f"&tls=true&tlsCAFile={certificates.authority}"
    try:
        server.start(options)
        server.initiate(options)
        yield server
    finally:
        server.process.kill()


def _tls(certificate: Path, certificates: Certificates, *, clients_too: bool = False) -> list[str | Path]:
    own: list[str | Path] = ["--tlsMode", "requireTLS", "--tlsCertificateKeyFile", certificate]
    own += ["--tlsCAFile", certificates.authority]
    return own if clients_too else [*own, "--tlsAllowConnectionsWithoutCertificates"]


async def message_about(url: str) -> str:
    """From `init`; and the probe reports the same remedy."""
    async with MongoDatabase(url) as database:
        with pytest.raises(StoreUnavailable) as refused:
            await MongoProvisioning(database).provision()
    async with MongoDatabase(url) as database:
        probed = await MongoProbe(database).probe()
    assert not probed.ok
    assert probed.detail.rpartition(". ")[2] == refused.value.message.rpartition(". ")[2]
    assert refused.value.path == "event_store.mongo.url"
    shown = url.partition("?")[0]
    begin = f"The event store, MongoDB at {shown} (event_store.mongo.url), "
    assert refused.value.message.startswith(begin)
    return refused.value.message.removeprefix(begin)


async def works(url: str) -> bool:
    async with MongoDatabase(url) as database:
        await MongoProvisioning(database).provision()
        return (await MongoProbe(database).probe()).ok


async def test_no_server_at_the_address(mongo_url: str) -> None:
    port = free_port()
    said = await message_about(f"mongodb://127.0.0.1:{port}/?replicaSet=rs0&{SOON}")
    assert said == (
        f"has no primary that answers: 127.0.0.1:{port}: [Errno 111] Connect call failed ('127.0.0.1', {port}). "
        "Start it, or check the address."
    )


async def test_an_unknown_host() -> None:
    said = await message_about(f"mongodb://no-such-host.invalid:27017/?replicaSet=rs0&{SOON}")
    assert said.startswith("has no primary that answers: no-such-host.invalid:27017: [Errno -")
    assert said.endswith("Check the host name in the address.")


async def test_another_replica_set(mongod: Mongod) -> None:
    for more in ("", f"&directConnection=true&{SOON}"):
        said = await message_about(f"mongodb://{mongod.host}/?replicaSet=other{more}")
        assert "other" in said
        assert "'rs0'" in said
        assert said.endswith("Correct replicaSet in the address.")
    assert await works(f"mongodb://{mongod.host}/?replicaSet=rs0")


@pytest.mark.long
async def test_a_replica_set_that_was_not_initiated_and_a_standalone_server(mongo_url: str, tmp_path: Path) -> None:
    """The test follows each remedy."""
    in_set, alone = Mongod(tmp_path / "set", "--replSet", "rs0"), Mongod(tmp_path / "alone")
    try:
        in_set.start()
        alone.start()
        ghost = f"mongodb://{in_set.host}/?replicaSet=rs0&{SOON}"
        assert await message_about(ghost) == (
            f"has no primary that answers: {in_set.host} is in no replica set yet. Run `rs.initiate()` there once."
        )
        in_set.initiate()
        assert await works(ghost)
        assert await message_about(f"mongodb://{alone.host}/?replicaSet=rs0") == (
            f"has no primary that answers: {alone.host} is in no replica set, and the address says replicaSet=rs0. "
            "Start it with `mongod --replSet NAME` and run `rs.initiate()` once, or correct the address."
        )
    finally:
        in_set.process.kill()
        alone.process.kill()


async def test_tls_on_the_client_s_side_only(mongod: Mongod) -> None:
    said = await message_about(f"mongodb://{mongod.host}/?replicaSet=rs0&tls=true&{SOON}")
    assert said.startswith("has no primary that answers: SSL handshake failed: ")
    assert said.endswith("It may not speak TLS: take tls=true out of the address, or switch TLS on in `mongod`.")


async def test_tls_on_the_server_s_side_only(tls_mongod: Mongod, certificates: Certificates) -> None:
    said = await message_about(f"mongodb://{tls_mongod.host}/?replicaSet=rs0&{SOON}")
    assert "closed" in said or "reset" in said
    assert "add tls=true to the address, and tlsCAFile=… for an authority of your own" in said
    assert await works(f"mongodb://{tls_mongod.host}/?replicaSet=rs0&tls=true&tlsCAFile={certificates.authority}")


async def test_an_unknown_authority(tls_mongod: Mongod, certificates: Certificates) -> None:
    for more in ("", f"&tlsCAFile={certificates.another_authority}"):
        said = await message_about(f"mongodb://{tls_mongod.host}/?replicaSet=rs0&tls=true&{SOON}{more}")
        assert "certificate verify failed" in said
        assert said.endswith("Name the authority that signed its certificate: tlsCAFile=… in the address.")


@pytest.mark.long
async def test_a_certificate_for_another_host(
    mongo_url: str, certificates: Certificates, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    server = Mongod(tmp_path / "data", "--replSet", "rs0", *_tls(certificates.elsewhere, certificates))
    request.addfinalizer(server.process.kill)
    server.start(f"&tls=true&tlsCAFile={certificates.authority}&tlsAllowInvalidHostnames=true")
    said = await message_about(f"mongodb://{server.host}/?tls=true&tlsCAFile={certificates.authority}&{SOON}")
    assert "certificate is not valid for '127.0.0.1'" in said
    assert said.endswith("Use a host name in the address that its certificate is for.")


@pytest.mark.long
async def test_a_client_certificate_is_required(
    mongo_url: str, certificates: Certificates, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    """And the password that unlocks its key is never shown."""
    options = _tls(certificates.server, certificates, clients_too=True)
    server = Mongod(tmp_path / "data", "--replSet", "rs0", *options)
    request.addfinalizer(server.process.kill)
    own = f"tls=true&tlsCAFile={certificates.authority}"
    with_certificate = f"{own}&tlsCertificateKeyFile={certificates.locked}&tlsCertificateKeyFilePassword="
    server.start(f"&{with_certificate}a%20lock")
    said = await message_about(f"mongodb://{server.host}/?{own}&{SOON}")
    assert said.endswith("It may ask for a certificate of the client: tlsCertificateKeyFile=… in the address.")
    server.initiate(f"&{with_certificate}a%20lock")
    assert await works(f"mongodb://{server.host}/?replicaSet=rs0&{with_certificate}a%20lock")
    with pytest.raises(CannotOpen, match="tlsCertificateKeyFile, tlsCRLFile\\), or its password") as refused:
        async with MongoDatabase(f"mongodb://{server.host}/?{with_certificate}another-lock"):
            pass
    assert "another-lock" not in refused.value.message
    assert refused.value.__cause__ is None


async def test_a_missing_file_in_the_address() -> None:
    with pytest.raises(CannotOpen, match=r"event_store\.mongo\.url names .*/not/there\.pem") as refused:
        async with MongoDatabase("mongodb://ann:s3cret@127.0.0.1:1/?tls=true&tlsCAFile=/not/there.pem"):
            pass
    assert "s3cret" not in refused.value.message


async def test_a_member_that_can_not_be_reached_from_here(tls_mongod: Mongod, certificates: Certificates) -> None:
    """The set reports another port than its own to clients that connect by the name `localhost`: a horizon."""
    options = f"&tls=true&tlsCAFile={certificates.authority}"
    found = tls_mongod.command({"replSetGetConfig": 1}, options)["config"]
    assert isinstance(found, dict)
    outside = free_port()
    found["members"][0]["horizons"] = {"outside": f"localhost:{outside}"}
    found["version"] += 1
    tls_mongod.command({"replSetReconfig": found}, options)
    url = f"mongodb://localhost:{tls_mongod.port}/?replicaSet=rs0{options}"
    said = await message_about(url)
    assert f"localhost:{outside}: [Errno " in said
    assert f"The replica set names its member localhost:{outside} (`rs.conf()`): start it, and make its name" in said
    assert await works(f"{url}&directConnection=true")


async def test_a_missing_login_and_the_wrong_database_for_one(mongo_with_logins_url: str) -> None:
    login, _, host = mongo_with_logins_url.rpartition("@")
    assert await message_about(f"mongodb://{host}") == (
        "requires a login; put user and password into the address, or run `postlog init` as an administrator."
    )
    async with MongoDatabase(f"{login}@{host}&authSource=elsewhere") as database:
        with pytest.raises(StoreUnavailable) as refused:
            await MongoProvisioning(database).provision()
    assert refused.value.message.endswith(
        "refused the login; check the user and the password in the address, and authSource, the database that knows "
        "the user."
    )


async def test_a_server_that_is_not_mongod(tmp_path: Path) -> None:
    """A program that speaks another protocol."""

    async def speak(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(16)
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(speak, "127.0.0.1", 0) as server:
        host = ":".join(map(str, server.sockets[0].getsockname()))
        said = await message_about(f"mongodb://{host}/?{SOON}")
    assert said.startswith("has no primary that answers: ")
    assert "the address" in said


async def test_the_probe_waits_for_a_server_that_is_slow_to_accept_the_connection(mongod: Mongod) -> None:
    """It replies after 2.6 s; the driver alone gives up after 2 s."""
    async with MongoDatabase(f"mongodb://{mongod.host}/?directConnection=true") as database:
        await MongoProvisioning(database).provision()
    async with Proxy(int(mongod.host.rpartition(":")[2]), delay=2.6) as way:
        asyncio.get_running_loop().call_later(1.0, setattr, way, "delay", 0.0)
        async with MongoDatabase(f"mongodb://127.0.0.1:{way.port}/?directConnection=true") as database:
            found = await MongoProbe(database).probe()
    assert found.ok, found.detail
