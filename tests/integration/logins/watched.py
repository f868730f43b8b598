"""Passwords that are found again in whatever form they show, and everything in which they could."""

import secrets
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote, quote_plus

_SIGNS = ("@", ":", "/", "%", " ", "{", "}", ";", "'", '"', "\\", "#", "?", "&", "=", "+", "%41", "ß")
_PAUSE_SECONDS = 0.1


@dataclass(frozen=True, slots=True)
class Password:
    """Words that occur nowhere else, with every sign between them that URLs, ODBC, SQL or JSON write in another way.
    Whatever is cut off, escaped or encoded of it, a word remains. SQL Server takes 128 characters."""

    words: tuple[str, ...]

    @classmethod
    def new(cls) -> "Password":
        return cls(tuple(f"Qz{secrets.token_hex(2)[:3]}" for _ in range(len(_SIGNS) + 1)))

    @property
    def text(self) -> str:
        return "".join(word + sign for word, sign in zip(self.words, (*_SIGNS, ""), strict=True))

    @property
    def in_url(self) -> str:
        return quote(self.text, safe="")

    def forms_in(self, text: str) -> list[str]:
        forms = (self.text, self.in_url, quote_plus(self.text), *self.words)
        return [form for form in forms if form in text]


@dataclass(slots=True)
class Watch:
    """Everything that was printed, answered, or stood in the list of processes."""

    passwords: list[Password]
    printed: list[str] = field(default_factory=list)
    command_lines: set[str] = field(default_factory=set)

    def note(self, *texts: str) -> None:
        self.printed += texts

    def found(self) -> list[str]:
        """Lines with a password in them."""
        lines = [line for text in (*self.printed, *self.command_lines) for line in text.splitlines()]
        return [line for line in lines if any(password.forms_in(line) for password in self.passwords)]


@contextmanager
def watching(*passwords: Password) -> Iterator[Watch]:
    """Command lines of all processes of this machine are read again and again until the block ends."""
    watch = Watch(list(passwords))
    stopping = threading.Event()

    def look() -> None:
        while not stopping.wait(_PAUSE_SECONDS):
            watch.command_lines |= command_lines()

    thread = threading.Thread(target=look)
    thread.start()
    try:
        yield watch
    finally:
        stopping.set()
        thread.join()


def command_lines() -> set[str]:
    return {line for process in Path("/proc").iterdir() if process.name.isdigit() and (line := _line_of(process))}


def _line_of(process: Path) -> str | None:
    try:
        return (process / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
    except OSError:
        return None  # it has ended
