"""Clients that others' generators make of the OpenAPI document have sensible names, and work."""

import importlib
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import httpx
import pytest

from running import embedded

EVENTS = ("PostCreated", "MessageUpdated", "PostLiked", "PostUnliked", "CommentAdded", "CommentUpdated")


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with embedded(tmp_path_factory.mktemp("data")) as (_, address):
        yield address


@pytest.fixture(scope="module")
def document(address: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("document") / "openapi.json"
    file.write_bytes(httpx.get(f"{address}/openapi.json", timeout=20).content)
    return file


@pytest.fixture(scope="module")
def client(document: Path) -> Iterator[ModuleType]:
    """As openapi-python-client makes it."""
    folder = document.parent
    generator = Path(sys.executable).with_name("openapi-python-client")
    arguments = ["generate", "--path", document, "--output-path", folder / "postlog_client", "--meta", "none"]
    done = subprocess.run([generator, *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    sys.path.insert(0, str(folder))
    try:
        yield importlib.import_module("postlog_client")
    finally:
        sys.path.remove(str(folder))


def imported(name: str) -> ModuleType:
    return importlib.import_module(f"postlog_client.api.{name}")


def test_a_python_client_writes_reads_and_tells_events_apart(client: ModuleType, address: str) -> None:
    models = importlib.import_module("postlog_client.models")
    create_post, like_post = (imported(f"commands.{name}") for name in ("create_post", "like_post"))
    get_post, list_events = (imported(f"queries.{name}") for name in ("get_post", "list_events"))
    with client.Client(base_url=address) as connection:
        created = create_post.sync(
            client=connection, body=models.NewPost(author="Ann", message="Hello"), idempotency_key="client-1"
        )
        liked = like_post.sync(created.post_id, client=connection, body=models.NewLike(username="Bob"))
        post = get_post.sync(created.post_id, client=connection, postlog_min_position=liked.position)
        page = list_events.sync(created.post_id, client=connection)
        refused = create_post.sync(client=connection, body=models.NewPost(author=" ", message="Hello"))
    assert (post.author, post.likes, post.version) == ("Ann", 1, 2)
    assert [type(event) for event in page.events] == [models.PostCreatedEvent, models.PostLikedEvent]
    assert (page.events[0].data.message, page.events[1].data.username) == ("Hello", "Bob")
    assert (type(refused), refused.code, refused.errors[0].path) == (models.Problem, "blank-text", "author")


def test_a_python_client_has_sensible_names(client: ModuleType) -> None:
    folder = Path(client.__file__ or "").parent
    names = {file.stem for place in ("models", "api/commands", "api/queries") for file in (folder / place).glob("*.py")}
    odd = {name for name in names if re.search(r"_(type|response|item)_?\d|additional_property|_api_v1", name)}
    assert odd == set()
    assert {"create_post", "edit_message", "list_events", "adapter", "post_created_event", "post_created_data"} <= names


@pytest.mark.long
def test_a_typescript_client_has_sensible_names(document: Path) -> None:
    """As openapi-typescript makes it, which npm fetches."""
    if shutil.which("npm") is None:
        pytest.skip("npm is not installed")
    made = document.with_name("api.ts")
    subprocess.run(["npm", "exec", "--yes", "openapi-typescript@7", "--", document, "-o", made], check=True)
    text = made.read_text(encoding="utf-8")
    assert all(f"        {name}Event: {{" in text for name in EVENTS)
    assert 'Event: components["schemas"]["PostCreatedEvent"] | components["schemas"]["MessageUpdatedEvent"]' in text
