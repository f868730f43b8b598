"""Every result names its log and read database, because another shell may have another data folder; a folder without a
log stays empty."""

import json
import shutil
from pathlib import Path

import pytest

from entrypoints.cli import main
from running import postlog

POST = "0198c0de-0000-7000-8000-000000000001"
BOTH = ("log.sqlite", "read.sqlite")
NAMING = {
    "rebuild": BOTH,
    "rebuild --dry-run": BOTH,
    "rebuild --drop": BOTH,
    "audit": BOTH,
    "doctor": BOTH,
    "init": BOTH,
    "parked list": ("read.sqlite",),
    f"parked show {POST}": ("read.sqlite",),
    "parked retry": BOTH,
    "events check": ("log.sqlite",),
    "events cut": ("log.sqlite",),
    "import posts.ndjson": ("log.sqlite",),
    "backup copy.sqlite": ("log.sqlite",),
}
SAID_IN_JSON = ["rebuild", "audit", "doctor", "events check", "events cut", "import posts.ndjson"]
LOOKING = [verb for verb in NAMING if verb.partition(" ")[0] not in ("init", "import", "backup")]


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`var` and `data`, each with a log of its own and its rows."""
    folder = tmp_path_factory.mktemp("filled")
    line = {"externalId": "x", "author": "ann", "message": "Hello", "datePosted": "2020-01-02T03:04:05Z", "likes": 1}
    (folder / "posts.ndjson").write_text(json.dumps(line), encoding="utf-8")
    for name in ("var", "data"):
        env = {"POSTLOG_DATA": str(folder / name)}
        assert postlog("import", str(folder / "posts.ndjson"), env=env).returncode == 0
        assert postlog("rebuild", env=env).returncode == 0
    return folder


@pytest.fixture
def folders(filled: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, Path]:
    """`./var`, which has a log too, and the folder that `POSTLOG_DATA` names."""
    shutil.copytree(filled, tmp_path, dirs_exist_ok=True)
    monkeypatch.setenv("POSTLOG_DATA", str(tmp_path / "data"))
    return tmp_path / "var", tmp_path / "data"


def said(capsys: pytest.CaptureFixture[str], verb: str, *options: str) -> str:
    capsys.readouterr()
    main.run([*verb.split(), *options])
    return capsys.readouterr().out


@pytest.mark.parametrize("verb", NAMING)
def test_a_result_names_log_and_read_database(
    verb: str, folders: tuple[Path, Path], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    default, named = folders
    out = said(capsys, verb)
    assert [name for name in BOTH if str(named / name) in out] == list(NAMING[verb] if "backup" not in verb else [])
    monkeypatch.delenv("POSTLOG_DATA")
    Path("copy.sqlite").unlink(missing_ok=True)
    out = said(capsys, verb)
    assert [name for name in BOTH if str(default / name) in out] == list(NAMING[verb] if "backup" not in verb else [])


@pytest.mark.parametrize("verb", SAID_IN_JSON)
def test_a_result_in_json_names_them_too(
    verb: str, folders: tuple[Path, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    records = [json.loads(line) for line in said(capsys, verb, "--json").splitlines()]
    record = records[0] if verb == "doctor" else records[-1]
    for name in NAMING[verb]:
        assert str(folders[1] / name) in json.dumps(record)


@pytest.mark.parametrize("verb", [*LOOKING, "audit --continuous", f"events show {POST}", "backup copy.sqlite"])
def test_a_folder_without_a_log_is_named_and_stays_empty(
    verb: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "data").mkdir()
    monkeypatch.setenv("POSTLOG_DATA", str(tmp_path / "data"))
    assert main.run(verb.split()) == 2
    printed = capsys.readouterr()
    assert str(tmp_path / "data") in printed.out + printed.err
    assert list((tmp_path / "data").iterdir()) == []
    assert not (tmp_path / "var").exists()
