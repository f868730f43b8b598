"""Room on the disk."""

import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest

from adapters.system.disk import FreeDiskProbe
from command_process import RecordedMetrics


def probe(file: Path, metrics: RecordedMetrics | None = None) -> FreeDiskProbe:
    return FreeDiskProbe(file, "event_store.sqlite.path", metrics or RecordedMetrics())


@pytest.mark.parametrize(
    ("free", "ok", "detail"),
    [
        (3 * 1024**3, True, "3.0 GB are free beside {file}."),
        (1024**2, False, "Only 0.0 GB are free beside {file}; make room, or no command can be stored soon."),
    ],
)
async def test_little_room_is_a_problem(
    free: int, ok: bool, detail: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also for a file whose folder is not made yet."""
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=free))
    file, metrics = tmp_path / "not" / "yet" / "log.sqlite", RecordedMetrics()
    result = await probe(file, metrics).probe()
    assert (result.name, result.ok) == ("disk of event_store.sqlite.path", ok)
    assert result.detail == detail.format(file=file)
    assert metrics.counts == {"disk_free_bytes": free}


async def test_a_real_disk_answers(tmp_path: Path) -> None:
    assert "GB are free" in (await probe(tmp_path / "log.sqlite").probe()).detail


async def test_a_disk_that_can_not_be_asked_is_a_problem(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_: object) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(shutil, "disk_usage", fail)
    result = await probe(tmp_path / "log.sqlite").probe()
    assert (result.ok, result.detail) == (False, f"{tmp_path / 'log.sqlite'}: Input/output error.")
