"""Nobody acts in another's name: commands of authenticated callers, decided by the domain."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from domain.callers import Caller, Role
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
from domain.errors import NotTheAuthor, NotTheCaller, NotTheWriter, RoleRequired
from domain.events import CommentAdded, CommentRemoved, PostCreated, PostLiked, PostRemoved
from domain.ids import CommentId
from domain.limits import Limits
from domain.post import INITIAL, decide, evolve, fold
from given import NOON, POST

COMMENT = CommentId("0192f0c1-7a3e-7cc2-9d52-000000000001")
BY_ANN = fold(
    [
        PostCreated(author="Ann", message="Hello", date_posted=NOON),
        CommentAdded(comment_id=COMMENT, comment="Hm", username="Ann", comment_date=NOON),
        PostLiked(username="Ann"),
    ]
)
COMMANDS: tuple[Callable[[str], PostCommand], ...] = (
    lambda name: CreatePost(post_id=POST, author=name, message="Hello", date_posted=NOON),
    lambda name: EditMessage(post_id=POST, message="Edited", username=name, edited_at=NOON),
    lambda name: LikePost(post_id=POST, username=name),
    lambda name: UnlikePost(post_id=POST, username=name),
    lambda name: AddComment(post_id=POST, comment_id=COMMENT, comment="Hm", username=name, comment_date=NOON),
    lambda name: EditComment(post_id=POST, comment_id=COMMENT, comment="Edited", username=name, edit_date=NOON),
    lambda name: RemoveComment(post_id=POST, comment_id=COMMENT, username=name),
    lambda name: RemovePost(post_id=POST, username=name),
)
ROLES = [frozenset(), frozenset({Role.MODERATOR}), frozenset({Role.OPERATOR})]


def decided(command: PostCommand):
    return decide(command, INITIAL if isinstance(command, CreatePost) else BY_ANN, Limits())


@pytest.mark.parametrize("make", COMMANDS)
@pytest.mark.parametrize("name", ["Ann", "ANN", " ann\u200d"])
def test_a_caller_acts_in_their_own_name_in_every_spelling(make: Callable[[str], PostCommand], name: str) -> None:
    command = make("Ann")
    assert decided(replace(command, caller=Caller(name))) == decided(command)


@pytest.mark.parametrize("make", COMMANDS)
@pytest.mark.parametrize("roles", ROLES)
@pytest.mark.parametrize("state", [INITIAL, BY_ANN])
def test_no_caller_acts_in_the_name_of_another(make: Callable[[str], PostCommand], roles, state) -> None:
    with pytest.raises(NotTheCaller):
        decide(replace(make("Ann"), caller=Caller("Ben", roles)), state, Limits())


@pytest.mark.parametrize("make", COMMANDS)
def test_an_importer_acts_in_the_name_of_others_and_no_further_than_they_may(
    make: Callable[[str], PostCommand],
) -> None:
    importer = Caller("importer", frozenset({Role.IMPORTER}))
    assert decided(replace(make("Ann"), caller=importer)) == decided(make("Ann"))
    command = replace(make("Ben"), caller=importer)
    if isinstance(command, EditMessage | RemovePost):
        with pytest.raises(NotTheAuthor):
            decided(command)
    if isinstance(command, EditComment | RemoveComment):
        with pytest.raises(NotTheWriter):
            decided(command)


@pytest.mark.parametrize("roles", ROLES)
def test_likes_without_a_name_need_an_importer(roles: frozenset[Role]) -> None:
    command = LikePost(post_id=POST, username=None)
    with pytest.raises(RoleRequired):
        decided(replace(command, caller=Caller("Ben", roles)))
    assert decided(replace(command, caller=Caller("Ben", roles | {Role.IMPORTER}))) == [PostLiked(username=None)]


def test_a_moderator_removes_what_others_wrote_and_is_named_by_the_event() -> None:
    moderator = Caller("Mona", frozenset({Role.MODERATOR}))
    remove_comment = RemoveComment(post_id=POST, comment_id=COMMENT, username="Mona", caller=moderator)
    remove_post = RemovePost(post_id=POST, username="Mona", caller=moderator)
    assert decided(remove_comment) == [CommentRemoved(comment_id=COMMENT, username="Mona")]
    assert decided(remove_post) == [PostRemoved(username="Mona")]


def test_a_moderator_edits_nothing_that_others_wrote() -> None:
    moderator = Caller("Mona", frozenset({Role.MODERATOR}))
    with pytest.raises(NotTheAuthor):
        decided(EditMessage(post_id=POST, message="Edited", username="Mona", edited_at=NOON, caller=moderator))
    with pytest.raises(NotTheWriter):
        decided(
            EditComment(
                post_id=POST, comment_id=COMMENT, comment="No", username="Mona", edit_date=NOON, caller=moderator
            )
        )


def test_only_the_role_moderator_moderates() -> None:
    for roles in (frozenset[Role](), frozenset({Role.OPERATOR, Role.IMPORTER})):
        with pytest.raises(NotTheAuthor):
            decided(RemovePost(post_id=POST, username="Mona", caller=Caller("Mona", roles)))


def test_events_are_replayed_without_any_caller() -> None:
    moderator = Caller("Mona", frozenset({Role.MODERATOR}))
    events = decided(RemovePost(post_id=POST, username="Mona", caller=moderator))
    assert evolve(BY_ANN, events[0]) == fold(events, BY_ANN)
