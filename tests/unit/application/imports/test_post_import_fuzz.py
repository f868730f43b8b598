"""Lines of every kind, from a seed: each is imported exactly, or refused with number, field and value."""

import json
import random
import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone
from typing import Any, NamedTuple
from uuid import UUID, uuid5

import msgspec
import pytest

from adapters.memory.log import MemoryCommitLog, MemoryEventStore, MemoryLog, MemorySnapshots
from application.imports.post_import import ImportedLine, PostImport
from application.imports.post_lines import BadLine, is_blank_line
from command_process import CODEC, CommandProcess, SteppingClock
from entrypoints.cli.output import one_line

IMPORTED_POSTS = UUID("0b0d8a34-3f0f-5d55-8f0f-6a3f3e1c7b52")

FIELDS = ("externalId", "author", "message", "datePosted", "likes")

PYTHONS_WORDS = re.compile(
    r"sys\.|set_int|Expecting|codec|Invalid |Extra data|Unterminated|recursion|isoformat|Exceeds|Traceback|delimiter|"
    r"surrogates not allowed|utf-8|object has no|__"
)

ALPHABETS = (
    "abcdefghij KLMNOP 0123456789",
    "äöüßéñçøåŒ€“”…",
    "日本語テキスト漢字かな",
    "שלום مرحبا नमस्ते ไทย",
    "😀👩‍👩‍👧🏳️‍🌈🇩🇪𝄞𐍈",
    "\"\\/'`{}[]:,<>&%$;\t",
    "\x1b\x07\x85\x9b\x00\u2028\u2029\u202e",
)
NOT_IN_NAMES = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e]")


class Expected(NamedTuple):
    """`post` must be in the log, or `words` must be in the reason. Neither: a strict JSON parser decides whether the
    line is valid.
    """

    line: bytes
    post: dict[str, Any] | None = None
    words: tuple[str, ...] = ()


