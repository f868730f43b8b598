"""Which names belong to one person, which texts are blank, and what a new name may contain."""

import sys
from unicodedata import category, normalize

import pytest
from hypothesis import given as drawn
from hypothesis import strategies as st

from domain.commands import (
    AddComment,
    CreatePost,
    EditComment,
    EditMessage,
    LikePost,
    RemoveComment,
    RemovePost,
    UnlikePost,
)
from domain.errors import BlankText, HiddenCharacters, NotTheAuthor, SurroundingBlanks, TextTooLong
from domain.events import (
    CommentAdded,
    CommentRemoved,
    CommentUpdated,
    MessageUpdated,
    PostCreated,
    PostLiked,
    PostRemoved,
    PostUnliked,
)
from domain.names import is_blank, name_key
from given import COMMENT, CREATED, LATER, NOON, POST, given

ONE_PERSON = [
    ("Ann", "aNN"),
    ("Zo\u00eb", "Zoe\u0308"),
    ("\u1e9e", "\u00df"),
    ("\u039f\u0394\u039f\u03a3", "\u03bf\u03b4\u03bf\u03c2"),
    ("\u03bf\u03b4\u03bf\u03c3", "\u03bf\u03b4\u03bf\u03c2"),
    ("\u212bsa", "\u00c5sa"),
    ("Ann  Lee", "ann\u00a0lee"),
    (" Ann ", "Ann"),
    ("An\u200bn", "Ann"),
    ("\u2764\ufe0f", "\u2764"),
]
TWO_PEOPLE = [
    ("\u017fam", "sam"),
    ("\ufb01ona", "fiona"),
    ("Stra\u00dfe", "Strasse"),
    ("\u0430nn", "ann"),
    ("\uff21nn", "Ann"),
    ("Zoe", "Zo\u00eb"),
    ("AnnLee", "Ann Lee"),
    ("\u0131", "i"),
    ("\u200b", "\u3164"),
    ("", " "),
]


@pytest.mark.parametrize(("one", "other"), ONE_PERSON)
def test_names_that_differ_only_in_form_belong_to_one_person(one: str, other: str) -> None:
    assert name_key(one) == name_key(other)


@pytest.mark.parametrize(("one", "other"), TWO_PEOPLE)
def test_names_that_only_look_alike_belong_to_two_people(one: str, other: str) -> None:
    assert name_key(one) != name_key(other)


def test_every_character_has_one_key_in_every_normal_form() -> None:
    """Unassigned and private ones have no other form and no case: some of them stand for all."""
    for code in range(sys.maxunicode + 1):
        character = chr(code)
        if category(character) in ("Cn", "Co") and code % 97 and not 0xE0000 <= code <= 0xE1000:
            continue
        for text in (character, f"e{character}", f"{character}\u0301"):
            key = name_key(text)
            assert name_key(key) == key, ascii(text)
            if not 0xD800 <= code <= 0xDFFF:
                assert name_key(normalize("NFD", text)) == name_key(normalize("NFC", text)) == key, ascii(text)


@drawn(st.text())
def test_the_key_of_a_key_is_the_key(name: str) -> None:
    assert name_key(name_key(name)) == name_key(name)


@drawn(st.text())
def test_normal_forms_of_a_name_have_one_key(name: str) -> None:
    assert name_key(normalize("NFD", name)) == name_key(normalize("NFC", name)) or not name_key(name).strip()


@pytest.mark.parametrize(
    "text", ["", " \t\n", "\u200b", "\u2800", "\u3164", "\ufeff", "\u00ad\u2060", "\x07", "\U000e0041", "\u200d\ufe0f"]
)
def test_a_text_without_visible_characters_is_blank(text: str) -> None:
    assert is_blank(text)
    given().when(CreatePost(post_id=POST, author=text, message="m", date_posted=NOON)).then_refused(BlankText, "author")
    given().when(CreatePost(post_id=POST, author="a", message=text, date_posted=NOON)).then_refused(
        BlankText, "message"
    )


@pytest.mark.parametrize("text", ["a", "\u0301", "\u3164a", ".", "\U0001f3f4", "\u4e00"])
def test_a_text_with_a_visible_character_is_not_blank(text: str) -> None:
    assert not is_blank(text)


HIDDEN = "\n\t\x1b\x85\u2028\u202e\u2066\u200f\u061c\u200b\ufeff\u00ad\u3164\u2800"


