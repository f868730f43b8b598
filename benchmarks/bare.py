"""What S2 to S4 hold Postlog's commands against: a Litestar handler that validates the same body and inserts the same
document, as durably, under the same unique keys, and nothing else. `BARE_URL` and `BARE_DATABASE` say where.
"""

import itertools
import os
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Annotated, Any

import msgspec
from litestar import Litestar, Request, post
from pymongo import AsyncMongoClient
from pymongo.write_concern import WriteConcern


class NewPost(msgspec.Struct, forbid_unknown_fields=True):
    author: Annotated[str, msgspec.Meta(min_length=1, max_length=100)]
    message: Annotated[str, msgspec.Meta(min_length=1, max_length=40_000)]


class Done(msgspec.Struct):
    id: str
    version: int
    position: int


@post("/api/v1/posts")
async def create_post(data: NewPost, request: Request[Any, Any, Any]) -> Done:
    state = request.app.state
    now, position, stream_id = datetime.now(UTC), next(state.positions), str(uuid.uuid4())
    content = {"author": data.author, "message": data.message, "datePosted": now.isoformat(timespec="milliseconds")}
    document = {
        "_id": position,
        "streamId": stream_id,
        "version": 1,
        "commitId": str(uuid.uuid4()),
        "recordedAt": now,
        "metadata": {"actor": data.author, "correlationId": uuid.uuid4().hex},
        "types": ["PostCreated"],
        "events": msgspec.json.encode([{"type": "PostCreated", "schemaVersion": 1, "data": content}]).decode(),
    }
    await state.commits.insert_one(document)
    return Done(stream_id, 1, position)


@asynccontextmanager
async def database(app: Litestar) -> AsyncIterator[None]:
    client: AsyncMongoClient[dict[str, Any]] = AsyncMongoClient(os.environ["BARE_URL"])
    async with client:
        concern = WriteConcern("majority", j=True)
        app.state.commits = client[os.environ["BARE_DATABASE"]].get_collection("commits", write_concern=concern)
        last = await app.state.commits.find_one(sort=[("_id", -1)])
        app.state.positions = itertools.count(last["_id"] + 1 if last else 1)
        yield


app = Litestar([create_post], lifespan=[database])
