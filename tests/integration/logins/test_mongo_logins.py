"""The service's login in MongoDB: it finds and inserts commits, reads and writes what stands beside them, and that is
all.
"""

from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from typing import Any

import pymongo
import pytest
from pymongo.database import Database
from pymongo.errors import OperationFailure

from adapters.mongo import logins
from adapters.mongo.database import MongoDatabase
from adapters.mongo.event_store import MongoEventStore
from adapters.mongo.logins import MongoLogins
from adapters.mongo.provisioning import MongoProvisioning
from adapters.mongo.schema import INDEXES
from application.errors import StoreUnavailable
from application.ports.provisioning import LoginNotMade
from contracts.log_handle import POST_A, proposed
from integration.logins.places import MongoPlace, mongo_place
from local.ports import free_port

Collections = Database[dict[str, Any]]


@pytest.fixture
async def ready(mongo: MongoPlace) -> MongoPlace:
    await mongo.init()
    return mongo


@pytest.fixture(scope="module")
async def shared(mongo_with_logins_url: str) -> AsyncIterator[MongoPlace]:
    """Ready, with one commit, and left as it is."""
    with mongo_place(mongo_with_logins_url) as place:
        await place.init()
        async with MongoDatabase(place.service_url, place.database) as database:
            await MongoEventStore(database).append([proposed(POST_A)])
        yield place


# Making it


async def test_indexes_role_and_login_are_made_with_a_sentence_each(mongo: MongoPlace) -> None:
    validator, *indexes, log, role, login = await mongo.init()
    assert validator == "Made MongoDB's collection 'commits' refuse documents that are not commits."
    assert len(indexes) == len(INDEXES)
    assert log.startswith("Gave the log in MongoDB its id, ")
    assert role == (
        f"Created the role 'postlogService' in MongoDB's database '{mongo.database}': to find and insert commits, and "
        f"to read and write the collections beside them."
    )
    assert login == f"Created the login '{mongo.login}' in MongoDB, known to the database 'admin'."


async def test_a_second_time_nothing_changes_but_the_password_is_set(ready: MongoPlace) -> None:
    assert await ready.init() == [
        f"Set the password of the login '{ready.login}' in MongoDB, known to the database 'admin'."
    ]


async def test_a_new_password_takes_the_place_of_the_old(ready: MongoPlace) -> None:
    await replace(ready, password="another one").init()
    with replace(ready, password="another one").as_service() as client:
        assert client[ready.database].commits.find_one() is None
    with ready.as_service() as client, pytest.raises(OperationFailure, match="Authentication failed"):
        client[ready.database].commits.find_one()


async def test_the_login_is_made_in_the_database_that_the_address_says_knows_it(mongo: MongoPlace) -> None:
    url = f"{mongo.service_url}&authSource={mongo.database}"
    login = (await MongoLogins(mongo.admin_url, url, mongo.database).make_login())[-1]
    assert login == f"Created the login '{mongo.login}' in MongoDB, known to the database '{mongo.database}'."
    with pymongo.MongoClient[dict[str, Any]](url, timeoutMS=10_000) as client:
        assert client[mongo.database].commits.find_one() is None


async def test_a_role_that_allows_something_else_is_brought_back(ready: MongoPlace) -> None:
    anything = {"resource": {"db": ready.database, "collection": "commits"}, "actions": ["remove"]}
    with ready.as_admin() as admin:
        admin[ready.database].command("grantPrivilegesToRole", "postlogService", privileges=[anything])
    role, _password = await ready.init()
    assert role.startswith(f"Changed the role 'postlogService' in MongoDB's database '{ready.database}'")
    with ready.as_service() as client, pytest.raises(OperationFailure, match="not authorized"):
        client[ready.database].commits.delete_one({})


# What it may do, and may not (that the adapters work with it is in test_work_with_least_rights.py)


REFUSED: dict[str, Callable[[Collections], Any]] = {
    "update a commit": lambda log: log.commits.update_one({}, {"$set": {"streamId": "x"}}),
    "replace a commit": lambda log: log.commits.replace_one({}, {}),
    "find and change a commit": lambda log: log.commits.find_one_and_update({}, {"$set": {"version": 9}}),
    "upsert a commit": lambda log: log.commits.update_one({"_id": 9}, {"$set": {"version": 9}}, upsert=True),
    "delete a commit": lambda log: log.commits.delete_one({}),
    "delete all commits": lambda log: log.commits.delete_many({}),
    "find and delete a commit": lambda log: log.commits.find_one_and_delete({}),
    "write over commits by a pipeline": lambda log: log.commits.aggregate([{"$out": "commits"}]),
    "merge into commits by a pipeline": lambda log: log.writers.aggregate([{"$merge": "commits"}]),
    "drop commits": lambda log: log.commits.drop(),
    "rename commits": lambda log: log.commits.rename("gone"),
    "drop an index": lambda log: log.commits.drop_index("commit_id"),
    "make an index": lambda log: log.commits.create_index("mine"),
    "change a collection": lambda log: log.command("collMod", "commits", validationLevel="off"),
    "make a collection": lambda log: log.create_collection("mine"),
    "insert into another collection": lambda log: log.mine.insert_one({}),
    "drop the database": lambda log: log.client.drop_database(log.name),
    "make a login": lambda log: log.command("createUser", "mine", pwd="x", roles=[]),
    "give itself more": lambda log: log.command("grantRolesToUser", "x", roles=["dbOwner"]),
    "read another database": lambda log: log.client["elsewhere"].things.find_one(),
    "write another database": lambda log: log.client["elsewhere"].things.insert_one({}),
    "read the server's oplog": lambda log: log.client.local["oplog.rs"].find_one(),
    "read the logins": lambda log: log.client.admin["system.users"].find_one(),
    "stop the server": lambda log: log.client.admin.command("shutdown"),
    "list databases' contents": lambda log: log.client["elsewhere"].list_collection_names(),
}


