"""Imports stand at the top of their file. Those that do not are listed here, each with the reason."""

import ast
from collections.abc import Iterator
from pathlib import Path

SRC = Path(__file__).parents[2] / "src"

DRIVERS = ("confluent_kafka", "jwt", "opentelemetry", "psycopg", "pymongo", "pyodbc", "sqlalchemy")
OF_A_DRIVER = (
    "adapters.jwt",
    "adapters.kafka",
    "adapters.mongo",
    "adapters.otel",
    "adapters.postgres",
    "adapters.sqlserver",
    "adapters.sql.schema",
    "adapters.sqlite.read_db_engine",
)
"""Modules that import a driver at their top; a process loads the drivers of the adapters that its settings select."""


def late_imports(file: Path) -> Iterator[str]:
    """Names of what is imported in functions or for type checkers only."""
    yield from _late(ast.parse(file.read_text("utf-8")), is_late=False)


def _late(node: ast.AST, *, is_late: bool) -> Iterator[str]:
    for child in ast.iter_child_nodes(node):
        match child:
            case ast.ImportFrom(module=str(module)) if is_late:
                yield module
            case ast.Import(names=names) if is_late:
                yield from (name.name for name in names)
            case ast.FunctionDef() | ast.AsyncFunctionDef():
                yield from _late(child, is_late=True)
            case ast.If(test=ast.Name(id="TYPE_CHECKING")):
                yield from _late(child, is_late=True)
            case _:
                yield from _late(child, is_late=is_late)


ALLOWED = {
    "entrypoints/cli/start.py": {
        "entrypoints.cli.main": "an interruption while the command line loads is no traceback"
    },
    "entrypoints/composition/services.py": {"entrypoints.web.pages": "only a process that serves pages loads Jinja"},
    "adapters/sql/schema.py": {
        "adapters.sql.migrations.upgrade": "it loads Alembic, which is needed for an upgrade only"
    },
    "adapters/sql/types.py": {"adapters.sql.datetime2": "it is for SQL Server only"},
    "adapters/sqlite/read_db.py": {
        "adapters.sql.backend": "it imports SQLAlchemy",
        "adapters.sql.database": "it imports SQLAlchemy",
    },
}
"""By file: what it imports late, and why."""


def imports_without_reason() -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for file in sorted(SRC.rglob("*.py")):
        name = file.relative_to(SRC).as_posix()
        allowed = ALLOWED.get(name, {})
        late = [each for each in late_imports(file) if each not in allowed and not _is_of_a_driver(each, name)]
        if late:
            found[name] = late
    return found


def _is_of_a_driver(module: str, file: str) -> bool:
    """The SQL read database loads its ports with SQLAlchemy, when it is opened."""
    if file == "adapters/sql/read_db.py" and module.startswith("adapters.sql."):
        return True
    return any(module == each or module.startswith(f"{each}.") for each in (*DRIVERS, *OF_A_DRIVER))


def test_only_drivers_are_imported_late() -> None:
    assert imports_without_reason() == {}


def test_every_exception_is_still_needed() -> None:
    late = {file.relative_to(SRC).as_posix(): set(late_imports(file)) for file in SRC.rglob("*.py")}
    assert {name: set(allowed) - late.get(name, set()) for name, allowed in ALLOWED.items()} == {
        name: set() for name in ALLOWED
    }


def test_no_handler_imports_for_type_checkers_only() -> None:
    rooms = ("application", "entrypoints/http", "entrypoints/serving", "entrypoints/web")
    files = [file for room in rooms for file in (SRC / room).rglob("*.py")]
    assert len(files) > 60
    assert [file.name for file in files if "TYPE_CHECKING" in file.read_text("utf-8")] == []
