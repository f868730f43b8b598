"""The committed catalogue: what follows from the code is written, and what logs hold already is never left behind."""

import json
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from domain.event_types import EventType
from domain.upcasting import Part, Step, UpcasterChain, add_field, drop_event, merge_events, rename_event, split_event
from tools.catalogue import __main__ as module
from tools.catalogue.__main__ import Catalogue, drift

ROOT = Path(__file__).parents[3]


@dataclass(frozen=True, slots=True, kw_only=True)
class Opened:
    """Somebody opened the door."""

    who: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Closed:
    """Somebody closed a door."""

    door: str
    who: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenedWithReason:
    """Somebody opened the door."""

    who: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenedByAnybody:
    """Somebody opened the door."""

    who: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenedAt:
    who: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenedTimes:
    times: complex


EVENTS = (EventType("Opened", 1, Opened), EventType("Closed", 2, Closed))
STEPS = (add_field("Closed", 1, "who", None),)
CHAIN = UpcasterChain(STEPS)

OF_THIS_DOMAIN = module.catalogue


def catalogue(root: Path, event_types: Sequence[EventType] = EVENTS, chain: UpcasterChain = CHAIN) -> Catalogue:
    return OF_THIS_DOMAIN(root, event_types, chain)


def with_opened(event_class: Any, version: int = 1) -> list[EventType]:
    """Instead of the one that there is."""
    return [EventType("Opened", version, event_class), EVENTS[1]]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A repository in which all is well: a current event, and one with a past."""
    for folder in ("docs/schemas", "tests/golden"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "pyproject.toml").write_text('[project]\nversion = "0.1.0"\n')
    door = {"properties": {"door": {"type": "string"}}, "required": ["door"]}
    old = {"description": "Once.", "x-since": "long ago", "type": "object", **door}
    (tmp_path / "docs/schemas/Closed.v1.json").write_text(json.dumps(old))
    for shape, read_as in (
        (event("Opened", 1, who="Ann"), event("Opened", 1, who="Ann")),
        (event("Closed", 1, door="front"), event("Closed", 2, door="front", who=None)),
        (event("Closed", 2, door="front", who="Bob"), event("Closed", 2, door="front", who="Bob")),
    ):
        write_golden(tmp_path, f"{shape['type']}.v{shape['schemaVersion']}", shape, read_as)
    write(tmp_path, catalogue(tmp_path))
    return tmp_path


def chain(*steps: Step) -> UpcasterChain:
    return UpcasterChain((*STEPS, *steps))


def write_golden(root: Path, shape: str, stored: Any, *read_as: Any) -> None:
    (root / f"tests/golden/{shape}.json").write_text(json.dumps({"stored": stored, "readAs": read_as}))


def event(name: str, version: int, **data: Any) -> dict[str, Any]:
    return {"type": name, "schemaVersion": version, "data": data}


def change(root: Path, path: str, changed: Callable[[dict[str, Any]], None]) -> None:
    plain = json.loads((root / path).read_text())
    changed(plain)
    (root / path).write_text(json.dumps(plain))


def write(root: Path, found: Catalogue) -> None:
    assert not found.problems
    for path, text in found.files.items():
        (root / path).write_text(text)


def test_the_committed_catalogue_matches_the_code() -> None:
    found = OF_THIS_DOMAIN(ROOT)
    assert found.problems == []
    assert drift(ROOT, found) == []


# What needs a person


def test_an_added_field_without_a_new_version_is_refused_with_the_remedy(root: Path) -> None:
    found = catalogue(root, with_opened(OpenedWithReason))
    assert found.files == {}
    assert found.problems[0] == (
        "Opened, schema version 1: field reason was added. Logs hold events of this schema version, and the current "
        "code can no longer read them. Revert the change, or add schema version 2: raise it in "
        "src/domain/event_types.py, lead version 1 to it by a step in src/domain/upcasters.py, write "
        "tests/golden/Opened.v2.json, correct `readAs` in the golden files of older versions, then run `make fix` "
        "(docs/versioning.md shows the whole way). Only if version 1 was never released: delete "
        "docs/schemas/Opened.v1.json, correct its golden file and run `make fix`."
    )


def test_a_field_of_another_type_without_a_new_version_is_refused(root: Path) -> None:
    [problem, *_] = catalogue(root, with_opened(OpenedAt)).problems
    assert problem.startswith("Opened, schema version 1: field who must be a date-time now.")


def test_a_new_version_without_a_step_is_refused(root: Path) -> None:
    problems = catalogue(root, with_opened(OpenedWithReason, 2)).problems
    assert problems == [
        (
            "Opened, schema version 1, can no longer be read: logs hold such events, and there is neither a "
            "class in src/domain/event_types.py nor a step in src/domain/upcasters.py for them. Let a step lead to "
            "schema version 2."
        ),
        "tests/golden/Opened.v2.json is missing: write an example of this event, and what it reads as.",
    ]


def test_a_new_version_whose_step_forgets_a_field_is_refused(root: Path) -> None:
    opened = event("Opened", 2, who="Bob", reason="none")
    write_golden(root, "Opened.v2", opened, opened)
    [problem] = catalogue(root, with_opened(OpenedWithReason, 2), chain(add_field("Opened", 1, "motive", ""))).problems
    assert problem == (
        "What tests/golden/Opened.v1.json contains can no longer be read: Event 1 of post "
        "00000000-0000-0000-0000-000000000000 (Opened, schema version 1): field reason is missing; field motive "
        "is unknown. Fix the step that leads from it."
    )


def test_an_event_that_is_gone_without_a_step_is_refused(root: Path) -> None:
    assert catalogue(root, [EVENTS[1]]).problems == [
        (
            "Opened, schema version 1, can no longer be read: logs hold such events, and there is neither a "
            "class in src/domain/event_types.py nor a step in src/domain/upcasters.py for them. Let a step map "
            "them to current events (rename_event, split_event, drop_event)."
        )
    ]


def test_a_step_for_a_shape_without_a_schema_is_refused(root: Path) -> None:
    write_golden(root, "Slammed.v1", event("Slammed", 1))
    assert catalogue(root, EVENTS, chain(drop_event(("Slammed", 1)))).problems == [
        (
            "docs/schemas/Slammed.v1.json is missing. An upcaster reads this shape, but no class has it, so "
            "write its schema by hand, after those of other old versions."
        )
    ]


def test_the_schema_of_an_old_version_is_never_changed(root: Path) -> None:
    change(root, "docs/schemas/Closed.v1.json", lambda plain: plain["properties"].update(mood={"type": "string"}))
    assert catalogue(root).problems == [
        (
            "docs/schemas/Closed.v1.json was changed, but logs hold events of this old version as they are: the "
            "file is history. Revert the change (git checkout docs/schemas/Closed.v1.json); "
            "docs/schemas/history.json has the digest of the original."
        )
    ]


def test_what_a_golden_file_of_an_old_version_holds_is_never_changed(root: Path) -> None:
    change(root, "tests/golden/Closed.v1.json", lambda plain: plain["stored"]["data"].update(door="back"))
    change(root, "tests/golden/Closed.v1.json", lambda plain: plain["readAs"][0]["data"].update(door="back"))
    [problem] = catalogue(root).problems
    assert problem.startswith("tests/golden/Closed.v1.json was changed, but logs hold")


def test_a_golden_file_that_reads_differently_is_refused(root: Path) -> None:
    change(root, "tests/golden/Closed.v1.json", lambda plain: plain["readAs"][0]["data"].update(who="Bob"))
    assert catalogue(root).problems == [
        ("What tests/golden/Closed.v1.json contains does not read as its `readAs` says. Fix the upcaster, or `readAs`.")
    ]


def test_a_golden_file_of_another_event_is_refused(root: Path) -> None:
    shutil.copyfile(root / "tests/golden/Closed.v2.json", root / "tests/golden/Opened.v1.json")
    assert catalogue(root).problems == ["tests/golden/Opened.v1.json contains another event than its name says."]


def test_history_can_not_be_deleted(root: Path) -> None:
    for folder in ("docs/schemas", "tests/golden"):
        (root / folder / "Closed.v1.json").unlink()
    without_its_step = UpcasterChain([step for step in STEPS if ("Closed", 1) not in step.consumes])
    assert catalogue(root, EVENTS, without_its_step).problems == [
        "docs/schemas/Closed.v1.json is gone, but logs hold events of this shape. Restore it: it is history."
    ]


def test_the_example_of_an_old_version_must_be_restored(root: Path) -> None:
    (root / "tests/golden/Closed.v1.json").unlink()
    assert catalogue(root).problems == [
        "tests/golden/Closed.v1.json is gone, but logs hold events of this shape. Restore it: it is history."
    ]


def test_a_field_of_a_type_that_has_no_stored_form_is_refused(root: Path) -> None:
    assert catalogue(root, with_opened(OpenedTimes)).problems == [
        (
            "OpenedTimes.times: <class 'complex'> has no stored form. Use another type, or add it to "
            "src/adapters/wire/event_shape.py."
        )
    ]


# What follows from the code


def test_a_new_version_with_step_and_golden_files_only_wants_to_be_written(root: Path) -> None:
    new = event("Opened", 2, who="Ann", reason="none")
    write_golden(root, "Opened.v2", new, new)
    change(root, "tests/golden/Opened.v1.json", lambda plain: plain.update(readAs=[new]))
    old_schema = (root / "docs/schemas/Opened.v1.json").read_text()

    found = catalogue(root, with_opened(OpenedWithReason, 2), chain(add_field("Opened", 1, "reason", "none")))

    assert drift(root, found) == [
        "docs/schemas/Opened.v2.json",
        "docs/schemas/history.json",
        "docs/events.md",
        "docs/asyncapi.yaml",
    ]
    write(root, found)
    assert (root / "docs/schemas/Opened.v1.json").read_text() == old_schema
    assert "Opened.v1" in json.loads((root / "docs/schemas/history.json").read_text())
    page = (root / "docs/events.md").read_text()
    assert "| [Opened](#opened) | 2 | 0.1.0 |" in page
    assert "| `reason` | text | 2 |" in page
    assert 'It is read as Opened, schema version 2; `reason` is `"none"`:' in page


def test_a_change_that_reads_all_that_is_stored_only_wants_to_be_written(root: Path) -> None:
    found = catalogue(root, with_opened(OpenedByAnybody))
    assert drift(root, found) == ["docs/schemas/Opened.v1.json", "docs/events.md", "docs/asyncapi.yaml"]
    write(root, found)
    assert drift(root, catalogue(root, with_opened(OpenedByAnybody))) == []


@pytest.mark.parametrize("path", ["docs/events.md", "docs/asyncapi.yaml", "docs/schemas/Opened.v1.json"])
def test_a_generated_file_that_is_missing_or_changed_by_hand_is_found(root: Path, path: str) -> None:
    if path.endswith(".json"):
        change(root, path, lambda plain: plain.update(description="Something else."))
    else:
        (root / path).write_text("Something else.")
    assert drift(root, catalogue(root)) == [path]
    (root / path).unlink()
    assert path in drift(root, catalogue(root))


def test_the_release_that_brought_a_shape_is_kept(root: Path) -> None:
    pyproject = root / "pyproject.toml"
    pyproject.write_text(pyproject.read_text().replace('version = "0.1.0"', 'version = "7.0.0"'))
    assert drift(root, catalogue(root)) == []
    (root / "docs/schemas/Opened.v1.json").unlink()
    assert '"x-since": "7.0.0"' in catalogue(root).files["docs/schemas/Opened.v1.json"]


PARTS = (
    Part(("Opened", 1), lambda data: {"who": data["who"]}),
    Part(("Closed", 2), lambda data: {"door": "front", "who": None}),
)


@pytest.mark.parametrize(
    ("step", "read_as", "sentence"),
    [
        (drop_event(("Swung", 1)), [], "It is dropped when it is read; only its version counts."),
        (
            rename_event(("Swung", 1), ("Opened", 1)),
            [event("Opened", 1, who="Bob")],
            "It is read as Opened, schema version 1:",
        ),
        (
            split_event(("Swung", 1), *PARTS),
            [event("Opened", 1, who="Bob"), event("Closed", 2, door="front", who=None)],
            "It is split when it is read, into Opened, schema version 1 and Closed, schema version 2:",
        ),
    ],
)
def test_the_page_shows_how_an_event_that_is_no_longer_written_is_read(
    root: Path, step: Step, read_as: Sequence[Any], sentence: str
) -> None:
    schema = json.loads((root / "docs/schemas/Opened.v1.json").read_text())
    (root / "docs/schemas/Swung.v1.json").write_text(json.dumps({**schema, "description": "A swap."}))
    write_golden(root, "Swung.v1", event("Swung", 1, who="Bob"), *read_as)
    page = catalogue(root, EVENTS, chain(step)).files["docs/events.md"]
    assert "| [Swung](#swung) | 1, no longer written | 0.1.0 |" in page
    assert sentence in page.partition("## Swung")[2]


def test_events_that_are_merged_are_shown_with_their_neighbours(root: Path) -> None:
    merge = merge_events(("A", 1), ("B", 1), ("Opened", 1), lambda a, b: {"who": "Bob"})
    schema = json.loads((root / "docs/schemas/Opened.v1.json").read_text())
    for name in "AB":
        (root / f"docs/schemas/{name}.v1.json").write_text(json.dumps(schema))
        both = [event("A", 1, who="x"), event("B", 1, who="y")]
        write_golden(root, f"{name}.v1", both, event("Opened", 1, who="Bob"))
    page = catalogue(root, EVENTS, chain(merge)).files["docs/events.md"]
    assert "Such neighbours in one commit are merged when they are read, to Opened, schema version 1:" in page


# The command


Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(root: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.setattr(module, "catalogue", catalogue)

    def run(*arguments: str) -> tuple[int, str, str]:
        status = module.main(arguments, root)
        return status, *capsys.readouterr()

    return run


def test_the_command_checks_and_edits_nothing(root: Path, run: Run) -> None:
    assert run() == (0, "", "")
    (root / "docs/events.md").write_text("Something else.")
    status, out, err = run()
    assert (status, out) == (1, "")
    assert err == "docs/events.md does not match the code. Run `make fix`, and review the changes.\n"
    assert (root / "docs/events.md").read_text() == "Something else."

    assert run("--write") == (0, "wrote docs/events.md\n", "")
    assert run() == (0, "", "")


def test_the_command_works_from_the_root_of_the_repository() -> None:
    line = [sys.executable, "-m", "tools.catalogue"]
    done = subprocess.run(line, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@pytest.mark.parametrize(
    ("target", "command"),
    [("check", "python -m tools.catalogue"), ("fix", "python -m tools.catalogue --write")],
)
def test_make_runs_the_command(target: str, command: str) -> None:
    done = subprocess.run(["make", "-n", target], cwd=ROOT, capture_output=True, text=True, timeout=60, check=True)
    assert any(line.endswith(command) for line in done.stdout.splitlines())


def test_the_command_writes_over_nothing_while_a_person_is_needed(
    root: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = {path: path.read_text() for path in root.rglob("*.*") if path.is_file()}
    monkeypatch.setattr(module, "catalogue", lambda root: catalogue(root, with_opened(OpenedWithReason)))
    status, out, err = run("--write")
    assert (status, out) == (1, "")
    assert err.startswith("Opened, schema version 1: field reason was added.")
    assert {path: path.read_text() for path in root.rglob("*.*") if path.is_file()} == before


def test_the_command_names_the_file_that_it_can_not_read(root: Path, run: Run) -> None:
    (root / "docs/schemas/Closed.v2.json").write_text("{")
    status, _, err = run()
    assert status == 2
    assert "Closed.v2.json is not JSON" in err
    assert run("--fix")[0] == 2
