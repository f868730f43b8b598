"""Texts that may contain a password: `str()` masks it, and only `reveal()` returns it."""

import re
from dataclasses import dataclass

MASK = "***"
_NAME = r"([?&;][^=&;\s]*(?:pass|pwd|secret|token|odbc_connect|properties)[^=&;\s]*=)"
_USER_INFO = re.compile(r"(?<=://)([^:/?#@\s]*):\S*@")
_QUERY_VALUE = re.compile(rf"{_NAME}[^&;\s]+", re.IGNORECASE)

# For a text that is one address. Its password may contain characters that should have been escaped.
_ITS_USER_INFO = re.compile(r"(?<=://)([^:]*):.*@", re.DOTALL)
_ITS_QUERY_VALUE = re.compile(rf"{_NAME}.+?(?=[&;]\w+=|$)", re.IGNORECASE | re.DOTALL)

_ADDRESS = re.compile(r"(mongodb|postgresql|mssql)(\+[a-z]+)?://")


def mask(text: str) -> str:
    """Replace the passwords of all URLs in the text by `***`, in the user part and in the query."""
    return _QUERY_VALUE.sub(rf"\1{MASK}", _USER_INFO.sub(rf"\1:{MASK}@", text))


def _mask_address(url: str) -> str:
    return _ITS_QUERY_VALUE.sub(rf"\1{MASK}", _ITS_USER_INFO.sub(rf"\1:{MASK}@", url))


@dataclass(frozen=True, slots=True, repr=False)
class Secret:
    """`str()` and `repr()` are masked: an address of a server without its passwords, anything else as `***`."""

    text: str

    def reveal(self) -> str:
        return self.text

    def __str__(self) -> str:
        return _mask_address(self.text) if _ADDRESS.match(self.text) else MASK

    def __repr__(self) -> str:
        return f"Secret({str(self)!r})"
