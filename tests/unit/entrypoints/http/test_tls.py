"""HTTPS with certificates made on the spot: a client that knows the authority is served, and no other."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from application.errors import CannotOpen
from certificates import Authority, Certificate, openssl
from entrypoints.http.app import create_app
from entrypoints.http.server import TlsFiles, serve
from entrypoints.serving.request_context import ServingLimits
from unit.entrypoints.http.fakes import POST, Scripted, done, services
from unit.entrypoints.http.test_server import served, until
from unit.entrypoints.http.test_serving_limits import connections, is_closed


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("tls"))


@pytest.fixture(scope="module")
def here(authority: Authority) -> Certificate:
    return authority.sign("here")


def files(certificate: Certificate) -> TlsFiles:
    return TlsFiles(certificate.certificate, certificate.key)


def knowing(authority: Authority) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=authority.certificate)


@pytest.fixture
async def address(here: Certificate) -> AsyncIterator[str]:
    async with served(services(commands=Scripted(done()).commands()), tls=files(here)) as (address, _):
        yield address


async def test_a_client_that_knows_the_authority_is_served(address: str, authority: Authority) -> None:
    assert address.startswith("https://127.0.0.1:")
    async with httpx.AsyncClient(base_url=address, verify=knowing(authority)) as client:
        own_page = {"Origin": address, "Sec-Fetch-Site": "same-origin"}
        assert (await client.post(f"/api/v1/posts/{POST}/likes", headers=own_page)).status_code == 200
        assert (await client.get("/health/ready")).status_code == 200


async def test_a_client_that_does_not_know_the_authority_refuses(address: str, tmp_path: Path) -> None:
    for context in (knowing(Authority(tmp_path)), ssl.create_default_context()):
        async with httpx.AsyncClient(verify=context) as client:
            with pytest.raises(httpx.ConnectError, match="CERTIFICATE_VERIFY_FAILED"):
                await client.get(f"{address}/health/live")


async def test_a_certificate_for_another_name_is_refused(authority: Authority) -> None:
    elsewhere = files(authority.sign("elsewhere", "DNS:elsewhere.example"))
    async with (
        served(services(), tls=elsewhere) as (address, _),
        httpx.AsyncClient(verify=knowing(authority)) as client,
    ):
        with pytest.raises(httpx.ConnectError, match="IP address mismatch"):
            await client.get(f"{address}/health/live")


async def test_http_and_old_versions_of_tls_are_not_served(address: str, authority: Authority) -> None:
    async with httpx.AsyncClient() as client:
        with pytest.raises(httpx.TransportError):
            await client.get(f"{address.replace('https', 'http')}/health/live")
    for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
        context = knowing(authority)
        context.minimum_version = context.maximum_version = version
        assert (await asyncio.to_thread(httpx.get, f"{address}/health/live", verify=context)).status_code == 200
    old = knowing(authority)
    old.set_ciphers("ALL:@SECLEVEL=0")
    with pytest.deprecated_call():
        old.minimum_version = old.maximum_version = ssl.TLSVersion.TLSv1_1
    async with httpx.AsyncClient(verify=old) as client:
        with pytest.raises(httpx.ConnectError):
            await client.get(f"{address}/health/live")


BEGUN = {"nothing": b"", "half a greeting": b"\x16\x03\x01\x02\x00\x01"}


@pytest.mark.parametrize("sent", BEGUN.values(), ids=BEGUN)
async def test_clients_that_never_finish_the_handshake_keep_no_one_out(
    sent: bytes, here: Certificate, authority: Authority
) -> None:
    limits = ServingLimits(max_connections=20, client_seconds=60)
    async with served(services(serving=limits), tls=files(here)) as (address, _):
        with connections(address.replace("https", "http"), 100, sent):
            async with httpx.AsyncClient(verify=knowing(authority), timeout=5) as client:
                assert (await client.get(f"{address}/health/live")).status_code == 200


@pytest.mark.parametrize("sent", BEGUN.values(), ids=BEGUN)
async def test_a_client_that_never_finishes_the_handshake_is_disconnected(sent: bytes, here: Certificate) -> None:
    async with served(services(serving=ServingLimits(client_seconds=0.4)), tls=files(here)) as (address, _):
        with connections(address.replace("https", "http"), 3, sent) as opened:
            await until(lambda: all(is_closed(each) for each in opened), 10)


async def test_a_connection_that_is_in_use_is_kept(here: Certificate, authority: Authority) -> None:
    given = services(serving=ServingLimits(client_seconds=0.6))
    async with served(given, tls=files(here)) as (address, _):
        host, port = address.removeprefix("https://").split(":")
        reader, writer = await asyncio.open_connection(host, int(port), ssl=knowing(authority))
        for _ in range(10):
            writer.write(b"GET /health/live HTTP/1.1\r\nHost: a\r\n\r\n")
            assert (await asyncio.wait_for(reader.readuntil(b"}"), 10)).startswith(b"HTTP/1.1 200 ")
            assert await reader.readline() == b"\n"
            await asyncio.sleep(0.2)
        writer.close()


async def test_files_that_can_not_be_used_are_named_with_their_setting(
    here: Certificate, authority: Authority, tmp_path: Path
) -> None:
    another, locked = authority.sign("another"), tmp_path / "locked.key"
    openssl("pkey", "-in", str(here.key), "-aes256", "-passout", "pass:a lock", "-out", str(locked))
    nothing = tmp_path / "nothing.pem"
    nothing.touch()
    for tls, path, why in (
        (TlsFiles(tmp_path / "gone.crt", here.key), "http.tls.certificate", "gone.crt can't be read: No such file"),
        (TlsFiles(here.certificate, tmp_path / "gone.key"), "http.tls.key", "gone.key can't be read: No such file"),
        (TlsFiles(here.certificate, another.key), "http.tls", "key values mismatch"),
        (TlsFiles(here.certificate, locked), "http.tls", "the key has a password"),
        (TlsFiles(nothing, here.key), "http.tls", "can't be used: they must be PEM files"),
        (TlsFiles(here.key, here.key), "http.tls", "can't be used: they must be PEM files"),
    ):
        with pytest.raises(CannotOpen) as refused:
            await serve(
                create_app(services()), "127.0.0.1", 0, asyncio.Event(), print, metrics=services().metrics, tls=tls
            )
        assert (refused.value.path, why in refused.value.message) == (path, True), refused.value.message
