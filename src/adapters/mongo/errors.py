"""What the driver raises, in the application's words. A password never comes out of here."""

import re

from pymongo.errors import (
    ConfigurationError,
    NetworkTimeout,
    OperationFailure,
    PyMongoError,
    ServerSelectionTimeoutError,
)

from application.errors import StoreUnavailable

URL_SETTING = "event_store.mongo.url"

_PASSWORD = re.compile(r"^(?P<before>[a-z+]+://[^:@/]*):.*@(?P<after>[^@]*)$", re.DOTALL)


def masked(url: str) -> str:
    """User and hosts of the address, with `***` for the password; options are left out, they may be secret too."""
    return _PASSWORD.sub(r"\g<before>:***@\g<after>", url).partition("?")[0]


def unavailable(url: str, error: Exception, setting: str = URL_SETTING, what: str = "event store") -> StoreUnavailable:
    """One sentence with the setting to look at."""
    return StoreUnavailable(f"The {what}, MongoDB at {masked(url)} ({setting}), {_what_is_wrong(error)}.", path=setting)


def _what_is_wrong(error: Exception) -> str:
    if isinstance(error, ServerSelectionTimeoutError):
        return "has no primary that answers; start it, or check the address"
    if isinstance(error, NetworkTimeout | TimeoutError):
        return "did not answer in time"
    if isinstance(error, OperationFailure):
        return _refusal(error)
    if isinstance(error, ConfigurationError):
        return f"can't be reached by this address: {_first_line(error)}"
    if isinstance(error, PyMongoError):
        return f"broke off: {_first_line(error)}"
    return f"failed: {_first_line(error)}"


def _refusal(error: OperationFailure) -> str:
    match error.code:
        case 18:
            return "refused the login; check the user and the password in the address"
        case 13:
            return "does not allow this login what Postlog needs; run `postlog init` as an administrator"
        case _:
            return f"refused: {_first_line(error)}"


def _first_line(error: Exception) -> str:
    text = str(error).partition("\n")[0].partition(", full error:")[0].partition(" (configured timeouts:")[0]
    return text.rstrip(".") or type(error).__name__
