"""What clients and servers say reaches the checker unchanged."""

from datetime import UTC, datetime

import pytest

from application.rows import CommentRow, PostStatus
from domain.commands import AddComment, CreatePost, EditMessage, LikePost, RemoveComment, UnlikePost
from domain.ids import CommentId, PostId
from simulation.checker import History, Operation, Read, Violation, check_commands, check_reads
from torture.translation import Request, check_imports, commit_of, complete, record_answer, record_read, request_of

POST, OTHER = PostId("0198c0de-0000-7000-8000-000000000001"), PostId("0198c0de-0000-7000-8000-000000000002")
COMMENT = CommentId("0198c0de-0000-7000-8000-0000000000c1")
UNKNOWN = datetime(1, 1, 1, tzinfo=UTC)
AT = datetime(2026, 11, 30, 12, 0, 0, 250_000, tzinfo=UTC)
CREATE = CreatePost(post_id=OTHER, author="Ann", message="Hello", date_posted=UNKNOWN)


def operation(command=CREATE, number=1, invoked=-1.0, returned=1.0, **fields) -> Operation:
    """Times are in seconds after `AT`."""
    at = AT.timestamp()
    return Operation(number, [command], f"operation-{number}", "key", None, at + invoked, at + returned, **fields)


def document(position=1, version=1, correlation_id="operation-1", events=None, post_id=POST):
    created = '[{"type":"PostCreated","schemaVersion":1,"data":{"author":"Ann","message":"Hello","datePosted":"%s"}}]'
    return {
        "_id": position,
        "streamId": post_id,
        "version": version,
        "commitId": f"commit {position}",
        "recordedAt": AT.replace(tzinfo=None),
        "metadata": {"correlationId": correlation_id} if correlation_id else {},
        "events": events or created % "2026-11-30T12:00:00.250Z",
    }


def history_of(*documents) -> History:
    history = History()
    history.add([commit_of(each) for each in documents], AT.timestamp())
    return history


DONE = {"id": POST, "postId": POST, "version": 1, "position": 1}


def test_requests_are_those_of_the_api():
    remove = RemoveComment(post_id=POST, comment_id=COMMENT, username="Ann B")
    assert request_of(CREATE) == Request("POST", "/api/v1/posts", {"author": "Ann", "message": "Hello"})
    assert request_of(LikePost(post_id=POST, username=None)).body == {"username": None}
    assert request_of(UnlikePost(post_id=POST, username="A/B")).path == f"/api/v1/posts/{POST}/likes/A%2FB"
    assert request_of(remove) == Request("DELETE", f"/api/v1/posts/{POST}/comments/{COMMENT}?username=Ann%20B")


def test_an_acknowledged_command_passes_with_the_id_and_the_time_that_the_server_drew():
    created = operation()
    record_answer(created, 201, DONE)
    history = history_of(document())
    complete(created, history.commits[0])
    check_commands(history, [created], set())
    assert created.commands == [CreatePost(post_id=POST, author="Ann", message="Hello", date_posted=AT)]


def test_an_acknowledged_command_that_the_log_does_not_have_is_a_violation():
    created = operation()
    record_answer(created, 201, DONE)
    with pytest.raises(Violation, match="which the log did not have then"):
        check_commands(History(), [created], set())


def test_a_stored_command_whose_answer_was_lost_passes_and_one_that_nobody_sent_does_not():
    unknown, history = operation(), history_of(document())
    complete(unknown, history.commits[0])
    check_commands(history, [unknown], set())
    with pytest.raises(Violation, match="nobody asked for"):
        check_commands(history, [], set())


def test_a_time_outside_of_question_and_answer_is_a_violation():
    created = operation(invoked=0.5)
    record_answer(created, 201, DONE)
    with pytest.raises(Violation, match="is stored with the time"):
        complete(created, commit_of(document()))


def test_a_new_comment_has_the_id_that_its_client_was_told():
    events = f'[{{"type":"CommentAdded","schemaVersion":1,"data":{{"commentId":"{COMMENT}","comment":"Yes",\
"username":"Bob","commentDate":"2026-11-30T12:00:00.250Z"}}}}]'
    comment = AddComment(post_id=POST, comment_id=CommentId("?"), comment="Yes", username="Bob", comment_date=UNKNOWN)
    created, added = operation(), operation(comment, number=2)
    record_answer(created, 201, DONE)
    record_answer(added, 201, {**DONE, "commentId": COMMENT, "version": 2, "position": 2})
    history = history_of(document(), document(2, 2, "operation-2", events))
    for each, commit in zip((created, added), history.commits, strict=True):
        complete(each, commit)
    check_commands(history, [created, added], set())
    added.comment_id = CommentId("another")
    with pytest.raises(Violation, match="was told comment another"):
        check_commands(history, [created, added], set())


