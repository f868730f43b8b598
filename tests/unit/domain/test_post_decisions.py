"""What each command decides, on each state of a post."""

import pytest

from domain.commands import (
    AddComment,
    CreatePost,
    EditComment,
    EditMessage,
    LikePost,
    PostCommand,
    RemoveComment,
    RemovePost,
    UnlikePost,
)
from domain.errors import (
    BlankText,
    CommentExists,
    CommentNotFound,
    NotTheAuthor,
    NotTheWriter,
    PostExists,
    PostNotFound,
    PostRemovedAlready,
    SurroundingBlanks,
    TextNotStorable,
    TextTooLong,
)
from domain.events import (
    CommentAdded,
    CommentRemoved,
    CommentUpdated,
    MessageUpdated,
    PostCreated,
    PostEvent,
    PostLiked,
    PostRemoved,
    PostUnliked,
)
from domain.post import INITIAL, fold
from given import COMMENT, COMMENTED, CREATED, LATER, NOON, OTHER_COMMENT, POST, given

CREATE = CreatePost(post_id=POST, author="Ann", message="Hello", date_posted=NOON)
REMOVED = PostRemoved(username="Ann")


def edit(message: str = "Hello again", username: str = "Ann") -> EditMessage:
    return EditMessage(post_id=POST, message=message, username=username, edited_at=LATER)


def like(username: str | None = "Bob") -> LikePost:
    return LikePost(post_id=POST, username=username)


def unlike(username: str = "Bob") -> UnlikePost:
    return UnlikePost(post_id=POST, username=username)


def add_comment(comment: str = "Nice", username: str = "Bob") -> AddComment:
    return AddComment(post_id=POST, comment_id=COMMENT, comment=comment, username=username, comment_date=NOON)


def edit_comment(comment: str = "Very nice", username: str = "Bob", comment_id: str = COMMENT) -> EditComment:
    return EditComment(post_id=POST, comment_id=comment_id, comment=comment, username=username, edit_date=LATER)


def remove_comment(username: str = "Bob", comment_id: str = COMMENT) -> RemoveComment:
    return RemoveComment(post_id=POST, comment_id=comment_id, username=username)


def remove(username: str = "Ann") -> RemovePost:
    return RemovePost(post_id=POST, username=username)


ON_A_POST: list[PostCommand] = [
    edit(),
    like(),
    like(None),
    unlike(),
    add_comment(),
    edit_comment(),
    remove_comment(),
    remove(),
]


class TestCreating:
    def test_a_post_is_created(self) -> None:
        given().when(CREATE).then(PostCreated(author="Ann", message="Hello", date_posted=NOON))

    def test_creating_the_same_post_again_is_already_in_effect(self) -> None:
        given(CREATED).when(CREATE).then_nothing()

    def test_another_post_under_the_same_id_is_refused(self) -> None:
        other = CreatePost(post_id=POST, author="Ann", message="Something else", date_posted=NOON)
        given(CREATED).when(other).then_refused(PostExists, "id")

    def test_the_id_of_a_removed_post_is_not_used_again(self) -> None:
        given(CREATED, REMOVED).when(CREATE).then_refused(PostRemovedAlready, "id")


class TestMissingAndRemovedPosts:
    @pytest.mark.parametrize("command", ON_A_POST, ids=lambda c: type(c).__name__)
    def test_an_unknown_post_refuses(self, command: PostCommand) -> None:
        given().when(command).then_refused(PostNotFound, "id")

    @pytest.mark.parametrize("command", ON_A_POST, ids=lambda c: type(c).__name__)
    def test_a_removed_post_refuses(self, command: PostCommand) -> None:
        given(CREATED, COMMENTED, REMOVED).when(command).then_refused(PostRemovedAlready, "id")


class TestMessages:
    def test_its_author_edits_it(self) -> None:
        given(CREATED).when(edit()).then(MessageUpdated(message="Hello again", username="Ann", edited_at=LATER))

    def test_names_compare_without_case(self) -> None:
        given(CREATED).when(edit(username="aNN")).then(
            MessageUpdated(message="Hello again", username="aNN", edited_at=LATER)
        )

    def test_the_same_message_is_already_in_effect(self) -> None:
        given(CREATED).when(edit("Hello")).then_nothing()

    def test_the_message_counts_as_edited_last(self) -> None:
        given(CREATED, MessageUpdated(message="New", username="Ann", edited_at=NOON)).when(edit("New")).then_nothing()

    def test_nobody_else_edits_it(self) -> None:
        given(CREATED).when(edit(username="Bob")).then_refused(NotTheAuthor, "username")


class TestLikes:
    def test_a_named_user_likes_a_post(self) -> None:
        given(CREATED).when(like()).then(PostLiked(username="Bob"))

    def test_a_named_user_likes_a_post_at_most_once(self) -> None:
        given(CREATED, PostLiked(username="Bob")).when(like("BOB")).then_nothing()

    def test_anonymous_likes_always_count(self) -> None:
        given(CREATED, PostLiked(username=None)).when(like(None)).then(PostLiked(username=None))

    def test_a_like_is_withdrawn(self) -> None:
        given(CREATED, PostLiked(username="Bob")).when(unlike()).then(PostUnliked(username="Bob"))

    def test_withdrawing_a_missing_like_has_no_effect(self) -> None:
        given(CREATED, PostLiked(username=None)).when(unlike()).then_nothing()

    def test_a_withdrawn_like_can_be_given_again(self) -> None:
        given(CREATED, PostLiked(username="Bob"), PostUnliked(username="Bob")).when(like()).then(
            PostLiked(username="Bob")
        )


