"""The pages of the documentation name files, classes and headings that exist."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
PAGES = sorted(
    path.relative_to(ROOT)
    for folder, pattern in ((ROOT, "*.md"), (ROOT / "docs", "**/*.md"), (ROOT / "deploy", "*.md"))
    for path in folder.glob(pattern)
)
ARCHITECTURE = (ROOT / "docs/architecture.md").read_text(encoding="utf-8")
LINK = re.compile(r"\]\(([^)#\s]*)(?:#([^)\s]*))?\)")
FILE = re.compile(r"`((?:src/|tools/|tests/|deploy/)?[a-z_]+(?:/[a-z_]+)+\.py)`")
CLASS = re.compile(r"`([A-Z][a-z]+[A-Z][A-Za-z]+)`")


def section(heading: str) -> str:
    return ARCHITECTURE.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]


def anchors_of(page: Path) -> set[str]:
    """As code hosts make them of headings."""
    headings = re.findall(r"^#+ (.*)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=str)
def test_every_link_leads_to_a_file_and_a_heading(page: Path) -> None:
    for target, anchor in LINK.findall((ROOT / page).read_text(encoding="utf-8")):
        if "://" in target:
            continue
        found = (ROOT / page).parent / target if target else ROOT / page
        assert found.exists(), target
        if anchor:
            assert anchor in anchors_of(found), f"{target}#{anchor}"


@pytest.mark.parametrize("page", [page for page in PAGES if "adr" not in page.parts], ids=str)
def test_every_file_of_code_that_a_page_names_exists(page: Path) -> None:
    for name in FILE.findall((ROOT / page).read_text(encoding="utf-8")):
        assert (ROOT / name).exists() or (ROOT / "src" / name).exists(), name


def test_a_command_and_an_event_are_followed_through_few_files() -> None:
    command = re.findall(r"^\| (\d+) \| `(.*?)`", section("Follow a command"), re.MULTILINE)
    event = re.findall(r"^\| (\d+) \| `(.*?)`", section("Follow an event"), re.MULTILINE)

    assert [int(number) for number, _ in command] == list(range(1, len(command) + 1))
    assert [int(number) for number, _ in event] == list(range(1, len(event) + 1))
    assert len(command) <= 20
    assert len(event) <= 18


def test_the_classes_of_the_glossary_exist() -> None:
    code = "\n".join(path.read_text(encoding="utf-8") for path in (ROOT / "src").rglob("*.py"))
    ours = [CLASS.findall(row.split("|")[1]) for row in section("Glossary").splitlines() if row.startswith("| ")]
    for name in {name for names in ours for name in names}:
        assert f"class {name}" in code, name
