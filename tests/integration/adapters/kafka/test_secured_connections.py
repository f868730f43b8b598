"""Brokers that ask clients for a certificate, and brokers that take OAuth tokens, each over TLS: the right one is
accepted, and a wrong one is refused with a sentence that names the setting."""

import base64
import json
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import ClassVar

import pytest

from adapters.kafka.client import KafkaConnection, KafkaTokens, token_in
from adapters.kafka.consumer import KafkaSubscription
from adapters.kafka.producer import KafkaPublisher
from adapters.kafka.topic import KafkaProbe, KafkaProvisioning
from certificates import Authority, Certificate, openssl
from contracts.bus_handle import CountedMetrics
from local.kafka import Kafka, Listener
from local.programs import find_kafka

pytestmark = [pytest.mark.long, pytest.mark.timeout(300)]

TOPIC = "secured"
LOGIN = "org.apache.kafka.common.security.oauthbearer.OAuthBearerLoginModule required;"
VALIDATOR = "org.apache.kafka.common.security.oauthbearer.OAuthBearerValidatorCallbackHandler"
SECRET = "cl1ent-secret"


def encoded(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode()


class Issuer:
    """Signs tokens (RS256). `keys` is its JWKS."""

    def __init__(self, folder: Path, name: str) -> None:
        self._key = folder / f"{name}.key"
        self.keys = folder / f"{name}.jwks"
        openssl("genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048", "-out", str(self._key))
        modulus = subprocess.run(
            ["openssl", "rsa", "-in", self._key, "-noout", "-modulus"], capture_output=True, text=True, check=True
        ).stdout.strip()
        number = bytes.fromhex(modulus.removeprefix("Modulus="))
        key = {"kty": "RSA", "kid": "k1", "use": "sig", "alg": "RS256", "e": "AQAB", "n": encoded(number)}
        self.keys.write_text(json.dumps({"keys": [key]}))

    def token(self, *, seconds: float = 3_600, audience: str = "kafka") -> str:
        now = int(time.time())
        claims = {"sub": "postlog", "scope": "kafka", "aud": audience, "iat": now - 10, "exp": int(now + seconds)}
        head = {"alg": "RS256", "kid": "k1", "typ": "JWT"}
        signed = f"{encoded(json.dumps(head).encode())}.{encoded(json.dumps(claims).encode())}"
        signature = subprocess.run(
            ["openssl", "dgst", "-sha256", "-sign", self._key], input=signed.encode(), capture_output=True, check=True
        ).stdout
        return f"{signed}.{encoded(signature)}"


@dataclass(frozen=True, slots=True)
class Broker:
    kafka: Kafka
    certificates: Listener
    tokens: Listener
    authority: Authority
    client: Certificate
    issuer: Issuer

    @property
    def with_certificate(self) -> KafkaConnection:
        return KafkaConnection(
            bootstrap_servers=self.certificates.bootstrap,
            security="ssl",
            ca_file=str(self.authority.certificate),
            certificate_file=str(self.client.certificate),
            key_file=str(self.client.key),
        )

    def with_tokens(self, tokens: KafkaTokens) -> KafkaConnection:
        return KafkaConnection(
            bootstrap_servers=self.tokens.bootstrap,
            security="sasl_ssl",
            sasl_mechanism="OAUTHBEARER",
            tokens=tokens,
            ca_file=str(self.authority.certificate),
        )


@pytest.fixture(scope="module")
def broker(kafka_bootstrap: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    """`kafka_bootstrap` skips where there is no such program."""
    jars = find_kafka()
    assert jars is not None
    folder = tmp_path_factory.mktemp("secured")
    authority, issuer = Authority(folder), Issuer(folder, "issuer")
    server = authority.sign("broker")
    keystore = {"ssl.keystore.type": "PEM", "ssl.keystore.location": str(server.both)}
    truststore = {"ssl.truststore.type": "PEM", "ssl.truststore.location": str(authority.certificate)}
    certificates = Listener("CERTIFICATES", "SSL", settings=keystore | truststore | {"ssl.client.auth": "required"})
    of_tokens = {
        "sasl.enabled.mechanisms": "OAUTHBEARER",
        "oauthbearer.sasl.jaas.config": LOGIN,
        "oauthbearer.sasl.server.callback.handler.class": VALIDATOR,
        # Kafka 4.1's default validator accepts every token, whoever signed it.
        "sasl.oauthbearer.jwt.validator.class": "org.apache.kafka.common.security.oauthbearer.BrokerJwtValidator",
        "sasl.oauthbearer.jwks.endpoint.url": issuer.keys.as_uri(),
        "sasl.oauthbearer.expected.audience": "kafka",
    }
    tokens = Listener("TOKENS", "SASL_SSL", settings=keystore | of_tokens)
    allowed = {"org.apache.kafka.sasl.oauthbearer.allowed.urls": issuer.keys.as_uri()}
    kafka = Kafka(jars, folder, [certificates, tokens], of_tokens, allowed)
    try:
        kafka.start()
        yield Broker(kafka, certificates, tokens, authority, authority.sign("client", "DNS:postlog"), issuer)
    finally:
        kafka.stop()


@pytest.fixture
async def topic(broker: Broker) -> str:
    await KafkaProvisioning(KafkaConnection(bootstrap_servers=broker.kafka.bootstrap), TOPIC, 3, 1).provision()
    return TOPIC


async def works(connection: KafkaConnection, topic: str) -> bool:
    """For probe, relay, projector and `postlog init`."""
    await KafkaProvisioning(connection, topic, 3, 1).provision()
    async with KafkaPublisher(connection, topic, CountedMetrics()) as publisher:
        assert await publisher.partitions() == 3
    async with KafkaSubscription(connection, topic, "secured", CountedMetrics()) as subscription:
        assert subscription is not None
    return (await KafkaProbe(connection, topic).probe()).ok


async def said_of(connection: KafkaConnection, topic: str) -> str:
    found = await KafkaProbe(connection, topic).probe()
    assert not found.ok, found.detail
    assert SECRET not in found.detail
    return found.detail


async def test_a_certificate_of_a_known_authority_is_accepted(broker: Broker, topic: str) -> None:
    assert await works(broker.with_certificate, topic)


async def test_a_key_with_a_password_is_unlocked(broker: Broker, topic: str, tmp_path: Path) -> None:
    locked = tmp_path / "locked.key"
    openssl("pkey", "-in", str(broker.client.key), "-aes256", "-passout", "pass:a lock", "-out", str(locked))
    assert await works(replace(broker.with_certificate, key_file=str(locked), key_password="a lock"), topic)


async def test_no_certificate_and_one_of_another_authority_are_refused(
    broker: Broker, topic: str, tmp_path: Path
) -> None:
    without = replace(broker.with_certificate, certificate_file=None, key_file=None)
    stranger = Authority(tmp_path, "stranger").sign("client", "DNS:postlog")
    foreign = replace(broker.with_certificate, certificate_file=str(stranger.certificate), key_file=str(stranger.key))
    for connection in (without, foreign):
        assert "bus.kafka.certificate_file" in await said_of(connection, topic)


async def test_a_broker_of_another_authority_is_refused(broker: Broker, topic: str, tmp_path: Path) -> None:
    another = Authority(tmp_path, "another").certificate
    said = await said_of(replace(broker.with_certificate, ca_file=str(another)), topic)
    assert "Name the authority that signed the brokers' certificates in bus.kafka.ca_file" in said


async def test_a_token_in_a_file_is_accepted_and_a_wrong_one_is_refused(
    broker: Broker, topic: str, tmp_path: Path
) -> None:
    file = tmp_path / "token"
    file.write_text(broker.issuer.token() + "\n")
    connection = broker.with_tokens(KafkaTokens(file=str(file)))
    assert await works(connection, topic)
    of_stranger, for_another = Issuer(tmp_path, "stranger").token(), broker.issuer.token(audience="elsewhere")
    for wrong in (of_stranger, for_another, broker.issuer.token(seconds=-1), "no token", ""):
        file.write_text(wrong)
        assert "bus.kafka.oauth" in await said_of(connection, topic)
    file.unlink()
    assert "bus.kafka.oauth" in await said_of(connection, topic)
    file.write_text(broker.issuer.token())
    assert await works(connection, topic)


class TokenEndpoint(BaseHTTPRequestHandler):
    issuer: ClassVar[Issuer]
    asked: ClassVar[list[str]] = []

    def do_POST(self) -> None:
        self.asked.append(self.rfile.read(int(self.headers["Content-Length"])).decode())
        login = base64.b64encode(f"postlog:{SECRET}".encode()).decode()
        is_right = self.headers.get("Authorization") == f"Basic {login}"
        body = {"access_token": self.issuer.token(), "token_type": "Bearer", "expires_in": 3_600}
        content = json.dumps(body if is_right else {"error": "invalid_client"}).encode()
        self.send_response(200 if is_right else 401)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def token_endpoint(issuer: Issuer) -> Iterator[str]:
    TokenEndpoint.issuer = issuer
    with ThreadingHTTPServer(("127.0.0.1", 0), TokenEndpoint) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}/token"
        finally:
            server.shutdown()


async def test_tokens_for_client_credentials_are_accepted_and_a_wrong_secret_is_refused(
    broker: Broker, topic: str
) -> None:
    with token_endpoint(broker.issuer) as url:
        right = KafkaTokens(url=url, client_id="postlog", client_secret=SECRET, scope="kafka")
        assert await works(broker.with_tokens(right), topic)
        assert TokenEndpoint.asked[0] == "grant_type=client_credentials&scope=kafka"
        said = await said_of(broker.with_tokens(replace(right, client_secret="wr0ng")), topic)
    assert "bus.kafka.oauth" in said
    assert "wr0ng" not in said


def test_a_token_in_a_file_has_its_time_of_expiry(tmp_path: Path) -> None:
    file = tmp_path / "token"
    for expires, reason in ((time.time() + 60, None), (time.time() - 1, "it has expired")):
        file.write_text(f"e30.{encoded(json.dumps({'exp': expires}).encode())}.e30\n")
        if reason is None:
            assert token_in(file)[1] == expires
        else:
            with pytest.raises(ValueError, match=reason):
                token_in(file)
    for wrong in ("", "a.b", "e30.e30.e30", "e30.W10.e30", "é.é.é"):
        file.write_text(wrong)
        with pytest.raises(ValueError, match="it is not a JWT with a time of expiry"):
            token_in(file)
