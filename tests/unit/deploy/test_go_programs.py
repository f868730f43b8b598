"""Programs that the tests build from their Go module: found on the PATH, or built once and kept."""

from pathlib import Path

import pytest

from local.go_programs import GoPrograms
from local.processes import ServerFailedError

TOOLS = GoPrograms("tools", "v1.2.3", ("example.com/tools/cmd/one", "example.com/tools/cmd/two"), tags="small")


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The only folder on the PATH besides the system's own."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return folder


def program(place: Path, script: str = "") -> None:
    place.write_text(f"#!/bin/sh\n{script}\n")
    place.chmod(0o755)


def test_those_on_the_path_are_taken_if_all_are_there(path: Path) -> None:
    program(path / "one")
    program(path / "go", "exit 1")
    with pytest.raises(ServerFailedError):
        TOOLS.find()
    program(path / "two")
    assert TOOLS.find() == path


def test_they_are_built_once_in_their_version_and_kept(path: Path, tmp_path: Path) -> None:
    program(path / "go", f'echo "$@" >> {tmp_path}/calls; [ "$1" = build ] && touch one two || true')
    built = TOOLS.find()
    assert built == TOOLS.find() == tmp_path / "cache" / "postlog" / "tools-v1.2.3"
    assert {file.name for file in built.iterdir()} == {"one", "two"}
    mod, get, build = (tmp_path / "calls").read_text().splitlines()
    assert mod == "mod init postlog.local/programs"
    assert get == "get example.com/tools/cmd/one@v1.2.3 example.com/tools/cmd/two@v1.2.3"
    assert build.endswith("example.com/tools/cmd/one example.com/tools/cmd/two")
    assert "-tags=small" in build


def test_a_build_that_fails_says_why_and_leaves_nothing_that_looks_complete(path: Path) -> None:
    program(path / "go", "echo no such module >&2; exit 1")
    with pytest.raises(ServerFailedError, match=r"tools v1\.2\.3 could not be built: `go mod`: no such module"):
        TOOLS.find()
    assert not TOOLS.folder.exists()


def test_without_go_there_are_none(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(path))
    assert TOOLS.find() is None
