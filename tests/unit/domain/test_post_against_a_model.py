"""The aggregate against a plain model: any sequence of commands leaves both in the same state."""

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

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
from domain.errors import PostlogError
from domain.ids import CommentId
from domain.limits import Limits
from domain.post import INITIAL, LivePost, NoPost, PostState, RemovedPost, decide, evolve, fold
from given import NOON, POST

SPELLINGS = {
    "Ann": "ann",
    "ann": "ann",
    "Bob": "bob",
    "Stra\u00dfe": "stra\u00dfe",
    "STRASSE": "strasse",
    "Zo\u00eb": "zo\u00eb",
    "ZOE\u0308": "zo\u00eb",
    "\u017fam": "\u017fam",
    "sam": "sam",
}
"""Names, and which person each of them is."""

NAMES = st.sampled_from(sorted(SPELLINGS))
TEXTS = st.sampled_from(["one", "two", "three", " "])
COMMENT_IDS = st.sampled_from([CommentId(f"0198c0de-0000-7000-8000-00000000000{n}") for n in range(3)])


class PostModel(RuleBasedStateMachine):
    """`exists` is None before the creation, then True, and False after the removal."""

    def __init__(self) -> None:
        super().__init__()
        self.state: PostState = INITIAL
        self.events: list = []  # type: ignore[type-arg]
        self.exists: bool | None = None
        self.author = self.message = ""
        self.likers: set[str] = set()
        self.comments: dict[str, tuple[str, str]] = {}

    def send(self, command: PostCommand) -> bool:
        """Whether it was accepted; checks that deciding it again on the new state yields nothing."""
        try:
            events = decide(command, self.state, Limits())
        except PostlogError:
            return False
        for event in events:
            self.state = evolve(self.state, event)
        self.events += events
        anonymous = isinstance(command, LikePost) and command.username is None
        if not anonymous and not isinstance(command, RemoveComment | RemovePost):
            assert decide(command, self.state, Limits()) == []
        return True

    @rule(author=NAMES, message=TEXTS)
    def create(self, author: str, message: str) -> None:
        accepted = self.send(CreatePost(post_id=POST, author=author, message=message, date_posted=NOON))
        same = self.exists is True and (author, message) == (self.author, self.message)
        assert accepted == (bool(message.strip()) and (self.exists is None or same))
        if accepted and self.exists is None:
            self.exists, self.author, self.message = True, author, message

    @rule(name=NAMES, message=TEXTS)
    def edit(self, name: str, message: str) -> None:
        accepted = self.send(EditMessage(post_id=POST, message=message, username=name, edited_at=NOON))
        assert accepted == (self.exists is True and bool(message.strip()) and self.is_author(name))
        if accepted:
            self.message = message

    @rule(name=st.none() | NAMES)
    def like(self, name: str | None) -> None:
        accepted = self.send(LikePost(post_id=POST, username=name))
        assert accepted == (self.exists is True)
        if accepted and name is not None:
            self.likers.add(SPELLINGS[name])

    @rule(name=NAMES)
    def unlike(self, name: str) -> None:
        accepted = self.send(UnlikePost(post_id=POST, username=name))
        assert accepted == (self.exists is True)
        if accepted:
            self.likers.discard(SPELLINGS[name])

    @rule(comment_id=COMMENT_IDS, name=NAMES, text=TEXTS)
    def comment(self, comment_id: CommentId, name: str, text: str) -> None:
        accepted = self.send(
            AddComment(post_id=POST, comment_id=comment_id, comment=text, username=name, comment_date=NOON)
        )
        known = self.comments.get(comment_id)
        assert accepted == (self.exists is True and bool(text.strip()) and known in (None, (text, name)))
        if accepted:
            self.comments[comment_id] = (text, name)

    @rule(comment_id=COMMENT_IDS, name=NAMES, text=TEXTS)
    def edit_comment(self, comment_id: CommentId, name: str, text: str) -> None:
        accepted = self.send(
            EditComment(post_id=POST, comment_id=comment_id, comment=text, username=name, edit_date=NOON)
        )
        assert accepted == (self.owns(comment_id, name) and bool(text.strip()))
        if accepted and self.comments[comment_id][0] != text:
            self.comments[comment_id] = (text, name)

    @rule(comment_id=COMMENT_IDS, name=NAMES)
    def remove_comment(self, comment_id: CommentId, name: str) -> None:
        accepted = self.send(RemoveComment(post_id=POST, comment_id=comment_id, username=name))
        assert accepted == self.owns(comment_id, name)
        if accepted:
            del self.comments[comment_id]

    @rule(name=NAMES, really=st.integers(0, 4))
    def remove(self, name: str, really: int) -> None:
        if really:
            return
        accepted = self.send(RemovePost(post_id=POST, username=name))
        assert accepted == (self.exists is True and self.is_author(name))
        if accepted:
            self.exists = False

    def is_author(self, name: str) -> bool:
        return SPELLINGS[name] == SPELLINGS[self.author]

    def owns(self, comment_id: CommentId, name: str) -> bool:
        known = self.comments.get(comment_id)
        return self.exists is True and known is not None and SPELLINGS[known[1]] == SPELLINGS[name]

    @invariant()
    def the_state_is_the_fold_of_the_events(self) -> None:
        assert fold(self.events) == self.state

    @invariant()
    def both_agree(self) -> None:
        match self.state:
            case NoPost():
                assert self.exists is None
            case RemovedPost():
                assert self.exists is False
            case LivePost():
                assert self.exists is True
                assert (self.state.author, self.state.message) == (self.author, self.message)
                assert set(self.state.likers) == self.likers
                assert {k: (c.text, c.username) for k, c in self.state.comments.items()} == self.comments


PostModel.TestCase.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
TestPostAgainstAModel = PostModel.TestCase
