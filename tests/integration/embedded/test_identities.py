"""A service that knows its callers, as processes: its log needs no token afterwards, nothing shows a secret, and
without authentication it listens on loopback only."""

import json
import secrets
import signal
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest

from identities import AUDIENCE, ISSUER, token
from integration.logins.watched import command_lines
from local.ports import free_port
from running import POSTLOG, Running, embedded, is_live, postlog, ticks


@dataclass
class Service:
    """`postlog run` that verifies tokens. `seen` is everything that it printed or answered."""

    folder: Path
    secret: str = field(default_factory=lambda: secrets.token_hex(24))
    tokens: dict[str, str] = field(default_factory=dict)
    seen: list[str] = field(default_factory=list)
    address: str = ""

    @property
    def environment(self) -> dict[str, str]:
        file = self.folder / "secret"
        file.write_text(self.secret)
        return {
            "POSTLOG__AUTH__MODE": "jwt",
            "POSTLOG__AUTH__JWT__ISSUER": ISSUER,
            "POSTLOG__AUTH__JWT__AUDIENCE": AUDIENCE,
            "POSTLOG__AUTH__JWT__SECRET_FILE": str(file),
            "POSTLOG__AUTH__JWT__COOKIE": "id_token",
            "POSTLOG__LOG__LEVEL": "debug",
        }

    def send(self, method: str, path: str, name: str | None = None, *, given: str | None = None, **more: Any):
        headers = {}
        if name is not None or given is not None:
            given = given or self.tokens.setdefault(name or "", token(name or "", key=self.secret, algorithm="HS256"))
            headers["Authorization"] = f"Bearer {given}"
        answer = httpx.request(method, self.address + path, headers=headers, timeout=30, **more)
        self.seen.append(f"{answer.status_code} {answer.headers} {answer.text}")
        return answer

    def showing(self) -> list[str]:
        """The parts of secrets and tokens that can be seen; the last part of a token is its signature."""
        hidden = [self.secret, *(each.rpartition(".")[2] for each in self.tokens.values())]
        return [each for each in hidden if any(each in text for text in (*self.seen, *command_lines()))]


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Service:
    """After users, a moderator, an importer and an operator have worked with it; it has stopped."""
    service = Service(tmp_path_factory.mktemp("identities"))
    settings = {"POSTLOG_DATA": str(service.folder), "PORT": "0"} | service.environment
    with Running(service.folder, "run", env=settings, program=POSTLOG) as running:
        service.address = running.address(90)  # it loads `cryptography`, which takes a while on a busy machine
        ids = []
        for number in range(3):
            created = service.send("POST", "/api/v1/posts", "ann", json={"message": f"Message {number}"})
            assert created.status_code == 201, created.text
            ids.append(created.json()["id"])
        post = f"/api/v1/posts/{ids[0]}"
        comment = service.send("POST", f"{post}/comments", "olaf", json={"comment": "Rubbish"}).json()["commentId"]
        assert service.send("POST", f"{post}/likes", "rita").status_code == 200
        assert service.send("POST", f"{post}/likes", "iris", json={"username": None}).status_code == 200
        assert service.send("POST", f"{post}/likes", "iris", json={"username": "ben"}).status_code == 200
        assert service.send("DELETE", f"{post}/comments/{comment}", "mona").status_code == 200
        assert service.send("DELETE", f"/api/v1/posts/{ids[1]}", "mona").status_code == 200
        refused = service.send("PUT", f"{post}/message", "olaf", json={"message": "Mine"})
        assert refused.json()["code"] == "not-the-author"
        forged = token("otto", key="another secret of thirty-two characters", algorithm="HS256")
        service.tokens |= {"forged": forged, "expired": token("ann", key=service.secret, algorithm="HS256", exp=1)}
        for given in (forged, service.tokens["expired"], forged[:-5]):
            assert service.send("GET", "/api/v1/read-db", given=given).status_code == 401
        for path in ("/", f"/posts/{ids[0]}", "/log", "/operations", "/openapi.json", "/metrics", "/nothing"):
            service.send("GET", path, "otto")
            service.send("GET", path)
        for _ in ticks(20, "the rows did not catch up"):
            if service.send("GET", "/api/v1/read-db", "otto").json()["lag"] == 0:
                break
        service.seen.append(service.showing().__repr__())
        running.signal(signal.SIGTERM)
        service.seen.append(running.printed)
    return service


