"""The committed catalogue: what follows from the code is written, and what logs hold already is never left behind."""

import json
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from adapters.wire import catalogue as module
from adapters.wire.catalogue import Catalogue, catalogue, drift
from domain.event_types import CURRENT, EventType
from domain.upcasters import CHAIN, STEPS
from domain.upcasting import Part, Step, UpcasterChain, add_field, drop_event, merge_events, rename_event, split_event

ROOT = Path(__file__).parents[4]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """The part of the repository that the catalogue reads and writes."""
    for folder in ("docs/schemas", "tests/golden"):
        shutil.copytree(ROOT / folder, tmp_path / folder)
    for file in ("pyproject.toml", "docs/events.md", "docs/asyncapi.yaml"):
        shutil.copyfile(ROOT / file, tmp_path / file)
    return tmp_path


@dataclass(frozen=True, slots=True, kw_only=True)
class UnlikedWithReason:
    """Somebody who liked the post likes it no more."""

    username: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class UnlikedByAnybody:
    """Somebody who liked the post likes it no more."""

    username: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class UnlikedAt:
    username: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class UnlikedTimes:
    times: complex


def with_unliked(event_class: Any, version: int = 1) -> list[EventType]:
    """Today's events, but for PostUnliked."""
    return [
        replace(each, event_class=event_class, schema_version=version) if each.name == "PostUnliked" else each
        for each in CURRENT
    ]


def without_unliked() -> list[EventType]:
    return [each for each in CURRENT if each.name != "PostUnliked"]


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


def test_the_committed_catalogue_is_what_the_code_says() -> None:
    found = catalogue(ROOT)
    assert found.problems == []
    assert drift(ROOT, found) == []


# What needs a person


def test_a_field_more_without_a_new_version_is_refused_and_what_to_do_is_said(root: Path) -> None:
    found = catalogue(root, with_unliked(UnlikedWithReason))
    assert found.files == {}
    assert found.problems[0] == (
        "PostUnliked, schema version 1: field reason was added. Logs hold events of this schema version, and today's "
        "code can't read them any more. Take the change back, or make schema version 2: raise it in "
        "src/domain/event_types.py, lead version 1 to it by a step in src/domain/upcasters.py, write "
        "tests/golden/PostUnliked.v2.json, mend `readAs` in the golden files of older versions, then run `make fix` "
        "(docs/versioning.md shows the whole way). Only if version 1 was never released: delete "
        "docs/schemas/PostUnliked.v1.json, mend its golden file and run `make fix`."
    )


def test_a_field_of_another_type_without_a_new_version_is_refused(root: Path) -> None:
    [problem, *_] = catalogue(root, with_unliked(UnlikedAt)).problems
    assert problem.startswith("PostUnliked, schema version 1: field username must be a date-time now.")


def test_a_new_version_without_a_step_is_refused(root: Path) -> None:
    problems = catalogue(root, with_unliked(UnlikedWithReason, 2)).problems
    assert problems == [
        (
            "PostUnliked, schema version 1, can't be read any more: logs hold such events, and there is neither a "
            "class in src/domain/event_types.py nor a step in src/domain/upcasters.py for them. Let a step lead to "
            "schema version 2."
        ),
        "tests/golden/PostUnliked.v2.json is missing: write an example of this event, and what it reads as.",
    ]


def test_a_new_version_whose_step_forgets_a_field_is_refused(root: Path) -> None:
    unliked = event("PostUnliked", 2, username="Bob", reason="none")
    write_golden(root, "PostUnliked.v2", unliked, unliked)
    [problem] = catalogue(
        root, with_unliked(UnlikedWithReason, 2), chain(add_field("PostUnliked", 1, "motive", ""))
    ).problems
    assert problem == (
        "What tests/golden/PostUnliked.v1.json holds can't be read any more: Event 1 of post "
        "00000000-0000-0000-0000-000000000000 (PostUnliked, schema version 1): field reason is missing; field motive "
        "is unknown. Mend the step that leads from it."
    )


def test_an_event_that_is_gone_without_a_step_is_refused(root: Path) -> None:
    assert catalogue(root, without_unliked()).problems == [
        (
            "PostUnliked, schema version 1, can't be read any more: logs hold such events, and there is neither a "
            "class in src/domain/event_types.py nor a step in src/domain/upcasters.py for them. Let a step say what "
            "they are today (rename_event, split_event, drop_event)."
        )
    ]


def test_a_step_for_a_shape_that_nobody_described_is_refused(root: Path) -> None:
    write_golden(root, "PostPinned.v1", event("PostPinned", 1))
    assert catalogue(root, CURRENT, chain(drop_event(("PostPinned", 1)))).problems == [
        (
            "docs/schemas/PostPinned.v1.json is missing. An upcaster reads this shape and no class has it any more, so "
            "write its schema by hand, after those of other old versions."
        )
    ]


