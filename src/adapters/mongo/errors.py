"""Errors of MongoDB's driver as errors of the application: one sentence with the setting, the reason and what to do. No
password ever appears in one.

`SeenServers` remembers what the driver has found at the addresses, to explain why no server takes the log's writes.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple
from urllib.parse import unquote_plus

from bson.errors import BSONError
from pymongo import AsyncMongoClient
from pymongo.errors import (
    ConfigurationError,
    NetworkTimeout,
    OperationFailure,
    PyMongoError,
    ServerSelectionTimeoutError,
)
from pymongo.monitoring import (
    ServerClosedEvent,
    ServerDescriptionChangedEvent,
    ServerListener,
    ServerOpeningEvent,
)
from pymongo.server_description import ServerDescription

from application.errors import CannotOpen, StoreUnavailable
from domain.errors import InvalidInput, PostlogError

URL_SETTING = "event_store.mongo.url"

_PASSWORD = re.compile(r"^(?P<before>[a-z+]+://[^:@/]*):(?P<password>.*)@(?P<after>[^@]*)$", re.DOTALL)
_SECRET_OPTION = re.compile(r"[?&][^=&]*(?:password|authMechanismProperties)[^=&]*=([^&]*)", re.IGNORECASE)
_DRIVER = ("pymongo", "bson", "gridfs", "dns")


def masked(url: str) -> str:
    """User and hosts of the address, with `***` for the password; options are left out, they may be secret too."""
    return _PASSWORD.sub(r"\g<before>:***@\g<after>", url).partition("?")[0]


def is_driver_error(error: BaseException) -> bool:
    """Whether the driver raised it, whatever its class: a reply that the driver can't process is no bug of Postlog."""
    if isinstance(error, PyMongoError | BSONError | OSError | TimeoutError):  # an OSError is a socket's
        return True
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    module = str(trace.tb_frame.f_globals.get("__name__", "")) if trace is not None else ""
    return module.partition(".")[0] in _DRIVER


def is_without_sessions(error: BaseException | None) -> bool:
    """The driver used a connection from a time when its server was neither primary nor secondary; for as long as that
    connection lives, the driver assumes that the server supports no sessions."""
    return isinstance(error, ConfigurationError) and "Sessions are not supported" in str(error)


def unavailable(
    url: str,
    error: Exception,
    setting: str = URL_SETTING,
    what: str = "event store",
    servers: SeenServers | None = None,
) -> StoreUnavailable:
    """One sentence with the setting to check, the driver's reason and what to do. `servers`, a listener of the client,
    knows why there is no primary."""
    wrong = redacted(url, _what_is_wrong(error, url, servers))
    return StoreUnavailable(f"The {what}, MongoDB at {masked(url)} ({setting}), {wrong}.", path=setting)


def cannot_open(url: str, error: Exception, setting: str = URL_SETTING) -> PostlogError:
    """For an address with which no client can be created: it is malformed, or names an unusable file."""
    file = error if isinstance(error, OSError) else error.__context__
    if isinstance(file, OSError):
        reason = redacted(url, plain_reason(error))
        return CannotOpen(
            f"MongoDB's client can't use a file that {setting} names (tlsCAFile, tlsCertificateKeyFile, "
            f"tlsCRLFile), or its password: {reason}.",
            path=setting,
        )
    # Without the driver's message, which may quote a part of a password.
    return InvalidInput(
        f"{setting} is not a MongoDB address; it has the form mongodb://login:password@host:port/"
        "?replicaSet=name, with %-escapes for special characters in login and password.",
        path=setting,
    )


def redacted(url: str, text: str) -> str:
    """The text with `***` in place of each secret of the address, both as it is written there and unescaped."""
    before_options = _PASSWORD.match(url)
    found = [before_options["password"]] if before_options else []
    for secret in (*found, *_SECRET_OPTION.findall(url)):
        for form in filter(None, (secret, unquote_plus(secret))):
            text = text.replace(form, "***")
    return text


