"""What is said of Kafka: the client's reason, what to do, and no secret."""

import pytest
from confluent_kafka import KafkaError, KafkaException

from adapters.kafka.client import KafkaConnection
from adapters.kafka.errors import ConnectionTrouble
from application.errors import BusUnavailable

CODES = sorted(
    value for name, value in vars(KafkaError).items() if name.isupper() and isinstance(value, int) and value != 0
)
CONNECTION = KafkaConnection(
    bootstrap_servers="db:9092", security="sasl_ssl", username="ann", password="p4ss word", sasl_mechanism="PLAIN"
)
BEGIN = "Kafka at db:9092 (bus.kafka.bootstrap_servers) "


def heard(*errors: KafkaError) -> ConnectionTrouble:
    trouble = ConnectionTrouble()
    for error in errors:
        trouble.record(error)
    return trouble


def test_the_client_s_list_of_errors_is_known() -> None:
    assert len(CODES) > 150


@pytest.mark.parametrize(
    "trouble",
    [None, ConnectionTrouble(), heard(KafkaError(KafkaError._ALL_BROKERS_DOWN, "1/1 brokers are down"))],
    ids=["nothing heard", "no trouble", "all brokers down"],
)
def test_every_error_is_one_sentence_and_a_reason_to_try_again(trouble: ConnectionTrouble | None) -> None:
    errors = [KafkaError(code) for code in CODES]
    quoting = [KafkaException(KafkaError(code, "it quotes p4ss word\nand goes on")) for code in CODES]
    for error in (*errors, *quoting):
        refused = CONNECTION.unavailable(error, "posts", trouble)
        assert isinstance(refused, BusUnavailable), error
        assert refused.message.startswith("Kafka at db:9092 ")
        assert refused.message.endswith((".", "?"))
        assert "\n" not in refused.message
        assert "p4ss" not in refused.message
        assert (refused.path or "").startswith("bus.kafka"), error


def test_the_brokers_own_words_are_kept() -> None:
    error = KafkaError(KafkaError.POLICY_VIOLATION, "Broker: the policy says no")
    assert CONNECTION.unavailable(error, "posts").message == f"{BEGIN}reported an error: Broker: the policy says no."


def test_an_error_without_a_reason_is_explained_by_what_the_client_said_before() -> None:
    refused = KafkaError(
        KafkaError._TRANSPORT,
        "db:9092/bootstrap: Connect to ipv4#10.0.0.1:9092 failed: Connection refused (after 3ms in state CONNECT)",
    )
    trouble = heard(refused, KafkaError(KafkaError._ALL_BROKERS_DOWN, "1/1 brokers are down"))
    assert CONNECTION.unavailable(KafkaError(KafkaError._MSG_TIMED_OUT), "posts", trouble).message == (
        f"{BEGIN}does not answer: db:9092/bootstrap: Connect to ipv4#10.0.0.1:9092 failed: Connection refused. Is it "
        "running? If so, check the address."
    )


def test_an_error_with_a_reason_keeps_it() -> None:
    trouble = heard(KafkaError(KafkaError._SSL, "an old story"))
    error = KafkaError(KafkaError.NOT_ENOUGH_REPLICAS)
    assert "old story" not in CONNECTION.unavailable(error, "posts", trouble).message


def test_a_password_in_what_the_client_said_is_hidden() -> None:
    trouble = heard(KafkaError(KafkaError._AUTHENTICATION, "db:9092/1: Authentication failed for ann:p4ss word"))
    assert CONNECTION.unavailable(KafkaError(KafkaError._TRANSPORT), "posts", trouble).message == (
        f"{BEGIN}does not answer: db:9092/1: Authentication failed for ann:***. Check bus.kafka.username and "
        "bus.kafka.password."
    )