class Lines:
    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)
        self._count = 0
        self._kinds: tuple[tuple[Callable[[], Expected], int], ...] = (
            (self._good, 8),
            (self._odd_value, 8),
            (self._missing, 1),
            (self._unknown, 1),
            (self._doubled, 2),
            (self._broken, 4),
            (self._mutated, 6),
            (self._encoded, 3),
            (self._no_object, 1),
        )

    def next(self) -> Expected:
        kinds, weights = zip(*self._kinds, strict=True)
        made: Expected = self._random.choices(kinds, weights)[0]()
        return made._replace(line=made.line.replace(b"\n", b" "))  # in a file, a line ends there

    def _text(self, alphabets: tuple[str, ...], length: int) -> str:
        return "".join(self._random.choice(self._random.choice(alphabets)) for _ in range(length))

    def _post(self) -> dict[str, Any]:
        self._count += 1
        author = NOT_IN_NAMES.sub("", self._text(ALPHABETS[:6], self._random.randint(0, 30)))
        message = self._text(ALPHABETS, self._random.randint(0, 80)).replace("\x00", "")
        return {
            "externalId": f"{self._count}{self._text(ALPHABETS, self._random.randint(0, 20))}",
            "author": f"a{author}z",
            "message": f"m{message}",
            "datePosted": self._time(),
            "likes": self._random.choice((0, 0, 1, 2, 5)),
        }

    def _time(self) -> str:
        zone = timezone(timedelta(minutes=self._random.randint(-14 * 60, 14 * 60)))
        moment = datetime(2000, 1, 1, tzinfo=UTC) + timedelta(seconds=self._random.randint(0, 10**9))
        text = moment.astimezone(self._random.choice((UTC, zone))).isoformat(
            sep=self._random.choice("Tt "), timespec=self._random.choice(("seconds", "milliseconds", "microseconds"))
        )
        return text.replace("+00:00", self._random.choice(("Z", "z", "+00:00")))

    def _json(self, members: list[tuple[str, Any]]) -> str:
        """With blanks, order and escapes as another program may write them."""
        self._random.shuffle(members)
        blank = [self._random.choice(("", " ", "\t", "  ")) for _ in range(4)]
        ascii_only = self._random.random() < 0.5
        inner = f"{blank[0]},{blank[1]}".join(
            f"{json.dumps(name)}{blank[2]}:{blank[3]}{json.dumps(value, ensure_ascii=ascii_only)}"
            for name, value in members
        )
        return f"{blank[0]}{{{blank[1]}{inner}{blank[2]}}}{blank[3]}"

    def _good_text(self) -> tuple[dict[str, Any], str]:
        post = self._post()
        return post, self._json(list(post.items()))

    def _good(self) -> Expected:
        post, text = self._good_text()
        mark = b"\xef\xbb\xbf" if self._random.random() < 0.1 else b""
        return Expected(mark + text.encode() + self._random.choice((b"", b"\r")), post)

    def _odd_value(self) -> Expected:
        post, name = self._post(), self._random.choice(FIELDS)
        value: Any = self._random.choice((None, True, False, [], {}, [1], {"a": 1}, 1.5, -1, "", " ", "\ud800x"))
        if self._random.random() < 0.6:
            value = self._random.choice(ODD[name])
        text = self._json(list((post | {name: value}).items()))
        if "\ud800" in text:
            return Expected(text.encode("utf-8", "surrogatepass"), None, ("it is not UTF-8 text: byte 0xed",))
        shown = "" if isinstance(value, str) and (len(value) > 60 or "\ud800" in value) else plainly(value)
        return Expected(text.encode(), None, (name, shown))

    def _missing(self) -> Expected:
        post, name = self._post(), self._random.choice(FIELDS)
        del post[name]
        return Expected(self._json(list(post.items())).encode(), None, (f"{name} is missing",))

    def _unknown(self) -> Expected:
        name = f"x{self._text(ALPHABETS, 5)}"
        text = self._json([*self._post().items(), (name, 7)])
        return Expected(text.encode(), None, (f"{json.dumps(name, ensure_ascii=False)} is not a known field", "7"))

    def _doubled(self) -> Expected:
        post, name = self._post(), self._random.choice(FIELDS)
        text = self._json([*post.items(), (name, self._random.choice((post[name], 7)))])
        return Expected(text.encode(), None, (f"{name} appears twice",))

    def _broken(self) -> Expected:
        _, text = self._good_text()
        text = text.strip()
        how = self._random.randrange(9)
        if how == 0:
            text = text[: self._random.randrange(1, len(text))]
        elif how == 1:
            text += self._random.choice(("}", "{}", ",", "x", "//", "\x00", ";"))
        elif how == 2:
            text = text[:-1] + ",}"
        elif how == 3:
            text = text.replace('"', "'")
        elif how == 4:
            text = text[:-1] + ', "likes2": 01}'
        elif how == 5:
            text = "[" * self._random.choice((2, 100_000)) + text
        elif how == 6:
            text = '{"a":' * 100_000
        elif how == 7:
            text = text[:-1] + f', "n": {self._random.choice(("NaN", "-Infinity", "1" * 5_000, "1e99999", "-"))}}}'
        else:
            text = text[:-1] + "/* x */}"
        return Expected(text.encode(), None, ("it is n",) if how in (1, 2, 3, 4, 6, 8) else ())

    def _mutated(self) -> Expected:
        _, text = self._good_text()
        line = bytearray(text.encode())
        for _ in range(self._random.randint(1, 3)):
            at = self._random.randrange(len(line))
            match self._random.randrange(3):
                case 0:
                    line[at] = self._random.randrange(256)
                case 1:
                    del line[at]
                case _:
                    line.insert(at, self._random.randrange(256))
        return Expected(bytes(line))

    def _encoded(self) -> Expected:
        _, text = self._good_text()
        encoding = self._random.choice(
            ("utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-32-le", "utf-32-be", "latin-1", "cp1252", "shift_jis",
             "gb18030", "koi8-r", "cp037", "utf-7", "iso2022_jp", "utf-8")
        )  # fmt: skip
        return Expected(text.encode(encoding, "replace"))

    def _no_object(self) -> Expected:
        value = self._random.choice(("[]", "7", "null", "true", '"x"', "-1.5e3", "[{}]", "9" * 5_000))
        return Expected(value.encode(), None, ("it is not a JSON object",))


