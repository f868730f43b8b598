"""What operators watch and start from the pages of a service that runs."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from application.maintenance.rebuilds import Rebuilds
from entrypoints.composition.container import Container

if TYPE_CHECKING:
    from entrypoints.web.services import Operations


@asynccontextmanager
async def with_operations(container: Container, rebuilds: Rebuilds) -> AsyncIterator["Operations"]:
    """On an open log and an open read database. What was begun ends with the block."""
    from application.maintenance.audit_runs import AuditRuns
    from application.maintenance.checkup import Checkup
    from application.pipeline.parked_posts import ParkedPosts
    from entrypoints.composition.doctor import doctor_of
    from entrypoints.web.services import Operations

    log, read_db, clock = container.log(), container.read_db(), container.clock()
    checkup = Checkup(lambda: doctor_of(container, thorough=False), clock)
    audits = AuditRuns(container.audit(), clock)
    parked = ParkedPosts(
        streams=read_db.parked_streams,
        retry=container.parked_retry(),
        store=read_db.projection_store,
        log=log.commit_log,
        clock=clock,
    )
    try:
        yield Operations(checkup=checkup, rebuilds=rebuilds, audits=audits, parked=parked)
    finally:
        await audits.cancel()
        await checkup.stop()
