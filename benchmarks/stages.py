"""`python -m benchmarks.stages`: processor time per event, stage by stage, of what a rebuild, a check and an append do
in this process, on the log of `workload.py` in memory. Servers, their drivers' sockets and the writing of rows are not
in it. Each figure is the best of some runs, since everything that disturbs one makes it slower.
"""

import gc
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import TypeVar

import bson
import msgspec

from adapters.sqlite import commit_log as sqlite
from adapters.sqlite.event_store import row_of
from adapters.wire.commit_bson import (
    CODEC_OPTIONS,
    FIELDS_OF_EVENTS,
    at_position,
    commit_events_of,
    documents_in,
    encode_without_position,
    visit_documents,
)
from adapters.wire.commit_json import events_to_json, metadata_to_json
from adapters.wire.event_codec import MsgspecEventCodec
from adapters.wire.times import time_to_text
from application.envelopes import Commit
from application.maintenance.events_check import StreamReader, TallyingVisitor
from application.ports.read_db import Rows
from application.projections.batch import all_given, decode_all, fold_batch, row_keys_of
from benchmarks.workload import commits

EVENTS, RUNS = 20_000, 7

T = TypeVar("T")


def main() -> None:
    log = list(commits(EVENTS))
    gc.freeze()
    gc.disable()
    codec = MsgspecEventCodec()
    documents = b"".join([at_position(encode_without_position(commit), at).raw for at, commit in enumerate(log, 1)])
    whole = bson.decode_all(documents, CODEC_OPTIONS)
    projected = b"".join([bson.encode({name: each[name] for name in ("_id", *FIELDS_OF_EVENTS)}) for each in whole])
    rows = [
        (at, each.stream_id, each.version, each.commit_id, events_to_json(each.events))
        for at, each in enumerate(log, 1)
    ]
    whole_rows = [
        (*row[:4], time_to_text(each.recorded_at), metadata_to_json(each.metadata), row[4])
        for row, each in zip(rows, log, strict=True)
    ]

    print("Rebuild, per event in µs of processor time")
    found = measured(
        "BSON to dictionaries, without metadata and time", lambda: bson.decode_all(projected, CODEC_OPTIONS)
    )
    read = measured("dictionaries to commits", lambda: commit_events_of(found))
    measured("rows of SQLite to commits", lambda: sqlite.commit_events_of(rows))
    decoded = measured("commits to typed events", lambda: decode_all(read, codec))
    measured("keys of the rows", lambda: row_keys_of(decoded))
    nothing, now = Rows({}, {}, {}), datetime.now(UTC)
    measured("fold", lambda: fold_batch(decoded, nothing, now, lacks=all_given))

    print("Check")
    encoded = list(documents_in(documents))
    measured("BSON verified and counted", lambda: visit_documents(encoded, 0, TallyingVisitor(codec, StreamReader())))
    measured(
        "rows of SQLite verified and counted",
        lambda: sqlite.visit_rows(whole_rows, 0, TallyingVisitor(codec, StreamReader())),
    )
    texts = [row[-1] for row in rows]
    measured("of it the events", lambda: [codec.readable_types(text) for text in texts])

    print("Append")
    events = [codec.decode(Commit(0, *commit)) for commit in log]
    measured("typed events to text", lambda: [codec.encode(each) for each in events])
    measured("commit to BSON", lambda: [encode_without_position(commit) for commit in log])
    measured("commit to a row of SQLite", lambda: [row_of(commit) for commit in log])

    print("To compare with")
    plain = measured("BSON to dictionaries, all fields", lambda: bson.decode_all(documents))
    measured("the text in them to plain data", lambda: [msgspec.json.decode(each["events"]) for each in plain])


def measured(what: str, stage: Callable[[], T]) -> T:
    best = float("inf")
    for _ in range(RUNS):
        started = time.process_time()
        result = stage()
        best = min(best, time.process_time() - started)
    print(f"  {what:<50} {best / EVENTS * 1e6:5.2f}")
    return result


if __name__ == "__main__":
    main()