ODD: dict[str, tuple[Any, ...]] = {
    "externalId": ("x" * 201, "\t", 7),
    "author": (" Ann", "Ann ", "\u200b", "x" * 101, "a\x1b[31m", "a\u202eb", "a\x00", "\u2800"),
    "message": ("\u3164", "x" * 40_001, "a\x00", "\ufeff", 7),
    "datePosted": (
        "yesterday", "2008-07-31", "2008-07-31T07:21:09", "2016-12-31T23:59:60Z", "2016-12-31t23:59:60z", "0", 12174,
        "2008-02-30T00:00:00Z", "10000-01-01T00:00:00Z", "2008-07-31T07:21:09+25:00", "2008-07-31T07:21:09 UTC",
        "0001-01-01T00:00:00+01:00", "\x1b[2J",
    ),
    "likes": ("3", 10_000_001, -1, 1e3, 10**25, 1e400, float("nan"), True, "\x1b]0;x\x07"),
}  # fmt: skip


def plainly(value: Any) -> str:
    if isinstance(value, dict | list):
        return "an object" if isinstance(value, dict) else "an array"
    return json.dumps(value, ensure_ascii=False)


def as_a_strict_parser_sees_it(line: bytes) -> dict[str, Any] | None:
    """None if it does not have the form of a post; names and texts are checked by the domain."""
    try:
        plain = msgspec.json.decode(line.removeprefix(b"\xef\xbb\xbf"))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    if not isinstance(plain, dict) or set(plain) != set(FIELDS):
        return None
    return plain


def same(post: dict[str, Any], stored: list[Any]) -> bool:
    at = datetime.fromisoformat(post["datePosted"].upper()).astimezone(UTC)
    data = {
        "author": post["author"],
        "message": post["message"],
        "datePosted": at.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
    }
    return dict(stored[0].data) == data and [each.type for each in stored[1:]] == ["PostLiked"] * post["likes"]


async def fuzz(seed: int, count: int) -> tuple[int, int]:
    """How many lines were imported, and how many refused."""
    lines = Lines(seed)
    expected = [lines.next() for _ in range(count)]
    log = MemoryLog()
    store = MemoryEventStore(log)
    process = CommandProcess(store, MemorySnapshots(log))
    job = PostImport(process.commands, store, CODEC, SteppingClock())
    results = [each async for each in job.run(each.line for each in expected)]

    assert [each.number for each in results] == [
        number for number, each in enumerate(expected, 1) if not is_blank_line(each.line)
    ]
    stored: dict[str, list[Any]] = {}
    for commit in await MemoryCommitLog(log).read(0, 10 * count):
        stored.setdefault(commit.stream_id, []).extend(commit.events)
    imported = [each for each in results if isinstance(each, ImportedLine)]
    refused = [each for each in results if isinstance(each, BadLine)]
    assert len(stored) == len(imported)
    for line in imported:
        wanted = expected[line.number - 1]
        assert not wanted.words, wanted
        post = wanted.post or as_a_strict_parser_sees_it(wanted.line)
        assert post is not None, wanted
        events = stored[str(uuid5(IMPORTED_POSTS, post["externalId"]))]
        assert same(post, events), (post, events)
    for bad in refused:
        wanted = expected[bad.number - 1]
        assert wanted.post is None, (wanted, bad)
        assert all(word in bad.reason for word in wanted.words), (wanted, bad)
        if as_a_strict_parser_sees_it(wanted.line) is not None:
            assert bad.reason.startswith(FIELDS), (wanted, bad)
        assert not PYTHONS_WORDS.search(re.sub(r'"(\\.|[^"\\])*"', "", bad.reason)), bad
        assert len(bad.reason) < 1_000, bad
        assert re.match(rf"it |\"|{'|'.join(FIELDS)}", bad.reason), bad
        assert not NOT_IN_NAMES.search(one_line(bad.reason)), bad
    return len(imported), len(refused)


@pytest.mark.parametrize("seed", [1, 2])
async def test_each_line_is_imported_exactly_or_refused_with_field_and_value(seed: int) -> None:
    imported, refused = await fuzz(seed, 2_000)
    assert imported > 400
    assert refused > 800


@pytest.mark.long
@pytest.mark.timeout(600)
async def test_fifty_thousand_lines() -> None:
    imported, refused = await fuzz(20_261_130, 50_000)
    assert imported > 10_000, (imported, refused)
    assert refused > 20_000
