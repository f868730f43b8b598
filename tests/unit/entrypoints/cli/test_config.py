"""`postlog config` and `postlog completion`."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from entrypoints.cli import main
from entrypoints.settings.loading import load_settings
from entrypoints.settings.model import Settings


def output_of(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    assert main.run(arguments) == 0
    printed = capsys.readouterr()
    assert printed.err == ""
    return printed.out


def test_the_settings_are_printed_as_yaml_with_their_sources(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PORT", "8123")
    printed = output_of(capsys, "config", "--set", "log.level=debug")
    assert 'http:\n  host: "127.0.0.1"  # default\n  port: 8123  # PORT\n' in printed
    assert "log:\n  level: debug  # --set log.level\n" in printed
    assert yaml.safe_load(printed)["http"]["port"] == 8123


def test_the_config_option_may_precede_or_follow_the_verb(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("http: {port: 1}", encoding="utf-8")
    (tmp_path / "b.yaml").write_text("http: {port: 2}", encoding="utf-8")
    assert "port: 1  # a.yaml:1" in output_of(capsys, "--config", "a.yaml", "config")
    assert "port: 2  # b.yaml:1" in output_of(capsys, "--config", "a.yaml", "config", "--config", "b.yaml")


def test_json_is_one_object_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    records = [json.loads(line) for line in output_of(capsys, "config", "--json").splitlines()]
    assert {"path": "http.port", "value": 8000, "source": "default"} in records
    assert {"path": "event_store.mongo.url_file", "value": None, "source": "default"} in records


def test_the_defaults_can_be_written_to_a_file_and_read_back(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    file = tmp_path / "postlog.yaml"
    file.write_text(output_of(capsys, "config", "--defaults"), encoding="utf-8")
    assert load_settings(environ={}, config_file=str(file)).settings == Settings()


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_prints_the_shell_s_script(shell: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert f"_POSTLOG_COMPLETE={shell}_complete" in output_of(capsys, "completion", shell)


def test_completion_detects_the_current_shell(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SHELL", "/usr/bin/fish")
    assert "_POSTLOG_COMPLETE=fish_complete" in output_of(capsys, "completion")
    monkeypatch.setenv("SHELL", "/bin/csh")
    assert main.run(["completion"]) == 2
    assert "Name your shell: bash, zsh, fish." in capsys.readouterr().err


@pytest.mark.parametrize(
    ("line", "offered"),
    [
        ("postlog com", "plain,completion\n"),
        ("postlog re", "plain,relay\nplain,rebuild\nplain,restore\n"),
        ("postlog completion z", "plain,zsh\n"),
        ("postlog run --set log.l", "plain,log.level=\n"),
        ("postlog run --set log.level=w", "plain,log.level=warning\n"),
        ("postlog run --set web.enabled=", "plain,web.enabled=true\nplain,web.enabled=false\n"),
        ("postlog run --set nothing=", "\n"),
        ("postlog run --config x", "file,x\n"),
        ("postlog --config x", "file,x\n"),
    ],
)
def test_verbs_settings_and_files_are_completed(
    line: str, offered: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("_POSTLOG_COMPLETE", "bash_complete")
    monkeypatch.setenv("COMP_WORDS", line)
    monkeypatch.setenv("COMP_CWORD", str(line.count(" ")))
    with pytest.raises(SystemExit):
        main.run([])
    assert capsys.readouterr().out == offered


def test_completing_a_verb_imports_none_of_them() -> None:
    """So that Tab takes no longer than importing click."""
    script = "import sys; from entrypoints.cli.main import postlog, _Verbs; import click\n"
    script += "print([i.value for i in postlog.shell_complete(click.Context(postlog), 'pr')])\n"
    script += "print(sorted(m for m in sys.modules if m == 'entrypoints.cli.services' or m.startswith('litestar')))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout == "['project']\n[]\n"