def _what_is_wrong(error: Exception, url: str, servers: SeenServers | None) -> str:
    timed_out = isinstance(error, ServerSelectionTimeoutError | NetworkTimeout | TimeoutError)
    if timed_out and servers is not None and (known := servers.why_no_primary(url)) is not None:
        return known
    if isinstance(error, ServerSelectionTimeoutError):
        return "has no primary that answers; start it, or check the address"
    if isinstance(error, NetworkTimeout | TimeoutError):
        return "did not answer in time; it hangs, or it or its network is overloaded"
    if isinstance(error, OperationFailure):
        return _refusal(error, url)
    if is_without_sessions(error):
        return (
            "accepted a connection while no primary was elected, or is not a replica set (`rs.initiate()`); "
            "Postlog continues with new connections"
        )
    if isinstance(error, ConfigurationError):
        return f"can't be reached by this address: {plain_reason(error)}"
    if isinstance(error, PyMongoError | OSError):
        return f"broke the connection: {plain_reason(error)}"
    return f"sent a reply that its driver does not understand: {plain_reason(error)}"


def _refusal(error: OperationFailure, url: str) -> str:
    match error.code:
        case 18:
            return (
                "refused the login; check the user and the password in the address, and authSource, the database "
                "that knows the user"
            )
        case 13 if not _PASSWORD.match(url) and "authMechanism" not in url:
            return "requires a login; put user and password into the address, or run `postlog init` as an administrator"
        case 13:
            return "does not allow this login what Postlog needs; run `postlog init` as an administrator"
        case _:
            name = (error.details or {}).get("codeName")
            return f"refused: {plain_reason(error)}{f' ({name})' if name else ''}"


_PRIMARIES = ("RSPrimary", "Standalone", "Mongos", "LoadBalancer")
_SHOWN = 3

_Address = tuple[str, int | None]


class SeenServers(ServerListener):
    """A listener of one client, which must be set as `client`. It remembers servers that the driver drops at once:
    those of another replica set than the address asks for, and those that their set knows by another name. The driver
    reports them within a second."""

    def __init__(self) -> None:
        self.client: AsyncMongoClient[Any] | None = None
        self._seen: dict[_Address, ServerDescription] = {}

    @property
    def used(self) -> Mapping[_Address, ServerDescription]:
        """The servers that the driver uses, as it knows them now."""
        return self.client.topology_description.server_descriptions() if self.client is not None else {}

    @property
    def still_connecting(self) -> bool:
        """Whether a server has neither answered yet nor failed."""
        return any(each.server_type_name == "Unknown" and each.error is None for each in self.used.values())

    def opened(self, event: ServerOpeningEvent) -> None:
        """Nothing is known of it yet."""

    def description_changed(self, event: ServerDescriptionChangedEvent) -> None:
        self._seen[event.server_address] = event.new_description

    def closed(self, event: ServerClosedEvent) -> None:
        """It is remembered, since it may explain why there is no primary."""

    def why_no_primary(self, url: str) -> str | None:
        """Ends the sentence "MongoDB at …" without the full stop; None while nothing is known, or when a primary is."""
        set_name = _set_name(url)
        used = self.used
        if any(_takes_writes(each, set_name) for each in used.values()):
            return None
        dropped = [each for address, each in self._seen.items() if address not in used]
        named = url.partition("://")[2].rpartition("@")[2].partition("/")[0].lower().split(",")
        members = {_host(address) for each in [*used.values(), *dropped] for address in each.all_hosts} - set(named)
        faults = [_fault(each, set_name, _host(each.address) in members, url) for each in used.values()]
        faults += [_of_another_set(each, set_name) for each in dropped]
        found = list(dict.fromkeys(fault for fault in faults if fault is not None))
        if not found:
            return None
        shown = [fault.reason for fault in found[:_SHOWN]]
        if more := len(found) - len(shown):
            shown.append(f"and {more} more")
        remedy = max(found, key=lambda each: each.rank).remedy
        return f"has no primary that answers: {'; '.join(shown)}. {remedy}"


class _Fault(NamedTuple):
    """`remedy` says what to do; of several faults the one with the highest `rank` gives it."""

    reason: str
    remedy: str
    rank: int


