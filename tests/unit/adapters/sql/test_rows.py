"""The stored key of an author fits into an index, and keys are equal exactly where names are."""

import pytest

from adapters.sql.rows import author_folded


@pytest.mark.parametrize(
    ("author", "folded"),
    [
        ("Ann", "ann"),
        ("Straße", "straße"),
        ("İpek", "i̇pek"),
        ("ΣΊΣΥΦΟΣ", "σίσυφοσ"),
        ("Zoe\u0308", "zo\xeb"),
        (" A  B ", "a b"),
        ("x" * 200, "x" * 200),
    ],
)
def test_posts_are_found_by_the_key_of_their_author(author: str, folded: str) -> None:
    assert author_folded(author) == folded


def test_a_name_too_long_for_an_index_keeps_its_beginning_and_a_digest() -> None:
    folded = author_folded("X" * 201)
    assert len(folded) == 200
    assert folded.startswith("x" * 136)
    assert folded == author_folded("x" * 201)
    assert folded != author_folded("x" * 202)
