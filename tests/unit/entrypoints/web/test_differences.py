"""What differs between two texts."""

from hypothesis import given
from hypothesis import strategies as st

from entrypoints.web.differences import pieces

TEXTS = st.text(alphabet="ab \n.é", max_size=40)


@given(old=TEXTS, new=TEXTS)
def test_both_texts_can_be_put_together_from_the_pieces(old: str, new: str) -> None:
    found = pieces(old, new)
    assert "".join(piece.text for piece in found if piece.kind != "added") == old
    assert "".join(piece.text for piece in found if piece.kind != "gone") == new


def test_words_are_compared_whole() -> None:
    assert pieces("at ten sharp", "at noon, sharp") == [
        ("kept", "at "),
        ("gone", "ten"),
        ("added", "noon,"),
        ("kept", " sharp"),
    ]


def test_texts_of_many_words_are_told_whole() -> None:
    old, new = "a b " * 2_000, "b a " * 2_000
    assert pieces(old, new) == [("gone", old), ("added", new)]
