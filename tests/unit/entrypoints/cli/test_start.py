"""The entry point of `postlog`: streams, umask, Ctrl-C."""

import json
import os
import signal
import sqlite3
import subprocess
import sys
from contextlib import closing
from importlib.metadata import entry_points
from pathlib import Path
from types import ModuleType

import pytest

from entrypoints.cli import start
from local.ports import free_port
from running import POSTLOG, Running, environment, is_live, postlog, ticks


def interrupted() -> None:
    raise KeyboardInterrupt


def test_ctrl_c_during_the_first_imports_prints_no_traceback(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    command_line = ModuleType("entrypoints.cli.main")
    command_line.main = interrupted  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "entrypoints.cli.main", command_line)
    monkeypatch.setattr(os, "umask", lambda mask: mask)  # which would stay for the tests behind this one
    with pytest.raises(SystemExit) as ended:
        start.main()
    assert ended.value.code == 130
    assert capsys.readouterr().err == "Interrupted.\n"


def test_the_entry_point_imports_nothing_of_the_command_line() -> None:
    [script] = entry_points(group="console_scripts", name="postlog")
    assert script.value == "entrypoints.cli.start:main"
    imported = "import sys, entrypoints.cli.start; print('click' in sys.modules, 'msgspec' in sys.modules)"
    result = subprocess.run([sys.executable, "-c", imported], capture_output=True, text=True, check=True, timeout=30)
    assert result.stdout == "False False\n"


@pytest.mark.parametrize("streams", [">&-", "<&- >&- 2>&-", "> /dev/full"])
def test_a_service_runs_with_closed_or_full_streams(streams: str, tmp_path: Path) -> None:
    """A socket would get the number of a closed stdout, and closing it would end the process."""
    port = free_port()
    command = {"COMMAND": f'exec "{POSTLOG}" run --port {port} {streams}', "POSTLOG_DATA": str(tmp_path)}
    with Running(tmp_path, "-c", 'eval "$COMMAND"', env=command, program="/bin/sh") as running:
        for _ in ticks(40, f"it does not answer:\n{running.printed}"):
            assert running.process.poll() is None, running.printed
            if is_live(f"http://127.0.0.1:{port}"):
                break
        assert running.signal(signal.SIGTERM) == 0, running.printed


@pytest.mark.parametrize("stream", [">&-", "> /dev/full"])
def test_a_result_that_can_not_be_written_is_not_a_bug(stream: str) -> None:
    done = subprocess.run(
        ["/bin/sh", "-c", f'"{POSTLOG}" config --defaults {stream}'],
        env=environment(),
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    expected = (2, "Error: No space left on device.\n") if "full" in stream else (0, "")
    assert (done.returncode, done.stderr) == expected


@pytest.mark.parametrize("encoding", ["cp1252", "utf-8"])
def test_characters_that_stdout_can_t_encode_are_escaped(encoding: str, tmp_path: Path) -> None:
    env = {"POSTLOG_DATA": str(tmp_path), "PYTHONIOENCODING": encoding}
    post = {
        "externalId": "1",
        "author": "Žluť 🙂",
        "message": "日本語",
        "datePosted": "2026-11-23T12:00:00Z",
        "likes": 0,
    }
    posts = tmp_path / "posts.jsonl"
    posts.write_text(json.dumps(post), encoding="utf-8")
    made = postlog("import", str(posts), env=env)
    assert made.returncode == 0, made.stderr
    with closing(sqlite3.connect(tmp_path / "log.sqlite")) as log:
        [post_id] = log.execute("SELECT stream_id FROM commits").fetchone()

    shown, as_json = [
        subprocess.run(
            [POSTLOG, "events", "show", *form, post_id], env=environment(env), capture_output=True, check=False
        )
        for form in ([], ["--json"])
    ]

    assert (shown.returncode, shown.stderr, as_json.returncode) == (0, b"", 0)
    assert (b"\\u65e5" in shown.stdout) == (encoding == "cp1252")
    assert json.loads(as_json.stdout.decode("utf-8"))["data"]["message"] == "日本語"


def modes_below(folder: Path) -> dict[str, int]:
    """Of the folder and everything in it."""
    return {str(path.relative_to(folder.parent)): path.stat().st_mode & 0o777 for path in [folder, *folder.rglob("*")]}


def test_files_that_postlog_creates_are_readable_by_their_owner_only(tmp_path: Path) -> None:
    data, port = tmp_path / "made/data", free_port()
    posts = tmp_path / "posts.ndjson"
    posts.write_text(
        '{"externalId": "1", "author": "ann", "message": "x", "datePosted": "2020-01-01T00:00:00Z", "likes": 0}'
    )
    checks = ("audit", "doctor", "parked list", "events check")
    backup = f'backup "{tmp_path}/made/backup.sqlite"'
    verbs = ("init", f'import "{posts}"', "rebuild", *checks, backup, f"run --port {port}")
    command = "umask 000; " + " && ".join(f'"{POSTLOG}" {verb}' for verb in verbs)
    env = {"COMMAND": command, "POSTLOG_DATA": str(data)}
    with Running(tmp_path, "-c", 'eval "$COMMAND"', env=env, program="/bin/sh") as running:
        for _ in ticks(120, f"it does not answer:\n{running.printed}"):
            assert running.process.poll() is None, running.printed
            if is_live(f"http://127.0.0.1:{port}"):
                break
        found = modes_below(tmp_path / "made")
        for path in map(tmp_path.joinpath, found):
            assert path.stat().st_mode & 0o777 == (0o700 if path.is_dir() else 0o600), found
    names = {Path(name).name for name in found}
    assert {"log.sqlite", "log.sqlite-wal", "read.sqlite", "backup.sqlite"} <= names
    assert "read.sqlite.rebuild-lock" in names


def test_existing_files_keep_their_mode(tmp_path: Path) -> None:
    postlog("init", env={"POSTLOG_DATA": str(tmp_path)})
    (tmp_path / "log.sqlite").chmod(0o640)
    tmp_path.chmod(0o755)
    assert postlog("doctor", env={"POSTLOG_DATA": str(tmp_path)}).returncode in (0, 1)
    with Running(tmp_path, "run", "--port", "0", env={"POSTLOG_DATA": str(tmp_path)}) as running:
        for _ in ticks(60, f"no log is open:\n{running.printed}"):
            assert running.process.poll() is None, running.printed
            if (tmp_path / "log.sqlite-wal").exists():
                break
        modes = {name: (tmp_path / name).stat().st_mode & 0o777 for name in ("log.sqlite", "log.sqlite-wal", ".")}
    assert modes == {"log.sqlite": 0o640, "log.sqlite-wal": 0o640, ".": 0o755}
