"""What the driver raises, in the application's words. A password never comes out of here."""

import re
from urllib.parse import unquote_plus

from bson.errors import BSONError
from pymongo.errors import (
    ConfigurationError,
    NetworkTimeout,
    OperationFailure,
    PyMongoError,
    ServerSelectionTimeoutError,
)

from adapters.mongo.servers import SeenServers, plain_reason
from application.errors import CannotOpen, StoreUnavailable
from domain.errors import InvalidInput, PostlogError

URL_SETTING = "event_store.mongo.url"

_PASSWORD = re.compile(r"^(?P<before>[a-z+]+://[^:@/]*):(?P<password>.*)@(?P<after>[^@]*)$", re.DOTALL)
_SECRET_OPTION = re.compile(r"[?&][^=&]*(?:password|authMechanismProperties)[^=&]*=([^&]*)", re.IGNORECASE)
_DRIVER = ("pymongo", "bson", "gridfs", "dns")


def masked(url: str) -> str:
    """User and hosts of the address, with `***` for the password; options are left out, they may be secret too."""
    return _PASSWORD.sub(r"\g<before>:***@\g<after>", url).partition("?")[0]


def is_drivers(error: BaseException) -> bool:
    """Whether it comes from the driver, of whatever class: an answer of the server that the driver stumbles over is no
    fault of Postlog."""
    if isinstance(error, PyMongoError | BSONError | OSError | TimeoutError):  # an OSError is a socket's
        return True
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    module = str(trace.tb_frame.f_globals.get("__name__", "")) if trace is not None else ""
    return module.partition(".")[0] in _DRIVER


def is_without_sessions(error: BaseException | None) -> bool:
    """The driver has used a connection that it made while its server was neither primary nor secondary; it believes
    for as long as that connection lives that the server knows no sessions."""
    return isinstance(error, ConfigurationError) and "Sessions are not supported" in str(error)


def unavailable(
    url: str,
    error: Exception,
    setting: str = URL_SETTING,
    what: str = "event store",
    servers: SeenServers | None = None,
) -> StoreUnavailable:
    """One sentence with the setting to look at, the driver's reason and what to do. `servers` listened to the
    client: they know why there is no primary."""
    wrong = hushed(url, _what_is_wrong(error, url, servers))
    return StoreUnavailable(f"The {what}, MongoDB at {masked(url)} ({setting}), {wrong}.", path=setting)


def can_not_open(url: str, error: Exception, setting: str = URL_SETTING) -> PostlogError:
    """Why no client can be made with this address: it is none, or a file that it names will not do."""
    file = error if isinstance(error, OSError) else error.__context__
    if isinstance(file, OSError):
        reason = hushed(url, plain_reason(error))
        return CannotOpen(
            f"MongoDB's client can't use a file that {setting} names (tlsCAFile, tlsCertificateKeyFile, "
            f"tlsCRLFile), or its password: {reason}.",
            path=setting,
        )
    # Without what the driver says: it may quote a part of a password.
    return InvalidInput(
        f"{setting} is no MongoDB address; it has the form mongodb://login:password@host:port/"
        "?replicaSet=name, with %-escapes for special characters in login and password.",
        path=setting,
    )


def hushed(url: str, text: str) -> str:
    """The text with `***` in place of each secret of the address, as it stands there and without its escapes."""
    before_options = _PASSWORD.match(url)
    found = [before_options["password"]] if before_options else []
    for secret in (*found, *_SECRET_OPTION.findall(url)):
        for form in filter(None, (secret, unquote_plus(secret))):
            text = text.replace(form, "***")
    return text


def _what_is_wrong(error: Exception, url: str, servers: SeenServers | None) -> str:
    waited_in_vain = isinstance(error, ServerSelectionTimeoutError | NetworkTimeout | TimeoutError)
    if waited_in_vain and servers is not None and (known := servers.why_no_primary(url)) is not None:
        return known
    if isinstance(error, ServerSelectionTimeoutError):
        return "has no primary that answers; start it, or check the address"
    if isinstance(error, NetworkTimeout | TimeoutError):
        return "did not answer in time; it hangs, or it or its network is overloaded"
    if isinstance(error, OperationFailure):
        return _refusal(error, url)
    if is_without_sessions(error):
        return (
            "took a connection while no primary was elected, or is no replica set (`rs.initiate()`); Postlog goes on "
            "with new connections"
        )
    if isinstance(error, ConfigurationError):
        return f"can't be reached by this address: {plain_reason(error)}"
    if isinstance(error, PyMongoError | OSError):
        return f"broke off: {plain_reason(error)}"
    return f"answered what its driver does not understand: {plain_reason(error)}"


def _refusal(error: OperationFailure, url: str) -> str:
    match error.code:
        case 18:
            return (
                "refused the login; check the user and the password in the address, and authSource, the database "
                "that knows the user"
            )
        case 13 if not _PASSWORD.match(url) and "authMechanism" not in url:
            return "wants a login; put user and password into the address, or run `postlog init` as an administrator"
        case 13:
            return "does not allow this login what Postlog needs; run `postlog init` as an administrator"
        case _:
            name = (error.details or {}).get("codeName")
            return f"refused: {plain_reason(error)}{f' ({name})' if name else ''}"