@pytest.mark.parametrize("hidden", list(HIDDEN))
def test_a_new_name_has_no_hidden_character(hidden: str) -> None:
    name = f"An{hidden}n"
    given().when(CreatePost(post_id=POST, author=name, message="m", date_posted=NOON)).then_refused(
        HiddenCharacters, "author"
    )
    given(CREATED).when(LikePost(post_id=POST, username=name.replace("A", "B"))).then_refused(
        HiddenCharacters, "username"
    )


@pytest.mark.parametrize(
    "name",
    [
        "\u0645\u06cc\u200c\u0645",
        "\U0001f469\u200d\U0001f4bb",
        "\u2764\ufe0f",
        "O\u2019Brien",
        "\u05d3\u05d5\u05d3",
    ],
)
def test_a_new_name_may_contain_what_scripts_and_emoji_need(name: str) -> None:
    given().when(CreatePost(post_id=POST, author=name, message="m", date_posted=NOON)).then(
        PostCreated(author=name, message="m", date_posted=NOON)
    )


def test_a_message_may_contain_what_a_name_may_not() -> None:
    text = "\u202eabc\u202c\n\t"
    given().when(CreatePost(post_id=POST, author="Ann", message=text, date_posted=NOON)).then(
        PostCreated(author="Ann", message=text, date_posted=NOON)
    )


def test_the_other_spelling_of_a_name_likes_and_edits_as_the_same_person() -> None:
    composed, decomposed = "Zo\u00eb", "Zoe\u0308"
    created = PostCreated(author=composed, message="m", date_posted=NOON)
    given(created, PostLiked(username=composed)).when(LikePost(post_id=POST, username=decomposed)).then_nothing()
    given(created).when(RemovePost(post_id=POST, username=decomposed)).then(PostRemoved(username=decomposed))


@pytest.mark.parametrize(("author", "other"), [("sam", "\u017fam"), ("fiona", "\ufb01ona"), ("ann", "\u0430nn")])
def test_a_name_that_looks_like_the_authors_is_refused(author: str, other: str) -> None:
    created = PostCreated(author=author, message="m", date_posted=NOON)
    given(created).when(RemovePost(post_id=POST, username=other)).then_refused(NotTheAuthor, "username")


class TestNamesInTheLog:
    """They came from another system, or from before a rule: rules for new names do not apply to them."""

    @pytest.mark.parametrize("author", [" Bob ", "B" * 300, "Bo\u202eb", "", "\u200b"])
    def test_an_author_may_send_commands(self, author: str) -> None:
        created = PostCreated(author=author, message="m", date_posted=NOON)
        given(created).when(EditMessage(post_id=POST, message="n", username=author, edited_at=LATER)).then(
            MessageUpdated(message="n", username=author, edited_at=LATER)
        )
        given(created).when(LikePost(post_id=POST, username=author)).then(PostLiked(username=author))
        given(created).when(
            AddComment(post_id=POST, comment_id=COMMENT, comment="c", username=author, comment_date=NOON)
        ).then(CommentAdded(comment_id=COMMENT, comment="c", username=author, comment_date=NOON))
        given(created).when(RemovePost(post_id=POST, username=author)).then(PostRemoved(username=author))

    def test_an_author_with_blanks_around_the_name_may_omit_them(self) -> None:
        created = PostCreated(author=" Bob ", message="m", date_posted=NOON)
        given(created).when(RemovePost(post_id=POST, username="bob")).then(PostRemoved(username="bob"))

    def test_a_writer_may_edit_their_comment(self) -> None:
        writer = "W" * 300
        added = CommentAdded(comment_id=COMMENT, comment="c", username=writer, comment_date=NOON)
        edit = EditComment(post_id=POST, comment_id=COMMENT, comment="d", username=writer, edit_date=LATER)
        given(CREATED, added).when(edit).then(
            CommentUpdated(comment_id=COMMENT, comment="d", username=writer, edit_date=LATER)
        )
        given(CREATED, added).when(RemoveComment(post_id=POST, comment_id=COMMENT, username=writer)).then(
            CommentRemoved(comment_id=COMMENT, username=writer)
        )

    def test_a_like_is_withdrawn(self) -> None:
        liker = "L" * 300
        given(CREATED, PostLiked(username=liker)).when(UnlikePost(post_id=POST, username=liker)).then(
            PostUnliked(username=liker)
        )

    def test_the_rules_apply_to_other_names(self) -> None:
        created = PostCreated(author="B" * 300, message="m", date_posted=NOON)
        given(created).when(LikePost(post_id=POST, username="C" * 300)).then_refused(TextTooLong, "username")
        given(created).when(LikePost(post_id=POST, username=" Cid ")).then_refused(SurroundingBlanks, "username")
