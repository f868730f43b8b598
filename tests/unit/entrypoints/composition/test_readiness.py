"""What each process is ready for, on servers."""

from pathlib import Path

import pytest

from entrypoints.composition import services
from entrypoints.composition.container import container_for
from entrypoints.composition.resources import Resources
from entrypoints.settings.loading import load_settings
from entrypoints.worker import ProcessRoles

NOBODY = "mongodb://127.0.0.1:1/?replicaSet=rs0"


@pytest.mark.parametrize(
    ("roles", "needed", "helpful"),
    [
        (ProcessRoles(commands=True), {"event_store", "positions"}, set()),
        (ProcessRoles(queries=True), {"read_db", "rows"}, {"event_store"}),
        (ProcessRoles(relay=True), {"event_store", "positions", "bus"}, set()),
        (ProcessRoles(projector=True), {"event_store", "positions", "read_db", "bus"}, set()),
        (ProcessRoles(auditor=True), {"event_store", "positions", "read_db"}, set()),
    ],
    ids=["serve command", "serve query", "relay", "project", "audit"],
)
async def test_a_process_needs_what_it_is_for(
    roles: ProcessRoles, needed: set[str], helpful: set[str], tmp_path: Path
) -> None:
    environ = {
        "POSTLOG__EVENT_STORE__ADAPTER": "mongo",
        "POSTLOG__EVENT_STORE__MONGO__URL": NOBODY,
        "POSTLOG__BUS__ADAPTER": "kafka",
        "POSTLOG__BUS__KAFKA__BOOTSTRAP_SERVERS": "127.0.0.1:1",
        "POSTLOG__READ_DB__SQLITE__PATH": str(tmp_path / "read.sqlite"),
    }
    container = container_for(load_settings(environ=environ).settings)
    async with Resources(container) as resources:
        probes, watched = await services._open(container, resources, roles)
        assert {probe.name for probe in probes} == needed
        assert {probe.name for probe in watched} == helpful