def _fault(server: ServerDescription, set_name: str | None, only_a_member: bool, url: str) -> _Fault | None:
    where, kind = _host(server.address), server.server_type_name
    if kind == "RSGhost":
        return _Fault(f"{where} is in no replica set yet", "Run `rs.initiate()` there once", 4)
    if server.error is not None:
        return _connection_fault(where, plain_reason(server.error), only_a_member, url)
    if (other := _of_another_set(server, set_name)) is not None:
        return other
    if kind == "Unknown":
        return _Fault(f"{where} has not answered yet", "It is slow, or its network is; Postlog keeps trying", 0)
    words = {"RSSecondary": "a secondary", "RSArbiter": "an arbiter"}.get(kind, "starting or recovering")
    return _Fault(f"{where} is {words}", "A primary is being elected, or too few members run to elect one", 1)


def _of_another_set(server: ServerDescription, set_name: str | None) -> _Fault | None:
    if set_name is None or server.replica_set_name == set_name or not server.is_server_type_known:
        return None
    where, asked = _host(server.address), f"the address says replicaSet={set_name}"
    if server.replica_set_name is None:
        remedy = "Start it with `mongod --replSet NAME` and run `rs.initiate()` once, or correct the address"
        return _Fault(f"{where} is in no replica set, and {asked}", remedy, 4)
    found = f"{where} is in the replica set '{server.replica_set_name}', and {asked}"
    return _Fault(found, "Correct replicaSet in the address", 4)


def _connection_fault(where: str, reason: str, only_a_member: bool, url: str) -> _Fault:
    reason = reason if where in reason else f"{where}: {reason}"
    if only_a_member:
        remedy = (
            f"The replica set names its member {where} (`rs.conf()`): start it, and make its name and port reachable "
            "from here, or change it with `rs.reconfig()`; for a set of one node, directConnection=true in the "
            "address will do"
        )
        return _Fault(reason, remedy, 2)
    remedy, rank = next(
        ((remedy(url), rank) for words, remedy, rank in _REMEDIES if re.search(words, reason, re.IGNORECASE)),
        ("Start it, or check the address", 1),
    )
    return _Fault(reason, remedy, rank)


def _for_closed(url: str) -> str:
    if _asks_for_tls(url):
        return "It may ask for a certificate of the client: tlsCertificateKeyFile=… in the address"
    return "It may accept TLS only: add tls=true to the address, and tlsCAFile=… for an authority of your own"


_REMEDIES: tuple[tuple[str, Callable[[str], str], int], ...] = (
    ("belongs to a set named", lambda _: "Correct replicaSet in the address", 4),
    (
        "hostname mismatch|address mismatch|doesn't match",
        lambda _: "Use a host name in the address that its certificate is for",
        3,
    ),
    ("certificate has expired|not yet valid", lambda _: "Renew its certificate, or set the clock right", 3),
    (
        "CERTIFICATE_VERIFY_FAILED",
        lambda _: "Name the authority that signed its certificate: tlsCAFile=… in the address",
        3,
    ),
    (
        "handshake|wrong version number|record layer|SSL",
        lambda _: "It may not speak TLS: take tls=true out of the address, or switch TLS on in `mongod`",
        3,
    ),
    ("closed|reset by peer|broken pipe", _for_closed, 2),
    (
        r"name or service not known|nodename|getaddrinfo|no address associated|name resolution|Errno -\d",
        lambda _: "Check the host name in the address",
        2,
    ),
    ("timed out|timeout", lambda _: "It hangs or is overloaded, or a firewall is between", 1),
)
"""By the driver's message about a failed connection."""


def plain_reason(error: Exception) -> str:
    """The driver's message, without its settings and the server's whole reply."""
    text = str(error).partition("\n")[0].partition(", full error:")[0].partition(" (configured timeouts:")[0]
    text = re.sub(r"\(_ssl\.c:\d+\)", "", text)
    return text.strip().rstrip(".: ") or type(error).__name__


def _takes_writes(server: ServerDescription, set_name: str | None) -> bool:
    return server.server_type_name in _PRIMARIES and set_name in (None, server.replica_set_name)


def _set_name(url: str) -> str | None:
    found = re.search(r"[?&]replicaSet=([^&]+)", url, re.IGNORECASE)
    return found[1] if found else None


def _asks_for_tls(url: str) -> bool:
    return url.startswith("mongodb+srv") or re.search(r"[?&](tls|ssl)=true", url, re.IGNORECASE) is not None


def _host(address: _Address) -> str:
    host, port = address
    return f"{host}:{port}" if port else host
