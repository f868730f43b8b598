"""The small story that an empty log is filled with: a street that plans a repair day. It shows every kind of event."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Writes:
    author: str
    text: str


@dataclass(frozen=True, slots=True)
class Edits:
    text: str


@dataclass(frozen=True, slots=True)
class Likes:
    names: tuple[str | None, ...]


@dataclass(frozen=True, slots=True)
class Unlikes:
    name: str


@dataclass(frozen=True, slots=True)
class Says:
    comment: str
    name: str
    text: str


@dataclass(frozen=True, slots=True)
class Corrects:
    comment: str
    name: str
    text: str


@dataclass(frozen=True, slots=True)
class TakesBack:
    comment: str
    name: str


@dataclass(frozen=True, slots=True)
class Removes:
    """The author removes the post."""


Step = Writes | Edits | Likes | Unlikes | Says | Corrects | TakesBack | Removes

REPAIR_DAY: dict[str, tuple[Step, ...]] = {
    "toaster": (
        Writes("Tomás", "My toaster glows on one side only. Does anybody still repair such things?"),
        Says("1", "Mira", "Bring it over. It will be a loose wire, it always is."),
        Likes(("Mira", "Olu", None)),
        Edits(
            "My toaster glows on one side only. Does anybody still repair such things?\n\n"
            "Update: Mira did, in ten minutes. It was a loose wire."
        ),
        Likes(("Ελένη",)),
    ),
    "idea": (
        Writes("Mira", "What if we repaired things together, one Saturday a month, in the old tram depot?"),
        Likes(("Tomás", "Olu", "Zoë", None, None)),
        Says("1", "Olu", "I have forty chairs and nobody to sit on them."),
        Says("2", "Zoë", "I can sew. Trousers, curtains, tents, no zips."),
        Corrects("2", "Zoë", "I can sew. Trousers, curtains, tents. All right, zips too."),
        Likes(("Ben",)),
    ),
    "date": (
        Writes("Mira", "First repair day: Saturday the 14th, ten o'clock, tram depot."),
        Says("1", "Ben", "The depot is locked on the 14th, there is a wedding."),
        Edits("First repair day: Saturday the 21st, ten o'clock, tram depot. (Not the 14th: there is a wedding.)"),
        Says("2", "Ben", "Better. I bring the soldering iron."),
        Likes(("Ben", "Tomás", "Ελένη", "Olu")),
    ),
    "cake": (
        Writes("Olu", "Who bakes? Last time I counted on cake I got three jars of pickles."),
        Says("1", "Tomás", "Pickles are the cake of the savoury world."),
        TakesBack("1", "Tomás"),
        Says("2", "Tomás", "Lemon cake. Two of them."),
        Likes(("Mira", "Zoë")),
        Unlikes("Zoë"),
        Says("3", "Zoë", "I took my like back: lemon is fine, poppy seed would be finer."),
    ),
    "lamp": (
        Writes("Zoë", "SELLING: one lamp, green, hardly broken."),
        Likes((None,)),
        Says("1", "Mira", "Hardly broken is what the repair day is for!"),
        Removes(),
    ),
    "clock": (
        Writes(
            "Ελένη",
            "Το ρολόι του παππού δουλεύει! My grandfather's clock runs again, after eleven years.\n\n"
            "Ben found the fault. He says that the clock had been right twice a day all along, and that he only "
            "improved the average.",
        ),
        Likes(("Ben", "Mira", "Tomás", "Olu", "Zoë", None, None, None)),
        Says("1", "Ben", "It was a pleasure. It also was a dead spider."),
        Says("2", "Olu", "Rest in peace, spider."),
    ),
    "tally": (
        Writes("Mira", "21 things brought, 17 repaired, 3 given up, 1 turned out to be on the wrong voltage."),
        Likes(("Olu", "Ben", "Zoë", None)),
        Says("1", "Tomás", "And two lemon cakes, of which nothing is left to repair."),
        Edits(
            "21 things brought, 18 repaired, 2 given up, 1 turned out to be on the wrong voltage.\n\n"
            "(The radio came back to life on the way home.)"
        ),
        Says("2", "Ελένη", "Next month again?"),
        Says("3", "Mira", "Next month again."),
    ),
}
