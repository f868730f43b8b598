"""Builds in the idle slot: emptied, filled batch by batch, and swapped with the live one in one transaction."""

from collections.abc import Sequence
from dataclasses import asdict, replace
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, bindparam, delete, func, insert, select, update

from adapters.sql.backend import SqlBackend
from adapters.sql.live_row import LOCK_CHECKPOINTS, SELECT_LIVE
from adapters.sql.rows import from_checkpoint, to_checkpoint, to_live
from adapters.sql.tables import SLOTS, checkpoints, generations, parked_streams, read_db
from adapters.sql.touched_rows import TouchedRows
from application.ports.generations import Build, BuildGone, BuildState, LastStep
from application.ports.projection_store import Checkpoint, Fold, LiveGeneration, Slot, Touched

_LOCK_LIVE = SELECT_LIVE.with_for_update()
_BY_GENERATION = generations.c.generation == bindparam("of")
_LOCK_BUILD = select(generations).where(_BY_GENERATION).with_for_update()
_UPDATE_BUILD = update(generations).where(_BY_GENERATION)
_NEWEST = select(generations).order_by(generations.c.generation.desc())
_HIGHEST = select(func.max(generations.c.generation))


class Building:
    def __init__(self, backend: SqlBackend) -> None:
        self._backend = backend
        self._rows = TouchedRows(backend)

    def builds(self, limit: int) -> Sequence[Build]:
        with self._backend.engine.connect() as connection:
            return [_to_build(row) for row in connection.execute(_NEWEST.limit(limit))]

    def begin(self, log_id: str, target: int, now: datetime) -> Build:
        """The row of the new build comes last: one that is BUILDING stands on an empty slot."""
        live = self._leave_unfinished(now)
        slot: Slot = "b" if live.slot == "a" else "a"
        self._empty(slot, live.generation)
        with self._backend.writing() as connection:
            highest = connection.execute(_HIGHEST).scalar_one() or 0
            build = Build(
                generation=max(highest, live.generation) + 1,
                slot=slot,
                state=BuildState.BUILDING,
                log_id=log_id,
                position=0,
                commit_id="",
                target=target,
                events=0,
                started_at=now,
                updated_at=now,
            )
            connection.execute(insert(generations), _from_build(build))
        return build

    def load(self, build: Build, after: Build, touched: Touched, fold: Fold) -> None:
        with self._backend.writing() as connection:
            _require_building(connection, build)
            self._apply(connection, build, touched, fold)
            _save(connection, after)

    def swap(self, build: Build, last_step: LastStep, now: datetime, *, keep_checkpoints: bool) -> LiveGeneration:
        """The live row is locked before the checkpoints: until then a partition might begin, whose checkpoint would be
        neither locked nor kept."""
        with self._backend.writing() as connection:
            live = to_live(connection.execute(_LOCK_LIVE).one())
            stored = connection.execute(LOCK_CHECKPOINTS, {"of": live.generation}).all()
            _require_building(connection, build)
            kept = {row.partition: to_checkpoint(row) for row in stored} if keep_checkpoints else {}
            done, touched, fold = last_step(kept)
            self._apply(connection, build, touched, fold)
            _save(connection, replace(done, state=BuildState.LIVE, updated_at=now))
            retired = {"of": live.generation, "state": BuildState.RETIRED.value, "ended_at": now}
            connection.execute(_UPDATE_BUILD, retired)
            for checkpoint in kept.values() or _fresh_checkpoints(done, live.partitions):
                connection.execute(insert(checkpoints), from_checkpoint(build.generation, checkpoint))
            connection.execute(
                update(read_db).values(generation=build.generation, slot=build.slot, log_id=build.log_id, ready=True)
            )
            return to_live(connection.execute(SELECT_LIVE).one())

    def end(self, build: Build, state: BuildState, now: datetime, error: str | None) -> None:
        with self._backend.writing() as connection:
            _end(connection, state, now, error, build.generation)

    def _leave_unfinished(self, now: datetime) -> LiveGeneration:
        with self._backend.writing() as connection:
            for row in connection.execute(_NEWEST.where(generations.c.state == BuildState.BUILDING.value)).all():
                _end(connection, BuildState.CANCELLED, now, None, row.generation)
            return to_live(connection.execute(SELECT_LIVE).one())

    def _empty(self, slot: Slot, live: int) -> None:
        """Readers ask one statement at a time, and each names the live slot: nobody can still be reading this one, but
        whoever had begun before the last swap, and his statement sees the rows until its end."""
        for table in (SLOTS[slot].comments, SLOTS[slot].posts):
            self._backend.empty(table)
        with self._backend.writing() as connection:
            connection.execute(delete(parked_streams).where(parked_streams.c.generation != live))
            connection.execute(delete(checkpoints).where(checkpoints.c.generation != live))

    def _apply(self, connection: Connection, build: Build, touched: Touched, fold: Fold) -> None:
        rows = self._rows.read(connection, build.slot, build.generation, touched)
        self._rows.load(connection, build.slot, build.generation, rows, fold(rows))


def _require_building(connection: Connection, build: Build) -> None:
    row = connection.execute(_LOCK_BUILD, {"of": build.generation}).one_or_none()
    if row is None or row.state != BuildState.BUILDING.value or row.position != build.position:
        raise BuildGone(f"Generation {build.generation} is not being built any more.")


def _save(connection: Connection, build: Build) -> None:
    connection.execute(_UPDATE_BUILD, {"of": build.generation, **_from_build(build)})


def _end(connection: Connection, state: BuildState, now: datetime, error: str | None, generation: int) -> None:
    building = _UPDATE_BUILD.where(generations.c.state == BuildState.BUILDING.value)
    connection.execute(building, {"of": generation, "state": state.value, "ended_at": now, "error": error})


def _fresh_checkpoints(build: Build, partitions: int) -> list[Checkpoint]:
    return [
        Checkpoint(
            partition=partition, position=build.position, commit_position=build.position, commit_id=build.commit_id
        )
        for partition in range(partitions)
    ]


def _from_build(build: Build) -> dict[str, Any]:
    return {**asdict(build), "state": build.state.value}


def _to_build(row: Any) -> Build:
    return Build(**{**row._mapping, "state": BuildState(row.state)})  # noqa: SLF001 (SQLAlchemy's public name for it)