@pytest.mark.parametrize(
    ("status", "code", "outcome"),
    [
        (503, "store-unavailable", ("unknown", "store-unavailable", True)),
        (409, "post-removed", ("fail", "post-removed", False)),
        (412, "version-mismatch", ("fail", "version-mismatch", False)),
    ],
)
def test_only_503_leaves_the_outcome_open(status, code, outcome):
    sent = operation()
    record_answer(sent, status, {"code": code, "currentVersion": 7})
    assert (sent.outcome, sent.code, sent.in_doubt) == outcome
    assert sent.version == (0 if status == 503 else 7)


@pytest.mark.parametrize(
    ("status", "code"), [(500, "internal-error"), (400, "malformed-request"), (503, "log-changed")]
)
def test_other_answers_are_violations(status, code):
    with pytest.raises(Violation, match=f"was answered with {status}"):
        record_answer(operation(), status, {"code": code})


def test_a_refusal_that_is_in_the_log_passes_only_when_an_earlier_attempt_was_in_doubt():
    edit = EditMessage(post_id=POST, message="New", username="Ann", edited_at=UNKNOWN)
    events = '[{"type":"MessageUpdated","schemaVersion":2,"data":{"message":"New","username":"Ann",\
"editedAt":"2026-11-30T12:00:00.250Z"}}]'
    created, refused = operation(), operation(edit, number=2)
    record_answer(refused, 404, {"code": "post-not-found"})
    history = history_of(document(), document(2, 2, "operation-2", events))
    complete(created, history.commits[0])
    complete(refused, history.commits[1])
    with pytest.raises(Violation, match="but it is in the log"):
        check_commands(history, [created, refused], set())
    refused.in_doubt = True
    check_commands(history, [created, refused], set())


def test_an_answer_without_a_commit_that_is_in_the_log_passes_only_when_an_earlier_attempt_was_in_doubt():
    created, liked = operation(), operation(LikePost(post_id=POST, username="Ann"), number=2)
    unliked = operation(UnlikePost(post_id=POST, username="Ann"), number=3)
    record_answer(unliked, 200, DONE)
    event = '[{"type":"%s","schemaVersion":1,"data":{"username":"Ann"}}]'
    documents = [document(n, n, f"operation-{n}", event % kind) for n, kind in ((2, "PostLiked"), (3, "PostUnliked"))]
    history = history_of(document(), *documents)
    for each, commit in zip((created, liked, unliked), history.commits, strict=True):
        complete(each, commit)
    with pytest.raises(Violation, match="but it is"):
        check_commands(history, [created, liked, unliked], set())
    unliked.in_doubt = True
    check_commands(history, [created, liked, unliked], set())


def test_a_read_is_compared_with_the_fold_of_the_log():
    view = {"postId": POST, "author": "Ann", "datePosted": "2026-11-30T12:00:00.250Z", "message": "Hello", "likes": 0}
    read = Read(1, POST, 1, AT.timestamp(), AT.timestamp() + 1)
    record_read(read, 200, {**view, "version": 1, "commentsCount": 0, "comments": []})
    assert read.post is not None
    assert read.post.status is PostStatus.LIVE
    check_reads(history_of(document()), [read])
    read.post = read.post._replace(likes=1)
    with pytest.raises(Violation, match="the row is"):
        check_reads(history_of(document()), [read])


def test_comments_of_a_read_are_rows():
    comment = {"commentId": COMMENT, "username": "Bob", "comment": "Yes", "edited": False}
    view = {"postId": POST, "author": "Ann", "datePosted": "2026-11-30T12:00:00.250Z", "message": "Hello", "likes": 0}
    view |= {"version": 2, "commentsCount": 1, "comments": [{**comment, "commentDate": "2026-11-30T12:00:00.250Z"}]}
    read = Read(1, POST, None, 0.0)
    record_read(read, 200, view)
    assert read.comments == [CommentRow(POST, COMMENT, "Bob", "Yes", AT, False)]


LIKES = '[{"type":"PostLiked","schemaVersion":2,"data":{"username":null}}]'
CREATED_BY_IMPORT = document(correlation_id=None)


def test_an_import_is_in_the_log_once_and_whole():
    commits = [commit_of(CREATED_BY_IMPORT), commit_of(document(2, 2, None, LIKES))]
    check_imports(commits, {"Hello": 1})
    with pytest.raises(Violation, match="other likes than their lines"):
        check_imports(commits, {"Hello": 2})
    with pytest.raises(Violation, match="nobody imported"):
        check_imports(commits, {})
    with pytest.raises(Violation, match="nobody imported"):
        check_imports([*commits, commit_of(document(3, 1, None, post_id=OTHER))], {"Hello": 1})
