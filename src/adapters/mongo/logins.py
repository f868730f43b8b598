"""`postlog init` for the log on MongoDB, with an administrator's address: the service's login, and the role that says
what it may do."""

from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import pymongo
from pymongo import AsyncMongoClient
from pymongo.asynchronous.database import AsyncDatabase
from pymongo.errors import OperationFailure, PyMongoError
from pymongo.uri_parser import parse_uri

from adapters.mongo.errors import URL_SETTING, SeenServers, cannot_open, is_driver_error, unavailable
from application.errors import CannotOpen
from application.ports.provisioning import LoginNotMade, may_do_more, names_too_little

ROLE = "postlogService"
ACTIONS: Mapping[str, frozenset[str]] = {
    "commits": frozenset({"find", "insert", "listIndexes", "changeStream"}),
    "snapshots": frozenset({"find", "insert", "update", "remove"}),
    "receipts": frozenset({"find", "insert", "listIndexes"}),
    "relay": frozenset({"find", "insert", "update", "remove"}),
    "writers": frozenset({"find", "insert", "update", "remove", "listIndexes"}),
    "": frozenset({"listCollections"}),
}
"""All that the service may do, by collection; "" is the database itself. `listIndexes` and `listCollections` serve the
checks that the indexes exist, and that `commits` is still the same collection."""


async def make_role(database: AsyncDatabase[dict[str, Any]], write_concern: Mapping[str, Any]) -> str | None:
    """Create or change the role; one sentence when there was something to do."""
    found = (await database.command("rolesInfo", ROLE, showPrivileges=True))["roles"]
    wanted = {(database.name, collection, actions) for collection, actions in ACTIONS.items()}
    if found and _as_set(found[0]["privileges"]) == wanted and not found[0]["roles"]:
        return None
    privileges = [
        {"resource": {"db": database.name, "collection": collection}, "actions": sorted(actions)}
        for collection, actions in ACTIONS.items()
    ]
    command = "updateRole" if found else "createRole"
    await database.command(command, ROLE, privileges=privileges, roles=[], writeConcern=write_concern)
    return (
        f"{'Changed' if found else 'Created'} the role '{ROLE}' in MongoDB's database '{database.name}': to find and "
        f"insert commits, and to read and write the collections beside them."
    )


def _as_set(privileges: Iterable[Mapping[str, Any]]) -> set[tuple[str, str, frozenset[str]]]:
    return {
        (given["resource"].get("db"), given["resource"].get("collection"), frozenset(given["actions"]))
        for given in privileges
    }


ADMIN_SETTING = "POSTLOG_ADMIN__MONGO_URL"

_SECONDS = 10.0
_MAJORITY = {"w": "majority", "wtimeout": 5_000}
_NOT_ALLOWED = 13

Reply = dict[str, Any]


@dataclass(frozen=True, slots=True)
class _Login:
    """`source` is the database that knows it: the address's `authSource`."""

    name: str
    password: str = field(repr=False)
    source: str


class MongoLogins:
    """The administrator may do what MongoDB's role `userAdminAnyDatabase` may. `database` is the one of the log."""

    def __init__(self, admin_url: str, service_url: str, database: str = "postlog") -> None:
        self._admin_url = admin_url
        self._login = _login(service_url)
        self._database = database

    @property
    def tables_url(self) -> str:
        return self._admin_url

    async def make_database(self) -> list[str]:
        """Only checks: MongoDB makes a database with its first collection. Raises before anything is made in it when
        the service's login may do more, or when the given one is not an administrator's."""
        async with self._connected() as client:
            await self._is_there(client)
        return []

    async def make_login(self) -> list[str]:
        async with self._connected() as client:
            is_there = await self._is_there(client)
            role = await make_role(client[self._database], _MAJORITY)
            return [*filter(None, [role]), await self._make_user(client, is_there)]

    async def _is_there(self, client: AsyncMongoClient[Reply]) -> bool:
        name = self._login.name
        found = (await client[self._login.source].command("usersInfo", name))["users"]
        given = [role for user in found for role in user["roles"]]
        if others := sorted(f"{role['role']} in {role['db']}" for role in given if role != self._role):
            raise may_do_more(URL_SETTING, name, [f"has the roles {', '.join(others)}"])
        return bool(found)

    async def _make_user(self, client: AsyncMongoClient[Reply], is_there: bool) -> str:
        # The password is sent as it is: with SCRAM-SHA-256 the server computes the hash, and does not log the password.
        await client[self._login.source].command(
            "updateUser" if is_there else "createUser",
            self._login.name,
            pwd=self._login.password,
            roles=[self._role],
            mechanisms=["SCRAM-SHA-256"],
            writeConcern=_MAJORITY,
        )
        done = "Set the password of" if is_there else "Created"
        return f"{done} the login '{self._login.name}' in MongoDB, known to the database '{self._login.source}'."

    @property
    def _role(self) -> dict[str, str]:
        return {"role": ROLE, "db": self._database}

    @asynccontextmanager
    async def _connected(self) -> AsyncIterator[AsyncMongoClient[Reply]]:
        servers = SeenServers()
        try:
            client: AsyncMongoClient[Reply] = AsyncMongoClient(
                self._admin_url, appname="postlog init", event_listeners=[servers]
            )
        except (PyMongoError, ValueError, OSError) as error:
            problem = cannot_open(self._admin_url, error, ADMIN_SETTING)
            raise problem if isinstance(problem, CannotOpen) else _no_address(ADMIN_SETTING) from None
        servers.client = client
        try:
            with pymongo.timeout(_SECONDS):
                async with client:
                    yield client
        except OperationFailure as error:
            if error.code != _NOT_ALLOWED:
                raise unavailable(self._admin_url, error, ADMIN_SETTING, servers=servers) from error
            raise LoginNotMade(
                f"The administrator's login ({ADMIN_SETTING}) may not make logins in MongoDB; it needs the role "
                f"userAdminAnyDatabase.",
                path=ADMIN_SETTING,
            ) from error
        except Exception as error:
            if not is_driver_error(error):
                raise
            raise unavailable(self._admin_url, error, ADMIN_SETTING, servers=servers) from error


def _login(service_url: str) -> _Login:
    """Raises `LoginNotMade` when the address lacks a user or a password."""
    try:
        # Without the DNS request that `+srv` stands for: user and password are in the address itself.
        parsed = parse_uri(service_url.replace("mongodb+srv://", "mongodb://", 1))
    except (PyMongoError, ValueError):
        raise _no_address(URL_SETTING) from None
    parts = {"login": parsed["username"], "password": parsed["password"]}
    if missing := [name for name, value in parts.items() if not value]:
        raise names_too_little(URL_SETTING, missing)
    source = parsed["options"].get("authSource") or parsed["database"] or "admin"
    return _Login(parsed["username"], parsed["password"], source)


def _no_address(setting: str) -> LoginNotMade:
    """Without the driver's message, which may quote a part of the password."""
    return LoginNotMade(
        f"{setting} is not a MongoDB address; it has the form mongodb://login:password@host:port/?replicaSet=name, "
        f"with %-escapes for special characters in login and password.",
        path=setting,
    )
