"""What is shipped: a wheel with everything that runs, its types, and the settings to start from."""

import subprocess
import sys
import venv
import zipfile
from pathlib import Path

import httpx
import pytest

from running import Running

ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", folder], cwd=ROOT, check=True
    )
    [built] = folder.glob("*.whl")
    return built


def test_it_holds_types_pages_and_the_settings_to_start_from(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
        [distributed] = [name for name in names if name.endswith("share/postlog/config/distributed.yaml")]
        assert archive.read(distributed) == (ROOT / "config" / "distributed.yaml").read_bytes()
    assert {f"{package}/py.typed" for package in ("domain", "application", "adapters", "entrypoints")} <= names
    assert "entrypoints/web/templates/layout.html" in names
    assert any(name.startswith("entrypoints/web/static/") for name in names)
    assert "adapters/sql/migrations/versions/r0001_two_slots.py" in names


def test_it_runs_from_any_folder(wheel: Path, tmp_path: Path) -> None:
    """In an environment of its own, with the packages that are installed here in place of a download."""
    venv.create(tmp_path / "env", symlinks=True)
    [site] = (tmp_path / "env" / "lib").glob("python*/site-packages")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(site)
    here = next(Path(path) for path in sys.path if path.endswith("site-packages"))
    (site / "packages.pth").write_text(f"{here}\n")
    data = tmp_path / "data"
    data.mkdir()
    command = ["-c", "from entrypoints.cli.start import main; main()", "run"]
    env = {"PYTHONPATH": str(site), "POSTLOG_DATA": str(data), "PORT": "0"}
    with Running(data, *command, env=env, program=str(tmp_path / "env" / "bin" / "python")) as running:
        address = running.address(60)
        created = httpx.post(f"{address}/api/v1/posts", json={"author": "Ann", "message": "Hello"}, timeout=20)
        pages = [httpx.get(f"{address}{path}", timeout=20) for path in ("/", "/docs", "/openapi.json")]
    assert created.status_code == 201
    assert [page.status_code for page in pages] == [200, 200, 200]
