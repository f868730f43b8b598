"""Old events are read in their current shape: the kinds of steps, the chain, and the versions of its results."""

from collections.abc import Callable, Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.event_types import BY_NAME_AND_VERSION
from domain.upcasters import CHAIN
from domain.upcasting import (
    Part,
    PlainEvent,
    Step,
    UpcasterChain,
    add_field,
    drop_event,
    merge_events,
    remove_field,
    rename_event,
    rename_field,
    retype_field,
    split_event,
)

Shown = tuple[str, int, dict[str, Any], int]


def stored(type_: str, schema_version: int, data: dict[str, Any], version: int = 1) -> PlainEvent:
    return PlainEvent(
        type=type_,
        schema_version=schema_version,
        data=data,
        version=version,
        stored_type=type_,
        stored_schema_version=schema_version,
    )


def upcast(steps: Sequence[Step], *events: PlainEvent) -> list[Shown]:
    """Type, schema version, data and version of the results."""
    upcasted = UpcasterChain(steps).upcast(events)
    return [(event.type, event.schema_version, dict(event.data), event.version) for event in upcasted]


# Fields


@pytest.mark.parametrize(
    ("kind", "arguments", "before", "after"),
    [
        (add_field, ("b", None), {"a": 1}, {"a": 1, "b": None}),
        (add_field, ("b", 2), {"a": 1}, {"a": 1, "b": 2}),
        (rename_field, ("a", "b"), {"a": 1, "c": 2}, {"b": 1, "c": 2}),
        (rename_field, ("absent", "b"), {"a": 1}, {"a": 1}),
        (remove_field, ("a",), {"a": 1, "c": 2}, {"c": 2}),
        (remove_field, ("absent",), {"a": 1}, {"a": 1}),
        (retype_field, ("a", str), {"a": 1, "c": 2}, {"a": "1", "c": 2}),
    ],
)
def test_a_step_on_a_field_makes_the_next_schema_version(
    kind: Callable[..., Step], arguments: tuple[Any, ...], before: dict[str, Any], after: dict[str, Any]
) -> None:
    step = kind("E", 1, *arguments)
    assert upcast([step], stored("E", 1, before, version=7)) == [("E", 2, after, 7)]
    assert (step.consumes, step.produces) == ((("E", 1),), (("E", 2),))


def test_fields_keep_their_order_when_one_is_renamed() -> None:
    [event] = UpcasterChain([rename_field("E", 1, "b", "z")]).upcast([stored("E", 1, {"a": 1, "b": 2, "c": 3})])
    assert list(event.data) == ["a", "z", "c"]


def test_the_stored_data_is_never_changed() -> None:
    data = {"a": 1}
    upcast([add_field("E", 1, "b", 2), rename_field("E", 2, "a", "c")], stored("E", 1, data))
    assert data == {"a": 1}


# Whole events


def test_an_event_is_renamed() -> None:
    step = rename_event(("Old", 3), ("New", 1))
    assert upcast([step], stored("Old", 3, {"a": 1}, version=4)) == [("New", 1, {"a": 1}, 4)]


def test_all_parts_of_a_split_have_its_version() -> None:
    step = split_event(
        ("Whole", 1),
        Part(("First", 1), lambda data: {"a": data["a"]}),
        Part(("Second", 1), lambda data: {"b": data["b"]}),
    )
    assert upcast([step], stored("Other", 1, {}, 1), stored("Whole", 1, {"a": 1, "b": 2}, 2)) == [
        ("Other", 1, {}, 1),
        ("First", 1, {"a": 1}, 2),
        ("Second", 1, {"b": 2}, 2),
    ]


def test_a_merged_event_has_the_last_version() -> None:
    step = merge_events(("First", 1), ("Second", 1), ("Whole", 1), lambda first, second: {**first, **second})
    assert upcast([step], stored("First", 1, {"a": 1}, 4), stored("Second", 1, {"b": 2}, 5)) == [
        ("Whole", 1, {"a": 1, "b": 2}, 5)
    ]
    assert (step.consumes, step.produces) == ((("First", 1), ("Second", 1)), (("Whole", 1),))


def test_only_adjacent_events_are_merged() -> None:
    step = merge_events(("First", 1), ("Second", 1), ("Whole", 1), lambda first, second: {})
    events = [stored(name, 1, {}, version) for version, name in enumerate(["Second", "First", "Other", "Second"], 1)]
    assert upcast([step], *events) == [
        ("Second", 1, {}, 1),
        ("First", 1, {}, 2),
        ("Other", 1, {}, 3),
        ("Second", 1, {}, 4),
    ]


def test_each_adjacent_pair_is_merged() -> None:
    step = merge_events(("First", 1), ("Second", 1), ("Whole", 1), lambda first, second: {})
    events = [
        stored(name, 1, {}, version) for version, name in enumerate(["First", "First", "Second", "First", "Second"], 1)
    ]
    assert upcast([step], *events) == [("First", 1, {}, 1), ("Whole", 1, {}, 3), ("Whole", 1, {}, 5)]


def test_a_dropped_event_leaves_the_others_with_their_versions() -> None:
    events = [stored("Gone", 1, {}, 1), stored("Kept", 1, {}, 2), stored("Gone", 1, {}, 3)]
    assert upcast([drop_event(("Gone", 1))], *events) == [("Kept", 1, {}, 2)]


def test_everything_may_be_dropped() -> None:
    assert upcast([drop_event(("Gone", 1))], stored("Gone", 1, {}, 1), stored("Gone", 1, {}, 2)) == []


# The chain


