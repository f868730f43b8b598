"""A certified OpenID Connect provider as a process: npm's `oidc-provider`, fetched once, kept outside the checkout."""

import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Self

import httpx

from local.find import ServerUnavailableError
from local.ports import free_port
from local.processes import guarded

VERSION = "9.13.3"
_PROGRAM = Path(__file__).with_name("provider.mjs")


def package_folder() -> Path:
    """Raises `ServerUnavailableError` without Node.js and npm, or when npm can't fetch it."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    folder = cache / "postlog" / f"oidc-provider-{VERSION}"
    package = folder / "node_modules" / "oidc-provider"
    if shutil.which("node") is None or shutil.which("npm") is None:
        raise ServerUnavailableError("Node.js and npm are not installed, which run the identity provider of this test")
    if not (folder / "complete").exists():
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        options = ["--no-package-lock", "--no-audit", "--no-fund", "--ignore-scripts", "--prefix", str(folder)]
        command = ["npm", "install", *options, f"oidc-provider@{VERSION}"]
        fetched = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
        if fetched.returncode != 0:
            raise ServerUnavailableError(f"npm could not fetch oidc-provider {VERSION}: {fetched.stderr[-500:]}")
        (folder / "complete").touch()
    return package


class Provider:
    def __init__(self) -> None:
        self._package = package_folder()
        self._port = free_port()
        self.issuer = f"http://127.0.0.1:{self._port}"
        self.jwks_url = f"{self.issuer}/jwks"

    def __enter__(self) -> Self:
        command = [*guarded(), "node", str(_PROGRAM), str(self._package), str(self._port)]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self._wait_for("listening")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.kill()
        self._process.communicate()

    def rotate(self) -> None:
        """Sign with a new key of another kind; the old one remains published."""
        assert self._process.stdin is not None
        self._process.stdin.write("rotate\n")
        self._process.stdin.flush()
        self._wait_for("rotated")

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """It answers nobody."""
        self._process.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self._process.send_signal(signal.SIGCONT)

    def token(self, user: str) -> str:
        answer = httpx.post(
            f"{self.issuer}/token",
            data={
                "grant_type": "client_credentials",
                "client_id": user,
                "client_secret": f"the secret of {user}, which is long enough",
                "scope": "posts",
                "resource": "https://posts.test",
            },
            timeout=30,
        )
        assert answer.status_code == 200, answer.text
        found: str = answer.json()["access_token"]
        return found

    def _wait_for(self, line: str) -> None:
        assert self._process.stdout is not None
        for printed in self._process.stdout:
            if printed.strip() == line:
                return
        raise AssertionError(f"the identity provider ended before it printed {line!r}")