@pytest.mark.parametrize("what", REFUSED)
async def test_it_is_refused_to(shared: MongoPlace, what: str) -> None:
    with shared.as_service() as client, pytest.raises(OperationFailure, match="not authorized") as caught:
        REFUSED[what](client[shared.database])
    assert caught.value.code == 13


async def test_with_it_init_finds_that_everything_is_there(shared: MongoPlace) -> None:
    async with MongoDatabase(shared.service_url, shared.database) as database:
        await MongoProvisioning(database).check()
        assert await MongoProvisioning(database).provision() == []


async def test_it_may_watch_commits_and_nothing_else(shared: MongoPlace) -> None:
    with shared.as_service() as client:
        client[shared.database].commits.watch().close()
        for more in (client[shared.database].relay, client[shared.database], client):
            with pytest.raises(OperationFailure, match="not authorized"):
                more.watch()


async def test_a_login_without_the_role_can_do_nothing_in_the_log(shared: MongoPlace) -> None:
    with mongo_place(shared.admin_url) as other:
        await other.init()
        with other.as_service() as client, pytest.raises(OperationFailure, match="not authorized"):
            client[shared.database].commits.find_one()


# Logins and administrators that will not do


async def test_a_login_that_may_do_more_is_refused_and_keeps_its_password(ready: MongoPlace) -> None:
    with ready.as_admin() as admin:
        admin.admin.command("grantRolesToUser", ready.login, roles=[{"role": "dbOwner", "db": ready.database}])
    with pytest.raises(LoginNotMade) as caught:
        await replace(ready, password="another one").init()
    assert caught.value.path == "event_store.mongo.url"
    assert caught.value.message == (
        f"The login '{ready.login}' in event_store.mongo.url has more rights than the service needs: it has the "
        f"roles dbOwner in {ready.database}. Use another login there."
    )
    with ready.as_service() as client:
        assert client[ready.database].commits.find_one() is None


async def test_the_administrator_s_own_login_is_refused(mongo: MongoPlace) -> None:
    with pytest.raises(LoginNotMade, match="it has the roles root in admin"):
        await MongoLogins(mongo.admin_url, mongo.admin_url, mongo.database).make_login()


async def test_a_login_is_no_administrator(ready: MongoPlace) -> None:
    other = replace(ready, login="SMUser2")
    with pytest.raises(LoginNotMade) as caught:
        await MongoLogins(ready.service_url, other.service_url, ready.database).make_login()
    assert caught.value.path == "POSTLOG_ADMIN__MONGO_URL"
    assert caught.value.message == (
        "The administrator's login (POSTLOG_ADMIN__MONGO_URL) may not make logins in MongoDB; it needs the role "
        "userAdminAnyDatabase."
    )


async def test_a_wrong_password_of_the_administrator_is_named_with_the_variable(mongo: MongoPlace) -> None:
    wrong = replace(mongo, login="admin", password="wrong password").service_url
    with pytest.raises(StoreUnavailable) as caught:
        await MongoLogins(wrong, mongo.service_url, mongo.database).make_login()
    assert caught.value.path == "POSTLOG_ADMIN__MONGO_URL"
    assert "(POSTLOG_ADMIN__MONGO_URL), refused the login; check the user and the password" in caught.value.message
    assert "wrong" not in caught.value.message


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.usefixtures("forgotten_sockets")
async def test_a_server_that_is_away_is_named_with_the_variable_and_without_password(
    mongo: MongoPlace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logins, "_SECONDS", 0.5)
    away = f"mongodb://admin:secret@127.0.0.1:{free_port()}/"
    with pytest.raises(StoreUnavailable) as caught:
        await MongoLogins(away, mongo.service_url, mongo.database).make_login()
    assert caught.value.path == "POSTLOG_ADMIN__MONGO_URL"
    assert "has no primary that answers" in caught.value.message
    assert "secret" not in caught.value.message


# Secrets


async def test_the_server_s_log_does_not_show_the_password(mongo: MongoPlace) -> None:
    place = replace(mongo, password="a-very-secret-password")
    with place.as_admin() as admin:
        before = admin.admin.command("getParameter", 1, logComponentVerbosity=1)["logComponentVerbosity"]
        admin.admin.command("setParameter", 1, logComponentVerbosity={"verbosity": 0, "command": {"verbosity": 5}})
        try:
            said = [*await place.init(), *await place.init()]
        finally:
            admin.admin.command("setParameter", 1, logComponentVerbosity=before)
        log = admin.admin.command("getLog", "global")["log"]
    assert any("createUser" in line for line in log)
    assert not any("a-very-secret-password" in line for line in [*log, *said])
