"""What the service may do in MongoDB: a role in the log's database."""

from collections.abc import Iterable, Mapping
from typing import Any

from pymongo.asynchronous.database import AsyncDatabase

ROLE = "postlogService"
ACTIONS: Mapping[str, frozenset[str]] = {
    "commits": frozenset({"find", "insert", "listIndexes", "changeStream"}),
    "snapshots": frozenset({"find", "insert", "update", "remove"}),
    "receipts": frozenset({"find", "insert", "listIndexes"}),
    "relay": frozenset({"find", "insert", "update", "remove"}),
    "writers": frozenset({"find", "insert", "update", "remove", "listIndexes"}),
    "": frozenset({"listCollections"}),
}
"""By collection, and that is all; "" stands for the database itself. `listIndexes` and `listCollections` are for the
checks that the indexes are there, and that `commits` is the collection that it was."""


async def make_role(database: AsyncDatabase[dict[str, Any]], write_concern: Mapping[str, Any]) -> str | None:
    """One sentence when it was not there, or allowed something else."""
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
        f"{'Changed' if found else 'Made'} the role '{ROLE}' in MongoDB's database '{database.name}': to find and "
        f"insert commits, and to read and write what stands beside them."
    )


def _as_set(privileges: Iterable[Mapping[str, Any]]) -> set[tuple[str, str, frozenset[str]]]:
    return {
        (given["resource"].get("db"), given["resource"].get("collection"), frozenset(given["actions"]))
        for given in privileges
    }