def test_the_schema_of_an_old_version_is_never_changed(root: Path) -> None:
    change(root, "docs/schemas/PostLiked.v1.json", lambda plain: plain["properties"].update(mood={"type": "string"}))
    assert catalogue(root).problems == [
        (
            "docs/schemas/PostLiked.v1.json was changed, but logs hold events of this old version as they are: the "
            "file is history. Take the change back (git checkout docs/schemas/PostLiked.v1.json); "
            "docs/schemas/history.json remembers what it was."
        )
    ]


def test_what_a_golden_file_of_an_old_version_holds_is_never_changed(root: Path) -> None:
    change(root, "tests/golden/CommentRemoved.v1.json", lambda plain: plain["stored"]["data"].update(commentId="x"))
    change(root, "tests/golden/CommentRemoved.v1.json", lambda plain: plain["readAs"][0]["data"].update(commentId="x"))
    [problem] = catalogue(root).problems
    assert problem.startswith("tests/golden/CommentRemoved.v1.json was changed, but logs hold")


def test_a_golden_file_that_says_otherwise_is_refused(root: Path) -> None:
    change(root, "tests/golden/PostLiked.v1.json", lambda plain: plain["readAs"][0]["data"].update(username="Bob"))
    assert catalogue(root).problems == [
        (
            "What tests/golden/PostLiked.v1.json holds reads otherwise than its `readAs` says. Mend the upcaster, or "
            "`readAs`."
        )
    ]


def test_a_golden_file_of_another_event_is_refused(root: Path) -> None:
    shutil.copyfile(root / "tests/golden/PostLiked.v2.json", root / "tests/golden/PostCreated.v1.json")
    assert catalogue(root).problems == ["tests/golden/PostCreated.v1.json holds another event than its name says."]


def test_history_can_not_be_deleted(root: Path) -> None:
    for folder in ("docs/schemas", "tests/golden"):
        (root / folder / "PostLiked.v1.json").unlink()
    without_its_step = UpcasterChain([step for step in STEPS if ("PostLiked", 1) not in step.consumes])
    assert catalogue(root, CURRENT, without_its_step).problems == [
        "docs/schemas/PostLiked.v1.json is gone, but logs hold events of this shape. Bring it back: it is history."
    ]


def test_a_field_of_a_type_that_has_no_stored_form_is_refused(root: Path) -> None:
    assert catalogue(root, with_unliked(UnlikedTimes)).problems == [
        (
            "UnlikedTimes.times: <class 'complex'> has no stored form. Use another type, or teach it to "
            "src/adapters/wire/event_shape.py."
        )
    ]


# What follows from the code


def test_a_new_version_with_step_and_golden_files_only_wants_to_be_written(root: Path) -> None:
    new = event("PostUnliked", 2, username="Bob", reason="none")
    write_golden(root, "PostUnliked.v2", new, new)
    change(root, "tests/golden/PostUnliked.v1.json", lambda plain: plain.update(readAs=[new]))
    old_schema = (root / "docs/schemas/PostUnliked.v1.json").read_text()

    found = catalogue(root, with_unliked(UnlikedWithReason, 2), chain(add_field("PostUnliked", 1, "reason", "none")))

    assert drift(root, found) == [
        "docs/schemas/PostUnliked.v2.json",
        "docs/schemas/history.json",
        "docs/events.md",
        "docs/asyncapi.yaml",
    ]
    write(root, found)
    assert (root / "docs/schemas/PostUnliked.v1.json").read_text() == old_schema
    assert "PostUnliked.v1" in json.loads((root / "docs/schemas/history.json").read_text())
    page = (root / "docs/events.md").read_text()
    assert "| [PostUnliked](#postunliked) | 2 | 0.1.0 |" in page
    assert "| `reason` | text | 2 |" in page
    assert 'It is read as PostUnliked, schema version 2; `reason` is `"none"`:' in page


def test_a_change_that_reads_all_that_is_stored_only_wants_to_be_written(root: Path) -> None:
    found = catalogue(root, with_unliked(UnlikedByAnybody))
    assert drift(root, found) == ["docs/schemas/PostUnliked.v1.json", "docs/events.md", "docs/asyncapi.yaml"]
    write(root, found)
    assert drift(root, catalogue(root, with_unliked(UnlikedByAnybody))) == []


