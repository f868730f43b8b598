"""The differences between two texts."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from entrypoints.web.text_diff import pieces

TEXTS = st.text(alphabet="ab \n.é", max_size=40)


@given(old=TEXTS, new=TEXTS)
def test_both_texts_can_be_restored_from_the_pieces(old: str, new: str) -> None:
    found = pieces(old, new)
    assert "".join(piece.text for piece in found if piece.kind != "added") == old
    assert "".join(piece.text for piece in found if piece.kind != "gone") == new


def test_whole_words_are_compared() -> None:
    assert pieces("at ten sharp", "at noon, sharp") == [
        ("kept", "at "),
        ("gone", "ten"),
        ("added", "noon,"),
        ("kept", " sharp"),
    ]


def test_a_long_rewritten_part_is_shown_as_replaced() -> None:
    old, new = "Dear Ann. " + "a b " * 2_000 + "Bye.", "Dear Ann. " + "b a " * 2_000 + "Bye."
    assert pieces(old, new) == [
        ("kept", "Dear Ann. "),
        ("gone", ("a b " * 2_000)[:-1]),
        ("added", ("b a " * 2_000)[:-1]),
        ("kept", " Bye."),
    ]


@pytest.mark.timeout(20)
@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("-" * 350, "-+" * 175),
        ("-" * 2_900, "-+" * 1_450),
        ("ab." * 13_000, "ab," * 13_000),
        ("- " * 20_000, " -" * 20_000),
        ("-" * 200, "-+" * 100),
    ],
)
def test_comparing_never_takes_long(old: str, new: str) -> None:
    """The second pair took more than a minute when all words were compared with all."""
    found = pieces(old, new)
    assert "".join(piece.text for piece in found if piece.kind != "added") == old
    assert "".join(piece.text for piece in found if piece.kind != "gone") == new
