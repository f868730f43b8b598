"""The driver gets the type of every parameter, so that it never has to ask the server."""

import sys
from datetime import UTC, datetime, timedelta, timezone
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
from sqlalchemy import BigInteger, Boolean, Integer, SmallInteger, UnicodeText, bindparam, update
from sqlalchemy.dialects import mssql

from adapters.sql.tables import SLOTS, checkpoints, generations
from adapters.sql.types import Id, Instant, OrdinalText
from adapters.sqlserver import writing
from adapters.sqlserver.writing import mark_nulls, set_parameter_types, sizes_of

CHAR, VARCHAR, WVARCHAR, BIT, SMALLINT, INTEGER, BIGINT = 1, 12, -9, -7, 5, 4, -5


class FakePyodbc(ModuleType):
    BinaryNull = "missing"
    SQL_CHAR, SQL_VARCHAR, SQL_WVARCHAR = CHAR, VARCHAR, WVARCHAR
    SQL_BIT, SQL_SMALLINT, SQL_INTEGER, SQL_BIGINT = BIT, SMALLINT, INTEGER, BIGINT


@pytest.fixture(autouse=True)
def pyodbc(monkeypatch: pytest.MonkeyPatch) -> FakePyodbc:
    fake = FakePyodbc("pyodbc")
    monkeypatch.setitem(sys.modules, "pyodbc", fake)
    monkeypatch.setattr(writing, "_sizes", writing._sizes.__wrapped__)
    return fake


@pytest.mark.parametrize(
    ("kind", "size"),
    [
        (Id(), (CHAR, 36, 0)),
        (OrdinalText(), (WVARCHAR, 400, 0)),
        (UnicodeText(), (WVARCHAR, 0, 0)),
        (Instant(), (VARCHAR, 23, 0)),
        (Boolean(), (BIT, 0, 0)),
        (SmallInteger(), (SMALLINT, 0, 0)),
        (Integer(), (INTEGER, 0, 0)),
        (BigInteger(), (BIGINT, 0, 0)),
    ],
)
def test_every_column_type_is_set_whatever_sqlalchemy_would_set(kind: Any, size: tuple[int, int, int]) -> None:
    value: Any = bindparam("value", type_=kind)
    for before in (None, float, 12):
        sizes: dict[Any, Any] = {value: before}
        set_parameter_types(sizes)
        assert sizes == {value: size}


def test_other_types_are_left_to_sqlalchemy() -> None:
    value: Any = bindparam("value")
    sizes: dict[Any, Any] = {value: (VARCHAR, 0, 0)}
    set_parameter_types(sizes)
    assert sizes == {value: (VARCHAR, 0, 0)}


@pytest.mark.parametrize("table", [SLOTS["a"].posts, SLOTS["b"].comments, checkpoints, generations])
def test_many_rows_at_once_have_the_types_of_their_columns(table: Any) -> None:
    assert all(size is not None for size in sizes_of(table.c))
    assert sizes_of([SLOTS["a"].posts.c.date_posted]) == [(VARCHAR, 23, 0)]


def marked(values: object, *, compiled: bool = True) -> object:
    context = SimpleNamespace(compiled=object() if compiled else None)
    statement, marked = mark_nulls(None, None, "SELECT", values, context, isinstance(values, list))
    assert statement == "SELECT"
    return marked


def test_missing_values_are_marked_in_one_row_and_in_many() -> None:
    assert marked((1, None, "")) == (1, "missing", "")
    assert marked([(None, 0), (False, None)]) == [("missing", 0), (False, "missing")]
    assert marked(()) == ()


def test_missing_values_of_rows_that_are_sent_together_are_not_marked() -> None:
    """Their types are set, and the mark would be taken for a value."""
    rows = [(1, None)]
    assert marked(rows, compiled=False) is rows


def test_a_time_is_text_that_the_statement_casts_to_the_column_s_type() -> None:
    """The driver would send it without milliseconds to a server that does not report their precision."""
    dialect: Any = mssql.dialect()  # type: ignore[no-untyped-call]
    statement = update(generations).values(ended_at=bindparam("at"))
    assert str(statement.compile(dialect=dialect)) == ("UPDATE generations SET ended_at=CAST(:at AS DATETIME2(3))")
    process: Any = Instant().dialect_impl(dialect).bind_processor(dialect)
    elsewhere = datetime(2026, 11, 23, 14, 0, 0, 7_999, tzinfo=timezone(timedelta(hours=2)))
    assert process(elsewhere) == "2026-11-23T12:00:00.007"
    assert process(datetime(2026, 11, 23, tzinfo=UTC)) == "2026-11-23T00:00:00.000"
    assert process(None) is None
