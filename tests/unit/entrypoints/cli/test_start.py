"""What `postlog` runs before anything else."""

import subprocess
import sys
from importlib.metadata import entry_points
from types import ModuleType

import pytest

from entrypoints.cli import start


def interrupted() -> None:
    raise KeyboardInterrupt


def test_ctrl_c_at_the_very_beginning_ends_it_without_a_traceback(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    command_line = ModuleType("entrypoints.cli.main")
    command_line.main = interrupted  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "entrypoints.cli.main", command_line)
    with pytest.raises(SystemExit) as ended:
        start.main()
    assert ended.value.code == 130
    assert capsys.readouterr().err == "Interrupted.\n"


def test_the_command_begins_there_and_nothing_of_the_command_line_is_imported_with_it() -> None:
    [script] = entry_points(group="console_scripts", name="postlog")
    assert script.value == "entrypoints.cli.start:main"
    imported = "import sys, entrypoints.cli.start; print('click' in sys.modules, 'msgspec' in sys.modules)"
    result = subprocess.run([sys.executable, "-c", imported], capture_output=True, text=True, check=True, timeout=30)
    assert result.stdout == "False False\n"
