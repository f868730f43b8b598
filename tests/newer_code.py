"""`postlog` as a later version of it might be: it can also read the events that today's version does not know."""

from adapters.wire.event_codec import MsgspecEventCodec
from domain.event_types import CURRENT
from domain.upcasters import STEPS
from domain.upcasting import UpcasterChain, remove_field, rename_event
from entrypoints.cli.main import main

LATER = UpcasterChain(
    (
        rename_event(("PostLiked", 3), ("PostLikedWithMood", 1)),
        remove_field("PostLikedWithMood", 1, "mood"),
        rename_event(("PostLikedWithMood", 2), ("PostLiked", 2)),
        *STEPS,
    )
)

if __name__ == "__main__":
    MsgspecEventCodec.__init__.__defaults__ = (LATER, CURRENT)
    main()
