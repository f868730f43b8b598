"""deploy/make-secrets.sh makes passwords once, where nobody else gets at them."""

import re
import stat
import subprocess
from pathlib import Path

SCRIPT = Path(__file__).parents[3] / "deploy" / "make-secrets.sh"


def make(folder: Path) -> str:
    done = subprocess.run([SCRIPT, folder], check=True, capture_output=True, text=True)
    return done.stdout + done.stderr


def passwords_in(folder: Path) -> list[str]:
    return [password for file in sorted(folder.iterdir()) for password in re.findall(r"Pw-\w+", file.read_text())]


def test_only_the_owner_gets_into_the_folder_and_containers_read_its_files(secrets: Path) -> None:
    assert stat.S_IMODE(secrets.stat().st_mode) == 0o700
    files = [file for file in secrets.iterdir() if file.name != ".gitignore"]
    assert {stat.S_IMODE(file.stat().st_mode) for file in files} == {0o644}


def test_git_ignores_the_folder(secrets: Path) -> None:
    assert (secrets / ".gitignore").read_text() == "*\n"


def test_every_login_has_a_password_of_its_own(secrets: Path) -> None:
    """The administrators' stand twice: once for the server, once in the address."""
    passwords = passwords_in(secrets)
    assert len(set(passwords)) == 6
    assert len(passwords) == 6 + 3


def test_every_password_has_what_servers_ask_for_and_nothing_that_a_url_escapes(secrets: Path) -> None:
    assert all(re.fullmatch(r"Pw-[0-9a-f]{48}", password) for password in passwords_in(secrets))


def test_the_key_of_the_replica_set_has_only_characters_that_mongodb_takes(secrets: Path) -> None:
    assert re.fullmatch(r"[0-9a-f]{96}\n", (secrets / "mongo_key").read_text())


def test_nothing_is_printed_of_them(tmp_path: Path) -> None:
    said = make(tmp_path / "secrets")
    assert said == f"Created the passwords in {tmp_path}/secrets.\n"


def test_a_second_time_everything_stays(tmp_path: Path) -> None:
    make(tmp_path / "secrets")
    before = passwords_in(tmp_path / "secrets")
    assert make(tmp_path / "secrets") == f"{tmp_path}/secrets exists already; it was not changed.\n"
    assert passwords_in(tmp_path / "secrets") == before


def test_one_that_was_interrupted_leaves_nothing_half_made(tmp_path: Path) -> None:
    (tmp_path / "secrets.new").mkdir()
    (tmp_path / "secrets.new" / "mongo_url").write_text("half")
    make(tmp_path / "secrets")
    assert not (tmp_path / "secrets.new").exists()
    assert (tmp_path / "secrets" / "mongo_url").read_text().startswith("mongodb://postlog:Pw-")
