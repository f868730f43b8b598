"""The frame of the command line: help, exit statuses, one sentence for every failure."""

import os
import re
import subprocess
import sys

import pytest
from click.testing import CliRunner

from application.errors import WrongLog
from domain.errors import PostlogError
from entrypoints.cli import config, main

VERBS = sorted(main.VERBS)
SPACES = re.compile(r"\s+")


@pytest.mark.parametrize("verb", VERBS)
def test_every_help_has_a_sentence_an_example_and_its_statuses(verb: str) -> None:
    result = CliRunner().invoke(main.postlog, [verb, "--help"])
    assert result.exit_code == 0
    assert "Example: " in result.output
    assert "Exit status: 0 " in result.output
    assert "2 could not run" in result.output
    assert f"postlog {verb}" in result.output.partition("Example: ")[2]


@pytest.mark.parametrize("verb", VERBS)
def test_the_summary_of_a_verb_is_the_first_sentence_of_its_help(verb: str) -> None:
    """The list of verbs is printed without loading any of them."""
    help_text = SPACES.sub(" ", main.load_verb(verb).help or "")
    assert help_text.startswith(main.VERBS[verb].summary.removesuffix("."))


def test_help_lists_every_verb_and_is_plain_in_a_pipe(capsys: pytest.CaptureFixture[str]) -> None:
    assert main.run(["--help"]) == 0
    printed = capsys.readouterr().out
    assert all(f" {verb} " in printed for verb in VERBS)
    assert "\x1b[" not in printed


def test_the_version_is_the_package_s(capsys: pytest.CaptureFixture[str]) -> None:
    assert main.run(["--version"]) == 0
    assert capsys.readouterr().out == "postlog 0.1.0\n"


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["fly"], "Error: No such command 'fly'. See `postlog --help`.\n"),
        (["rebild"], "Error: No such command 'rebild'. Did you mean 'rebuild'? See `postlog --help`.\n"),
        (["events", "chek"], "Error: No such command 'chek'. Did you mean 'check'? See `postlog events --help`.\n"),
        (["config", "--wings"], "Error: No such option '--wings'. See `postlog config --help`.\n"),
        (["config", "--set", "port"], "Error: --set takes PATH=VALUE, as in --set http.port=8080, not 'port'."),
        (
            ["config", "--set", "http.port=x"],
            (
                "Error: Invalid settings: http.port is 'x'; it must be a whole number from 0 to 65,535"
                " (--set http.port)\n"
            ),
        ),
        (
            ["config", "--config", "gone.yaml"],
            "Error: Invalid settings: gone.yaml can't be read: No such file or directory (--config)\n",
        ),
        (
            ["completion", "csh"],
            "Error: Invalid value for '[bash|zsh|fish]': 'csh' is not one of 'bash', 'zsh', 'fish'.",
        ),
    ],
)
def test_a_wrong_command_line_ends_with_one_sentence_and_status_2(
    arguments: list[str], sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main.run(arguments) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.startswith(sentence)


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        (WrongLog("The read database belongs to another log."), "Error: The read database belongs to another log.\n"),
        (PermissionError(13, "Permission denied", "/srv/x"), "Error: /srv/x: Permission denied.\n"),
        (OSError("no route"), "Error: no route.\n"),
        (PostlogError("mongodb://ann:s3cr3t@h/ is away."), "Error: mongodb://ann:***@h/ is away.\n"),
    ],
)
def test_an_expected_failure_is_a_sentence_without_traceback(
    error: Exception, sentence: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(*_: object) -> None:
        raise error

    monkeypatch.setattr(config, "load", fail)
    assert main.run(["config"]) == 2
    assert capsys.readouterr().err == sentence


def test_an_unexpected_failure_is_logged_with_its_traceback_and_called_a_bug(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    def fail(*_: object) -> None:
        raise ZeroDivisionError("division by zero")

    monkeypatch.setattr(config, "load", fail)
    assert main.run(["config"]) == 70
    assert capsys.readouterr().err == (
        "Error: Internal error. This is a bug in Postlog: ZeroDivisionError: division by zero\n"
    )
    assert caplog.records[0].exc_info is not None


def test_an_interrupted_job_ends_with_130(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(config, "load", interrupt)
    assert main.run(["config"]) == 130


def test_a_closed_stdout_is_not_an_error() -> None:
    """As `head` does when it has enough."""
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "wb") as pipe:
        result = subprocess.run(
            [sys.executable, "-m", "entrypoints.cli.main", "config", "--json"],
            stdout=pipe,
            stderr=subprocess.PIPE,
            check=False,
            timeout=30,
        )
    assert (result.returncode, result.stderr) == (0, b"")


_IMPORTED = """
import sys
from entrypoints.cli.main import run
status = run(["LINE"])
loaded = {name.partition(".")[0] for name in sys.modules}
print(sorted(loaded & set(sys.argv[1:])), file=sys.stderr)
sys.exit(status)
"""


@pytest.mark.parametrize("line", ["config", "--help"])
def test_printing_the_settings_or_the_verbs_loads_no_server_driver_or_web_framework(line: str) -> None:
    heavy = ["litestar", "granian", "sqlalchemy", "pymongo", "confluent_kafka", "psycopg", "pyodbc", "structlog"]
    result = subprocess.run(
        [sys.executable, "-c", _IMPORTED.replace("LINE", line), *heavy],
        capture_output=True,
        text=True,
        check=True,
        timeout=30,
    )
    assert result.stderr == "[]\n"
