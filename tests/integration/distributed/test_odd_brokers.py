"""Brokers that advertise an address where nobody is, logins with few rights, and a relay that is gone: `init`, `doctor`
and readiness say so, and what they say to do works."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest
from confluent_kafka.admin._acl import AclOperation
from confluent_kafka.admin._resource import ResourceType

from integration.distributed.system import Place, System
from integration.odd_broker import PASSWORD, Broker, odd_broker
from running import ticks

pytestmark = [pytest.mark.long, pytest.mark.timeout(400)]

WORKERS = {"relay": ("relay",), "projector": ("project",)}


@pytest.fixture(scope="module")
def broker(kafka_bootstrap: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    """`kafka_bootstrap` skips where there is no such program."""
    with odd_broker(tmp_path_factory.mktemp("kafka")) as broker:
        yield broker


@pytest.fixture
def odd_place(place: Place, broker: Broker) -> Place:
    return replace(place, kafka_bootstrap=broker.kafka.bootstrap)


def tables_of(place: Place) -> set[str]:
    with psycopg.connect(place.psycopg_url) as connection:
        found = connection.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'").fetchall()
    return {name for (name,) in found}


def problems_of(doctor: Any) -> dict[str, str]:
    lines = [line.removeprefix("problem").strip() for line in doctor.stdout.splitlines() if line.startswith("problem")]
    return dict(line.split(": ", 1) for line in lines)


def test_workers_are_not_ready_while_brokers_advertise_an_address_where_nobody_is(
    tmp_path: Path, odd_place: Place, broker: Broker
) -> None:
    lost = {"POSTLOG__BUS__KAFKA__BOOTSTRAP_SERVERS": broker.lost.bootstrap}
    with System(tmp_path, odd_place.settings) as system:
        system.init()
        for name, words in WORKERS.items():
            system.start(name, *words, **lost)
        for name in WORKERS:
            system[name].address(60)
            for _ in ticks(60, f"{name} does not say why it is not ready"):
                answer = system.get(name, "/health/ready")
                if answer.status_code == httpx.codes.SERVICE_UNAVAILABLE and "advertised.listeners" in answer.text:
                    break
            assert f"127.0.0.1:{broker.lost.advertised_port}" in answer.text
        doctor = system.run("doctor", **lost)
        assert doctor.returncode == 2
        assert "advertised.listeners" in problems_of(doctor)["bus"]
        assert "ok       parked posts" in doctor.stdout
        for name in WORKERS:
            system.kill(name)
            system.start(name, *WORKERS[name])
        system.wait_until_ready(*WORKERS, deadline=60)


def test_init_and_doctor_go_on_past_a_login_with_few_rights(tmp_path: Path, odd_place: Place, broker: Broker) -> None:
    login = {
        "POSTLOG__BUS__KAFKA__BOOTSTRAP_SERVERS": broker.login.bootstrap,
        "POSTLOG__BUS__KAFKA__SECURITY": "sasl_plaintext",
        "POSTLOG__BUS__KAFKA__SASL_MECHANISM": "PLAIN",
        "POSTLOG__BUS__KAFKA__USERNAME": "limited",
        "POSTLOG__BUS__KAFKA__PASSWORD": PASSWORD,
    }
    said = ""
    with System(tmp_path, odd_place.settings | login) as system:
        made = system.run("init")
        said += made.stdout + made.stderr
        assert made.returncode == 2
        assert "Incomplete: bus. Everything else exists; fix this and run `postlog init` again." in made.stderr
        assert f"Describe on the topic {odd_place.topic}" in made.stderr
        assert tables_of(odd_place)
        doctor = system.run("doctor")
        said += doctor.stdout
        assert doctor.returncode == 2
        assert problems_of(doctor).keys() == {"bus"}

        rights = [AclOperation.CREATE, AclOperation.READ, AclOperation.WRITE]
        broker.allow(ResourceType.TOPIC, odd_place.topic, rights)
        for _ in ticks(30, "`init` does not make the topic"):
            made = system.run("init")
            if made.returncode == 0:
                break
        doctor = system.run("doctor")
        said += made.stdout + made.stderr + doctor.stdout
        assert doctor.returncode == 0, doctor.stdout
        assert "lacks the right DescribeConfigs" in doctor.stdout
    assert PASSWORD not in said


def test_the_doctor_knows_whether_a_relay_is_active_and_gets_on(tmp_path: Path, place: Place) -> None:
    with System(tmp_path, place.settings) as system:
        system.start_all({"commands": ("serve", "command"), **WORKERS})
        url = f"{system.url('commands')}/api/v1/posts"
        assert httpx.post(url, json={"author": "Ann", "message": "Hi"}, timeout=20).status_code == httpx.codes.CREATED
        for _ in ticks(30, "the doctor does not see the relay at work"):
            doctor = system.run("doctor")
            if "ok       relay: A relay is active; the bus has the log up to position 1." in doctor.stdout:
                break
        system.kill("relay")
        assert httpx.post(url, json={"author": "Ann", "message": "Ho"}, timeout=20).status_code == httpx.codes.CREATED
        for _ in ticks(30, "the doctor does not miss the relay"):
            doctor = system.run("doctor")
            if "No relay is active, and 1 commit" in doctor.stdout:
                break
        assert doctor.returncode == 1
        assert "Is one running (`postlog relay`)?" in problems_of(doctor)["relay"]
        system.again("relay")
        for _ in ticks(60, "the doctor does not see the new relay"):
            doctor = system.run("doctor")
            if doctor.returncode == 0:
                break