@pytest.mark.parametrize("path", ["docs/events.md", "docs/asyncapi.yaml", "docs/schemas/PostCreated.v1.json"])
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
    (root / "docs/schemas/PostCreated.v1.json").unlink()
    assert '"x-since": "7.0.0"' in catalogue(root).files["docs/schemas/PostCreated.v1.json"]


PARTS = (
    Part(("PostUnliked", 1), lambda data: {"username": data["username"]}),
    Part(("PostLiked", 2), lambda data: {"username": None}),
)


@pytest.mark.parametrize(
    ("step", "read_as", "sentence"),
    [
        (drop_event(("PostSwapped", 1)), [], "It is dropped when it is read; only its version counts."),
        (
            rename_event(("PostSwapped", 1), ("PostUnliked", 1)),
            [event("PostUnliked", 1, username="Bob")],
            "It is read as PostUnliked, schema version 1:",
        ),
        (
            split_event(("PostSwapped", 1), *PARTS),
            [event("PostUnliked", 1, username="Bob"), event("PostLiked", 2, username=None)],
            "It is split when it is read, into PostUnliked, schema version 1 and PostLiked, schema version 2:",
        ),
    ],
)
def test_the_page_tells_what_became_of_an_event_that_is_not_written_any_more(
    root: Path, step: Step, read_as: Sequence[Any], sentence: str
) -> None:
    schema = json.loads((root / "docs/schemas/PostUnliked.v1.json").read_text())
    (root / "docs/schemas/PostSwapped.v1.json").write_text(json.dumps({**schema, "description": "A swap."}))
    write_golden(root, "PostSwapped.v1", event("PostSwapped", 1, username="Bob"), *read_as)
    page = catalogue(root, CURRENT, chain(step)).files["docs/events.md"]
    assert "| [PostSwapped](#postswapped) | 1, not written any more | 0.1.0 |" in page
    assert sentence in page.partition("## PostSwapped")[2]


def test_events_that_are_merged_are_shown_with_their_neighbours(root: Path) -> None:
    merge = merge_events(("A", 1), ("B", 1), ("PostUnliked", 1), lambda a, b: {"username": "Bob"})
    schema = json.loads((root / "docs/schemas/PostUnliked.v1.json").read_text())
    for name in "AB":
        (root / f"docs/schemas/{name}.v1.json").write_text(json.dumps(schema))
        both = [event("A", 1, username="x"), event("B", 1, username="y")]
        write_golden(root, f"{name}.v1", both, event("PostUnliked", 1, username="Bob"))
    page = catalogue(root, CURRENT, chain(merge)).files["docs/events.md"]
    assert "Such neighbours in one commit are merged when they are read, to PostUnliked, schema version 1:" in page


# The command


@pytest.fixture
def run(root: Path, capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str, str]]:
    def run(*arguments: str) -> tuple[int, str, str]:
        status = module.main(arguments, root)
        return status, *capsys.readouterr()

    return run


def test_the_command_checks_and_edits_nothing(root: Path, run: Callable[..., tuple[int, str, str]]) -> None:
    assert run() == (0, "", "")
    (root / "docs/events.md").write_text("Something else.")
    status, out, err = run()
    assert (status, out) == (1, "")
    assert err == "docs/events.md is not what the code says. Run `make fix`, and look at what it changes.\n"
    assert (root / "docs/events.md").read_text() == "Something else."

    assert run("--write") == (0, "wrote docs/events.md\n", "")
    assert run() == (0, "", "")


def test_the_command_works_in_the_folder_it_is_called_in(root: Path) -> None:
    (root / "docs/events.md").unlink()
    line = [sys.executable, "-m", "adapters.wire.catalogue"]
    done = subprocess.run(line, cwd=root, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1
    assert done.stderr.startswith("docs/events.md is not what the code says.")


def test_the_command_writes_over_nothing_while_a_person_is_needed(
    root: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def changed(of: Path, event_types: Sequence[EventType] = (), chain: UpcasterChain = CHAIN) -> Catalogue:
        return catalogue(of, with_unliked(UnlikedWithReason), chain)

    before = {path: path.read_text() for path in root.rglob("*.*") if path.is_file()}
    monkeypatch.setattr(module, "catalogue", changed)
    assert module.main(["--write"], root) == 1
    assert capsys.readouterr().err.startswith("PostUnliked, schema version 1: field reason was added.")
    assert {path: path.read_text() for path in root.rglob("*.*") if path.is_file()} == before


def test_the_command_says_what_it_can_not_read(root: Path, run: Callable[..., tuple[int, str, str]]) -> None:
    (root / "docs/schemas/PostLiked.v2.json").write_text("{")
    status, _, err = run()
    assert status == 2
    assert "PostLiked.v2.json is not JSON" in err
    assert run("--fix")[0] == 2
