"""Is the server what Postlog needs: a replica set, of one node or more?"""

from adapters.mongo.database import Document, MongoDatabase
from adapters.mongo.errors import URL_SETTING, masked
from application.errors import StoreUnavailable


async def require_replica_set(database: MongoDatabase) -> Document:
    """The server's greeting. Raises `StoreUnavailable` for another kind of server, and what the driver raises."""
    hello = await database.uncancelled(database.client.admin.command("hello"))
    if "setName" in hello:
        return hello
    if hello.get("msg") == "isdbgrid":
        kind = "the router of a sharded cluster; a log's unique keys can't be sharded, so give the address of a set"
    else:
        kind = "a server of its own; start it with `mongod --replSet rs0` and run `rs.initiate()` once"
    raise StoreUnavailable(
        f"The event store, MongoDB at {masked(database.url)} ({URL_SETTING}), must be a replica set but is {kind}.",
        path=URL_SETTING,
    )
