"""The upcasters from every stored shape of an event to the current one.

Version 1 of the events that have a version 2 is the shape of the .NET course's event store, which recorded no user:
their `username` is read as null, "not recorded".
"""

from domain.upcasting import Part, Step, UpcasterChain, add_field, split_event

STEPS: tuple[Step, ...] = (
    split_event(
        ("MessageUpdated", 1),
        Part(("MessageUpdated", 2), lambda data: {**data, "username": None, "editedAt": None}),
    ),
    add_field("PostLiked", 1, "username", None),
    add_field("CommentRemoved", 1, "username", None),
    add_field("PostRemoved", 1, "username", None),
)

CHAIN = UpcasterChain(STEPS)