def test_steps_follow_each_other_from_the_oldest_shape() -> None:
    steps = [
        rename_event(("Liked", 1), ("PostLiked", 1)),
        add_field("PostLiked", 1, "user", None),
        rename_field("PostLiked", 2, "user", "username"),
    ]
    assert upcast(steps, stored("Liked", 1, {}, 1), stored("PostLiked", 2, {"user": "ann"}, 2)) == [
        ("PostLiked", 3, {"username": None}, 1),
        ("PostLiked", 3, {"username": "ann"}, 2),
    ]


def test_a_later_step_sees_the_parts_of_a_split_and_merges_them() -> None:
    steps = [
        split_event(("Whole", 1), Part(("A", 1), lambda data: {}), Part(("B", 1), lambda data: {})),
        merge_events(("B", 1), ("C", 1), ("D", 1), lambda first, second: {}),
    ]
    assert upcast(steps, stored("Whole", 1, {}, 1), stored("C", 1, {}, 2)) == [("A", 1, {}, 1), ("D", 1, {}, 2)]


def test_the_stored_type_stays_known() -> None:
    steps = [rename_event(("Old", 1), ("New", 1)), add_field("New", 1, "a", 0)]
    [event] = UpcasterChain(steps).upcast([stored("Old", 1, {})])
    assert (event.stored_type, event.stored_schema_version) == ("Old", 1)


def test_events_that_no_step_consumes_are_returned_unchanged() -> None:
    events = [stored("Unknown", 1, {"a": 1}, 1), stored("E", 9, {}, 2)]
    assert list(UpcasterChain([add_field("E", 1, "b", 0)]).upcast(events)) == events


def test_other_schema_versions_are_not_changed() -> None:
    assert upcast([add_field("E", 1, "b", 0)], stored("E", 2, {"a": 1})) == [("E", 2, {"a": 1}, 1)]


def test_the_chain_knows_which_events_need_it() -> None:
    steps = [add_field("E", 1, "b", 0), merge_events(("A", 1), ("B", 1), ("C", 1), lambda first, second: {})]
    chain = UpcasterChain(steps)
    assert chain.steps == tuple(steps)
    keys = [("E", 1), ("E", 2), ("A", 1), ("B", 1), ("C", 1)]
    assert [chain.is_old(key) for key in keys] == [True, False, True, True, False]


# Properties


NAMES = ["A", "B", "C"]
keys = st.tuples(st.sampled_from(NAMES), st.integers(1, 3))
events_of_a_commit = st.lists(keys, max_size=12).map(
    lambda drawn: [stored(name, schema, {"n": version}, version) for version, (name, schema) in enumerate(drawn, 5)]
)
any_steps = st.lists(
    st.one_of(
        st.builds(add_field, st.sampled_from(NAMES), st.integers(1, 3), st.just("x"), st.none()),
        st.builds(rename_event, keys, keys),
        st.builds(drop_event, keys),
        st.builds(lambda whole, a, b: split_event(whole, Part(a, dict), Part(b, dict)), keys, keys, keys),
        st.builds(
            lambda a, b, into: merge_events(a, b, into, lambda first, second: {**first, **second}), keys, keys, keys
        ),
    ),
    max_size=6,
)


@given(events_of_a_commit, any_steps)
def test_versions_never_decrease_and_are_those_of_stored_events(events: list[PlainEvent], steps: list[Step]) -> None:
    versions = [event.version for event in UpcasterChain(steps).upcast(events)]
    assert versions == sorted(versions)
    assert set(versions) <= {event.version for event in events}


@given(events_of_a_commit, any_steps)
def test_events_that_no_step_consumes_stay_unchanged_and_in_order(events: list[PlainEvent], steps: list[Step]) -> None:
    chain = UpcasterChain(steps)
    untouched = [event for event in events if not chain.is_old(event.key)]
    came_out = list(chain.upcast(events))
    assert [event for event in came_out if event in untouched] == untouched


@given(events_of_a_commit, any_steps)
def test_upcasting_is_deterministic_and_does_not_change_its_input(events: list[PlainEvent], steps: list[Step]) -> None:
    before = [stored(event.type, event.schema_version, dict(event.data), event.version) for event in events]
    chain = UpcasterChain(steps)
    assert list(chain.upcast(events)) == list(chain.upcast(events))
    assert events == before


# This domain's chain


def test_every_step_of_this_domain_leads_towards_a_current_shape() -> None:
    """What a step produces is current, or a later step consumes it."""
    for index, step in enumerate(CHAIN.steps):
        later = {key for following in CHAIN.steps[index + 1 :] for key in following.consumes}
        for key in step.produces:
            assert key in BY_NAME_AND_VERSION or key in later, f"{key} is a dead end"


def test_every_older_schema_version_has_a_step() -> None:
    consumed = {key for step in CHAIN.steps for key in step.consumes}
    older = {(name, version) for name, current in BY_NAME_AND_VERSION for version in range(1, current)}
    assert older <= consumed
    assert {("MessageUpdated", 1), ("PostLiked", 1), ("CommentRemoved", 1), ("PostRemoved", 1)} <= consumed


@given(
    st.lists(
        st.sampled_from(
            [
                ("MessageUpdated", 1, {"message": "Hi"}),
                ("PostLiked", 1, {}),
                ("CommentRemoved", 1, {"commentId": "c"}),
                ("PostRemoved", 1, {}),
                ("PostLiked", 2, {"username": "ann"}),
            ]
        ),
        max_size=8,
    )
)
def test_any_mixture_of_old_shapes_is_converted_one_for_one(drawn: list[tuple[str, int, dict[str, Any]]]) -> None:
    events = [stored(name, schema, data, version) for version, (name, schema, data) in enumerate(drawn, 1)]
    upcasted = CHAIN.upcast(events)
    assert [(event.type, event.version) for event in upcasted] == [(event.type, event.version) for event in events]
    assert all(event.key in BY_NAME_AND_VERSION for event in upcasted)
