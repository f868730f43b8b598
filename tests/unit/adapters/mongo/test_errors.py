"""Errors of MongoDB: the driver's reason, what to do, and no secret."""

from collections.abc import Mapping

import pytest
from bson import ObjectId
from pymongo.errors import AutoReconnect, NetworkTimeout, OperationFailure, ServerSelectionTimeoutError
from pymongo.hello import Hello
from pymongo.monitoring import ServerDescriptionChangedEvent
from pymongo.server_description import ServerDescription

from adapters.mongo.errors import SeenServers, cannot_open, is_driver_error, unavailable
from application.errors import CannotOpen

URL = "mongodb://ann:p%40ss%20word@db:27017/?replicaSet=rs0&tls=true&tlsCertificateKeyFilePassword=a%20lock"
SECRETS = ("p%40ss%20word", "p@ss word", "a%20lock", "a lock")
NOT_KNOWN = AutoReconnect("db-2:27017: [Errno -2] Name or service not known (configured timeouts: socketTimeoutMS: 1)")
NO_ROUTE = AutoReconnect("db:27017: timed out (configured timeouts: connectTimeoutMS: 20000.0ms)")


class Found(SeenServers):
    """As if the client had found these servers and then dropped those in `drops`."""

    def __init__(self, *found: ServerDescription, drops: tuple[str, ...] = ()) -> None:
        super().__init__()
        self._asked = {each.address: each for each in found if each.address[0] not in drops}
        for each in found:
            before = ServerDescription(each.address)
            self.description_changed(ServerDescriptionChangedEvent(before, each, each.address, ObjectId()))

    @property
    def used(self) -> Mapping[tuple[str, int | None], ServerDescription]:
        return self._asked


def replied(host: str, **hello: object) -> ServerDescription:
    return ServerDescription((host, 27017), Hello({"ok": 1, "maxWireVersion": 17, **hello}))


def failed(host: str, error: Exception) -> ServerDescription:
    return ServerDescription((host, 27017), error=error)


def message(servers: SeenServers | None, error: Exception | None = None) -> str:
    timeout = error or ServerSelectionTimeoutError("No servers found yet, Timeout: 2s, Topology Description: <…>")
    message = unavailable(URL, timeout, servers=servers).message
    assert not any(secret in message for secret in SECRETS)
    begin = "The event store, MongoDB at mongodb://ann:***@db:27017/ (event_store.mongo.url), "
    assert message.startswith(begin)
    return message.removeprefix(begin)


def test_a_member_with_an_unknown_host_name() -> None:
    """The driver found the set by the address, and then knows its servers by the set's own names only."""
    primary = replied("db", setName="rs0", isWritablePrimary=True, hosts=["db-2:27017"], me="db-2:27017")
    assert message(Found(primary, failed("db-2", NOT_KNOWN), drops=("db",))) == (
        "has no primary that answers: db-2:27017: [Errno -2] Name or service not known. The replica set names its "
        "member db-2:27017 (`rs.conf()`): start it, and make its name and port reachable from here, or change it with "
        "`rs.reconfig()`; for a set of one node, directConnection=true in the address will do."
    )


def test_members_without_a_primary() -> None:
    secondary = replied("db", setName="rs0", secondary=True, hosts=["db:27017", "db-2:27017"])
    starting = replied("db-3", setName="rs0", hosts=["db:27017"])
    assert message(Found(secondary, starting)) == (
        "has no primary that answers: db:27017 is a secondary; db-3:27017 is starting or recovering. A primary is "
        "being elected, or too few members run to elect one."
    )


def test_of_many_servers_the_first_three_are_named() -> None:
    seen = [failed(host, NO_ROUTE) for host in ("a", "b", "c", "d", "e")]
    assert "; and 2 more. It hangs or is overloaded" in message(Found(*seen))


def test_a_server_that_has_neither_answered_nor_failed_is_slow() -> None:
    seen = Found(ServerDescription(("db", 27017)))
    assert seen.still_connecting
    assert message(seen).startswith("has no primary that answers: db:27017 has not answered yet. It is slow")


def test_a_primary_that_takes_too_long_is_reported_as_slow() -> None:
    primary = replied("db", setName="rs0", isWritablePrimary=True, hosts=["db:27017"])
    seen = Found(primary)
    assert not seen.still_connecting
    assert message(seen, TimeoutError()) == ("did not answer in time; it hangs, or it or its network is overloaded.")
    assert message(seen, NetworkTimeout("timed out")) == message(seen, TimeoutError())


def test_our_own_time_limit_hides_no_reason() -> None:
    assert "timed out" in message(Found(failed("db", NO_ROUTE)), TimeoutError())


@pytest.mark.parametrize(
    ("reason", "remedy"),
    [
        ("certificate verify failed: certificate has expired (_ssl.c:1006)", "Renew its certificate, or set the clock"),
        ("SSL handshake failed: [SSL: WRONG_VERSION_NUMBER] wrong version number", "It may not speak TLS"),
        ("[Errno 104] Connection reset by peer", "It may ask for a certificate of the client"),
        ("[Errno -3] Temporary failure in name resolution", "Check the host name in the address"),
    ],
)
def test_a_remedy_for_the_driver_s_message_about_a_connection(reason: str, remedy: str) -> None:
    assert f". {remedy}" in message(Found(failed("db", AutoReconnect(f"db:27017: {reason}"))))


def test_a_reply_that_quotes_a_secret_is_shown_without_it() -> None:
    quoting = OperationFailure("no user p@ss word; p%40ss%20word; a lock", 11, {"codeName": "UserNotFound"})
    assert message(None, quoting) == "refused: no user ***; ***; *** (UserNotFound)."


def test_an_unusable_file_is_not_reported_as_a_wrong_address() -> None:
    error = cannot_open(URL, FileNotFoundError(2, "No such file or directory", "/tls/a lock"))
    assert isinstance(error, CannotOpen)
    assert error.message.endswith(": [Errno 2] No such file or directory: '/tls/***'.")


def test_an_error_of_our_own_code_is_not_the_driver_s() -> None:
    with pytest.raises(KeyError) as caught:
        {}["x"]
    assert not is_driver_error(caught.value)
    with pytest.raises(AttributeError) as of_the_driver:
        Hello(None)  # type: ignore[arg-type]
    assert is_driver_error(of_the_driver.value)
