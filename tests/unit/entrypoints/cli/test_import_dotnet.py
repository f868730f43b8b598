"""The sources of the address of `postlog import-dotnet`; no server is connected to."""

from pathlib import Path

import click
import pytest

from entrypoints.cli import main
from entrypoints.cli.import_dotnet import source_address
from entrypoints.settings.leaves import SettingsError

URL = "mongodb://ann:s3cr3t@127.0.0.1:1/"
VARIABLE = "POSTLOG_DOTNET__MONGO_URL"


@pytest.fixture
def file(tmp_path: Path) -> str:
    path = tmp_path / "url"
    path.write_text(f"{URL}\n")
    return str(path)


def test_the_address_comes_from_one_of_four_places(file: str) -> None:
    plain = "mongodb://127.0.0.1:1/"
    assert source_address({}, plain, None)[0].reveal() == plain
    found = [
        source_address({}, None, file),
        source_address({VARIABLE: URL}, None, None),
        source_address({f"{VARIABLE}_FILE": file}, None, None),
    ]
    assert [(url.reveal(), given_by) for url, given_by in found] == [
        (URL, "--url-file"),
        (URL, VARIABLE),
        (URL, f"{VARIABLE}_FILE"),
    ]


def test_two_addresses_are_refused(file: str) -> None:
    with pytest.raises(click.UsageError, match=r"^--url-file and POSTLOG_DOTNET__MONGO_URL both give an address"):
        source_address({VARIABLE: URL}, None, file)


def test_without_an_address_all_ways_to_give_it_are_named() -> None:
    with pytest.raises(click.UsageError, match="MONGO_URL, or --url-file FILE or POSTLOG_DOTNET__MONGO_URL"):
        source_address({}, None, None)


@pytest.mark.parametrize("text", ["postgres://ann:s3cr3t@h/", "", "s3cr3t"])
def test_an_invalid_address_is_refused_without_showing_it(tmp_path: Path, text: str) -> None:
    path = tmp_path / "url"
    path.write_text(text)
    with pytest.raises(SettingsError) as refused:
        source_address({}, None, str(path))
    assert "--url-file" in str(refused.value)
    assert "s3cr3t" not in str(refused.value)


def test_errors_name_the_source_of_the_address(file: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main.run(["import-dotnet", "--url-file", file]) == 2
    err = capsys.readouterr().err
    assert "The source, MongoDB at mongodb://ann:***@127.0.0.1:1/ (--url-file), has no" in err
    assert "s3cr3t" not in err