class TestComments:
    def test_a_comment_is_added(self) -> None:
        given(CREATED).when(add_comment()).then(
            CommentAdded(comment_id=COMMENT, comment="Nice", username="Bob", comment_date=NOON)
        )

    def test_the_same_comment_again_is_already_in_effect(self) -> None:
        given(CREATED, COMMENTED).when(add_comment()).then_nothing()

    def test_another_comment_under_the_same_id_is_refused(self) -> None:
        given(CREATED, COMMENTED).when(add_comment("Other")).then_refused(CommentExists, "commentId")

    def test_its_writer_edits_it(self) -> None:
        given(CREATED, COMMENTED).when(edit_comment()).then(
            CommentUpdated(comment_id=COMMENT, comment="Very nice", username="Bob", edit_date=LATER)
        )

    def test_the_same_text_is_already_in_effect(self) -> None:
        given(CREATED, COMMENTED).when(edit_comment("Nice")).then_nothing()

    def test_its_writer_removes_it(self) -> None:
        given(CREATED, COMMENTED).when(remove_comment("bob")).then(CommentRemoved(comment_id=COMMENT, username="bob"))

    @pytest.mark.parametrize("command", [edit_comment(username="Ann"), remove_comment("Ann")])
    def test_nobody_else_may_change_it_not_even_the_author_of_the_post(self, command: PostCommand) -> None:
        given(CREATED, COMMENTED).when(command).then_refused(NotTheWriter, "username")

    @pytest.mark.parametrize(
        "command", [edit_comment(comment_id=OTHER_COMMENT), remove_comment(comment_id=OTHER_COMMENT)]
    )
    def test_an_unknown_comment_is_not_found(self, command: PostCommand) -> None:
        given(CREATED, COMMENTED).when(command).then_refused(CommentNotFound, "commentId")

    def test_a_removed_comment_is_not_found(self) -> None:
        given(CREATED, COMMENTED, CommentRemoved(comment_id=COMMENT, username="Bob")).when(edit_comment()).then_refused(
            CommentNotFound, "commentId"
        )


class TestRemoving:
    def test_its_author_removes_it(self) -> None:
        given(CREATED).when(remove()).then(PostRemoved(username="Ann"))

    def test_nobody_else_removes_it(self) -> None:
        given(CREATED).when(remove("Bob")).then_refused(NotTheAuthor, "username")


class TestTexts:
    @pytest.mark.parametrize("blank", ["", "   ", "\t\n", "\u2003"])
    def test_blank_texts_are_refused(self, blank: str) -> None:
        given(CREATED).when(edit(blank)).then_refused(BlankText, "message")
        given(CREATED).when(add_comment(blank)).then_refused(BlankText, "comment")
        given(CREATED).when(like(blank)).then_refused(BlankText, "username")

    def test_texts_up_to_the_limit_are_accepted(self) -> None:
        given(CREATED).when(edit("m" * 100)).then(MessageUpdated(message="m" * 100, username="Ann", edited_at=LATER))

    def test_longer_texts_are_refused(self) -> None:
        given(CREATED).when(edit("m" * 101)).then_refused(TextTooLong, "message")
        given(CREATED).when(add_comment("c" * 51)).then_refused(TextTooLong, "comment")
        given(CREATED).when(like("u" * 21)).then_refused(TextTooLong, "username")

    def test_lengths_count_characters_not_bytes(self) -> None:
        given(CREATED).when(like("🙂" * 20)).then(PostLiked(username="🙂" * 20))

    @pytest.mark.parametrize("name", [" Bob", "Bob ", "\u00a0Bob", "Bob\n"])
    def test_names_have_no_surrounding_blanks(self, name: str) -> None:
        given(CREATED).when(like(name)).then_refused(SurroundingBlanks, "username")

    def test_messages_may_have_them(self) -> None:
        given(CREATED).when(edit(" Hello ")).then(MessageUpdated(message=" Hello ", username="Ann", edited_at=LATER))

    @pytest.mark.parametrize("text", ["nul\x00", "half \ud83d"])
    def test_a_text_that_can_not_be_stored_is_refused(self, text: str) -> None:
        given(CREATED).when(edit(text)).then_refused(TextNotStorable, "message")

    def test_texts_are_checked_before_the_state(self) -> None:
        given().when(edit("")).then_refused(BlankText, "message")


LATER_EVENTS: list[PostEvent] = [
    MessageUpdated(message="New", username="Ann", edited_at=LATER),
    PostLiked(username="Bob"),
    PostUnliked(username="Bob"),
    COMMENTED,
    CommentRemoved(comment_id=COMMENT, username="Bob"),
]


class TestHistoriesOfOtherSystems:
    """Their events may come in an order that no decision leads to."""

    def test_a_post_is_created_once(self) -> None:
        again = PostCreated(author="Bob", message="Other", date_posted=LATER)
        assert fold([CREATED, again]) == fold([CREATED])
        assert fold([CREATED, REMOVED, again]) == fold([CREATED, REMOVED])

    @pytest.mark.parametrize("event", LATER_EVENTS, ids=lambda event: type(event).__name__)
    def test_nothing_else_happens_to_a_post_that_does_not_exist(self, event: PostEvent) -> None:
        assert fold([event]) == INITIAL
        assert fold([CREATED, REMOVED, event]) == fold([CREATED, REMOVED])
