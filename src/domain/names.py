"""Which names belong to the same person, and which characters are invisible.

Names are stored as they were sent and compared by `name_key`, in the domain, in rows, in filters and in the log alike,
so that no database's collation decides who may do what. Names are equal if they differ only

- in their Unicode normalization ("Zoë" composed or decomposed: NFC),
- in upper and lower case (and in the two forms of the Greek small sigma),
- in invisible characters (zero-width joiners, variation selectors …),
- in the amount of white space between words, or around the name.

All other names are different, even if they look alike: letters of other scripts, ligatures and compatibility forms (a
name that begins with U+017F, the long s, is not one that begins with "s"). To treat one person as two is an annoyance;
to treat two people as one lets each of them act in the other's name.
"""

import re
from unicodedata import normalize

_JOINERS_AND_VARIATIONS = "\u180b-\u180d\u180f\u200c\u200d\ufe00-\ufe0f"
_BIDIRECTIONAL = "\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069"
_UNSEEN = (
    "\u00ad\u034f\u115f\u1160\u17b4\u17b5\u180e\u200b\u2060-\u2065\u206a-\u206f\u2800\u3164\ufeff\uffa0\ufff0-\ufffb"
    "\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff"
)
"""The other default-ignorable code points of Unicode, the annotation marks, and the empty Braille pattern."""

_INVISIBLE = re.compile(f"[{_JOINERS_AND_VARIATIONS}{_BIDIRECTIONAL}{_UNSEEN}]")
_BLANK = re.compile(rf"[\s\x00-\x1f\x7f-\x9f{_JOINERS_AND_VARIATIONS}{_BIDIRECTIONAL}{_UNSEEN}]*")
_NOT_IN_NAMES = re.compile(f"[\x00-\x1f\x7f-\x9f\u2028\u2029{_BIDIRECTIONAL}{_UNSEEN}]")


def name_key(name: str) -> str:
    """Equal for names of the same person, and idempotent. The key of a name without any visible character is the name
    itself, because such names have nothing in common.
    """
    if name.isascii():
        return " ".join(name.lower().split()) or name
    name = normalize("NFC", name)
    visible = normalize("NFC", _INVISIBLE.sub("", name))
    # A small sigma has another form at the end of a word; `lower` would make it depend on what follows.
    lower = normalize("NFC", visible.lower().replace("\u03c2", "\u03c3"))
    return " ".join(lower.split()) or name


def is_blank(text: str) -> bool:
    """Whether the text has no visible character: white space, control and invisible characters only."""
    return _BLANK.fullmatch(text) is not None


def hidden_character(name: str) -> str | None:
    """The first control or invisible character that is not allowed in a new name. Joiners and variation selectors are
    allowed, because scripts and emoji need them.
    """
    found = _NOT_IN_NAMES.search(name)
    return found[0] if found else None
