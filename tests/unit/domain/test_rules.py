"""The quick look at a text finds what a look at each character finds."""

from hypothesis import given
from hypothesis import strategies as st

from domain.rules import is_storable

ANY_TEXT = st.text(st.one_of(st.sampled_from("a\0\x7fé\ud800\udbff\udc00\udfff\ue000😀"), st.characters(codec=None)))


@given(ANY_TEXT)
def test_a_text_is_storable_without_nul_and_surrogates(text: str) -> None:
    plain = all(character != "\0" and not "\ud800" <= character <= "\udfff" for character in text)
    assert is_storable(text) == plain
