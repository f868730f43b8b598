from typing import Any

import pymongo
import pytest
from pymongo.errors import OperationFailure
from pymongo.write_concern import WriteConcern

from local.databases import MongoDatabase
from local.mongod import ReplicaSet

Client = pymongo.MongoClient[dict[str, Any]]


def notes(client: Client, database: str = "servers") -> Any:
    return client[database].get_collection("notes", write_concern=WriteConcern("majority", j=True, wtimeout=20_000))


def test_a_shared_server_takes_majority_writes(fresh_mongo_database: MongoDatabase) -> None:
    with Client(fresh_mongo_database.url) as client:
        notes(client, fresh_mongo_database.name).insert_one({"_id": 1})

        assert list(notes(client, fresh_mongo_database.name).find()) == [{"_id": 1}]


def test_a_database_of_a_test_is_dropped_after_it(mongo_url: str) -> None:
    with Client(mongo_url) as client:
        assert [name for name in client.list_database_names() if name.startswith("test_")] == []


def test_what_was_acknowledged_is_there_after_kill_9(killable_mongod: ReplicaSet) -> None:
    with Client(killable_mongod.url) as client:
        notes(client).insert_one({"_id": "before"})

        killable_mongod.kill(0)
        killable_mongod.restart(0)
        killable_mongod.wait_for_primary()

        assert notes(client).find_one({"_id": "before"}) == {"_id": "before"}


def test_three_nodes_elect_another_primary_when_theirs_is_killed(three_nodes: ReplicaSet) -> None:
    with Client(three_nodes.url) as client:
        notes(client).insert_one({"_id": "killed"})
        old = three_nodes.wait_for_primary()

        three_nodes.kill(old)
        new = three_nodes.wait_for_primary(other_than=old)

        assert new != old
        assert notes(client).find_one({"_id": "killed"}) == {"_id": "killed"}
        notes(client).insert_one({"_id": "after"})


def test_three_nodes_elect_another_primary_when_theirs_is_frozen(three_nodes: ReplicaSet) -> None:
    old = three_nodes.wait_for_primary()

    three_nodes.freeze(old)

    assert three_nodes.wait_for_primary(other_than=old) != old


def test_a_write_that_the_others_do_not_copy_is_lost_with_its_primary(three_nodes: ReplicaSet) -> None:
    """Replication held back is what a failover test needs: a write that is seen locally and then rolled back."""
    old = three_nodes.wait_for_primary()
    others = [node for node in range(3) if node != old]
    with Client(three_nodes.addresses[old], directConnection=True) as client:
        for node in others:
            three_nodes.hold_back(node)
        client["servers"]["notes"].with_options(write_concern=WriteConcern(w=1)).insert_one({"_id": "held back"})
        assert client["servers"]["notes"].find_one({"_id": "held back"}) == {"_id": "held back"}

    three_nodes.kill(old)
    for node in others:
        three_nodes.release(node)
    three_nodes.wait_for_primary(other_than=old)
    three_nodes.restart(old)

    with Client(three_nodes.url) as client:
        assert notes(client).find_one({"_id": "held back"}) is None


def test_where_logins_are_asked_for_nobody_writes_without(mongo_with_logins_url: str) -> None:
    with Client(mongo_with_logins_url) as client:
        notes(client).insert_one({"_id": "by the superuser"})
    _, _, hosts = mongo_with_logins_url.rpartition("@")

    with Client(f"mongodb://{hosts}") as client, pytest.raises(OperationFailure, match="requires authentication"):
        notes(client).insert_one({"_id": "by nobody"})