@pytest.mark.timeout(300)
def test_a_log_filled_by_known_callers_is_checked_rebuilt_audited_and_served_without_any_token(filled: Service) -> None:
    data = {"POSTLOG_DATA": str(filled.folder)}
    for verb in (("events", "check"), ("rebuild",), ("audit",)):
        done = postlog(*verb, env=data)
        assert done.returncode == 0, done.stdout + done.stderr
    with embedded(filled.folder) as (_, address):
        posts = httpx.get(f"{address}/api/v1/posts").json()["posts"]
        assert sorted((post["message"], post["likes"], post["commentsCount"]) for post in posts) == [
            ("Message 0", 3, 0),
            ("Message 2", 0, 0),
        ]
        first = next(post["postId"] for post in posts if post["message"] == "Message 0")
        events = httpx.get(f"{address}/api/v1/posts/{first}/events").json()["events"]
        assert [(each["type"], each["actor"], each["data"].get("username")) for each in events[1:]] == [
            ("CommentAdded", "olaf", "olaf"),
            ("PostLiked", "rita", "rita"),
            ("PostLiked", "iris", None),
            ("PostLiked", "iris", "ben"),
            ("CommentRemoved", "mona", "mona"),
        ]
        edited = httpx.put(f"{address}/api/v1/posts/{first}/message", json={"message": "Edited", "username": "ann"})
        assert edited.status_code == 200


def test_nothing_shows_a_token_or_a_secret(filled: Service) -> None:
    """In what it logged at level debug, in responses, pages and problems, in its settings, in the list of processes."""
    config = postlog("config", env=filled.environment)
    assert config.returncode == 0
    filled.seen += [config.stdout, config.stderr]
    assert any('"request"' in text or "request " in text for text in filled.seen), "the log was seen"
    assert filled.showing() == []


def test_metrics_can_be_bound_elsewhere_than_the_api(tmp_path: Path) -> None:
    port, metrics_port = str(free_port()), str(free_port())
    address, elsewhere = f"http://127.0.0.1:{port}", f"http://127.0.0.1:{metrics_port}"
    with embedded(tmp_path, PORT=port, POSTLOG__HTTP__METRICS="false", POSTLOG__WORKER__PORT=metrics_port):
        for _ in ticks(20, "the two do not listen"):
            if is_live(address) and is_live(elsewhere):
                break
        assert httpx.get(f"{address}/metrics").status_code == 404
        for _ in ticks(20, "it is not ready"):
            if httpx.get(f"{address}/health/ready").status_code == 200:
                break
        assert "/metrics" not in httpx.get(f"{address}/openapi.json").json()["paths"]
        assert "postlog_http_request_seconds" in httpx.get(f"{elsewhere}/metrics").text
        assert httpx.get(f"{elsewhere}/api/v1/posts").status_code == 404


@pytest.mark.parametrize("verb", [("run",), ("serve", "command"), ("serve", "query")])
def test_without_authentication_it_listens_on_loopback_only(verb: tuple[str, ...], tmp_path: Path) -> None:
    done = postlog(*verb, "--set", "http.host=0.0.0.0", env={"POSTLOG_DATA": str(tmp_path)})
    assert done.returncode == 2
    remedies = ("listen on 127.0.0.1", "set auth.mode to gateway or jwt", "set auth.trust_usernames: true")
    assert all(remedy in " ".join(done.stderr.split()) for remedy in remedies), done.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_key_set_that_can_not_be_used_ends_the_start_with_the_setting(tmp_path: Path) -> None:
    keys = tmp_path / "jwks.json"
    keys.write_text(json.dumps({"keys": [{"kty": "oct", "k": "c2VjcmV0"}]}))
    environ = {
        "POSTLOG_DATA": str(tmp_path / "data"),
        "POSTLOG__AUTH__MODE": "jwt",
        "POSTLOG__AUTH__JWT__ISSUER": ISSUER,
        "POSTLOG__AUTH__JWT__AUDIENCE": AUDIENCE,
        "POSTLOG__AUTH__JWT__JWKS_FILE": str(keys),
    }
    done = postlog("run", env=environ)
    assert done.returncode == 2
    assert "auth.jwt.jwks_file" in done.stderr
    assert "c2VjcmV0" not in done.stderr
    assert "Traceback" not in done.stderr
