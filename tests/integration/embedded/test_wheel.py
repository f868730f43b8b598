"""What is shipped: a wheel with everything that runs, its types, and the settings to start from."""

import re
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


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An environment with the wheel and, in place of a download, the packages that are installed here."""
    env = tmp_path_factory.mktemp("installed") / "env"
    venv.create(env, symlinks=True)
    uv = Path(sys.executable).with_name("uv")
    subprocess.run(
        [uv, "pip", "install", "--quiet", "--offline", "--no-deps", "--python", env / "bin" / "python", wheel],
        check=True,
    )
    [site] = (env / "lib").glob("python*/site-packages")
    here = next(Path(path) for path in sys.path if path.endswith("site-packages"))
    (site / "packages.pth").write_text(f"{here}\n")
    return env


def test_it_runs_from_any_folder_with_default_settings(installed: Path, tmp_path: Path) -> None:
    """But for the port, and for the patience of queries on a busy machine."""
    folder = tmp_path / "any folder"
    folder.mkdir()
    postlog = installed / "bin" / "postlog"
    with Running(
        tmp_path,
        "run",
        env={"PORT": "0", "POSTLOG__HTTP__MIN_POSITION_WAIT_SECONDS": "60"},
        program=postlog,
        cwd=folder,
    ) as running:
        address = running.address(60)
        created = httpx.post(f"{address}/api/v1/posts", json={"author": "Ann", "message": "Hello"}, timeout=20)
        httpx.get(
            f"{address}{created.headers['location']}", headers={"Postlog-Min-Position": "1"}, timeout=60
        ).raise_for_status()
        pages = [httpx.get(f"{address}{path}", timeout=20) for path in ("/", "/log", "/docs", "/openapi.json")]
        shown = [httpx.get(f"{address}{path}", timeout=20) for page in pages[:3] for path in _files_of(page.text)]
    assert created.status_code == 201
    assert [page.status_code for page in pages] == [200, 200, 200, 200]
    assert len(shown) >= 3
    assert [str(file.url) for file in shown if file.status_code != 200] == []
    assert sorted(path.name for path in (folder / "var").glob("*.sqlite")) == ["log.sqlite", "read.sqlite"]


def _files_of(page: str) -> list[str]:
    """The style sheets and scripts that a page loads."""
    return re.findall(r'(?:href|src)="(/[^"]+\.(?:css|js)(?:[?][^"]*)?)"', page)


def test_its_commands_work_from_any_folder(installed: Path, tmp_path: Path) -> None:
    postlog = installed / "bin" / "postlog"
    for words in (["--help"], ["--version"], ["config"], ["config", "--defaults"]):
        ended = subprocess.run([postlog, *words], cwd=tmp_path, env={}, capture_output=True, text=True, check=False)
        assert (words, ended.returncode, ended.stderr) == (words, 0, "")
