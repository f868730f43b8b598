"""A persistent map is a dict whose older states never change."""

from collections.abc import Hashable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from domain.persistent_map import PersistentMap


class Colliding:
    """Different keys with few hashes, so that leaves can't be split."""

    def __init__(self, name: int, hash_: int) -> None:
        self.name = name
        self._hash = hash_

    def __hash__(self) -> int:
        return self._hash

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Colliding) and self.name == other.name

    def __repr__(self) -> str:
        return f"Colliding({self.name}, {self._hash:#x})"


HASHES = [0, 1, -1, -2, 1 << 5, 1 << 55, 1 << 60, (1 << 60) - 1, -(1 << 60)]
COLLIDING = [Colliding(number, HASHES[number % len(HASHES)]) for number in range(300)]

keys: st.SearchStrategy[Hashable] = st.one_of(st.text(max_size=3), st.integers(), st.none(), st.sampled_from(COLLIDING))
values = st.integers(0, 3)


def map_of(content: dict[Any, Any]) -> PersistentMap[Any, Any]:
    result: PersistentMap[Any, Any] = PersistentMap()
    for key, value in content.items():
        result = result.put(key, value)
    return result


def assert_equal(actual: PersistentMap[Any, Any], expected: dict[Any, Any]) -> None:
    assert dict(actual.items()) == expected
    assert len(list(actual)) == len(actual) == len(expected)
    assert all(key in actual and actual.get(key) == value for key, value in expected.items())


class MapAgainstDict(RuleBasedStateMachine):
    """Puts and removals on a map and on a dict, starting from any older state."""

    def __init__(self) -> None:
        super().__init__()
        self.states: list[tuple[PersistentMap[Any, Any], dict[Any, Any]]] = [(PersistentMap(), {})]

    @rule(key=keys, value=values, data=st.data())
    def put(self, key: Hashable, value: int, data: st.DataObject) -> None:
        actual, expected = data.draw(st.sampled_from(self.states))
        self.states.append((actual.put(key, value), {**expected, key: value}))

    @rule(count=st.integers(1, 60), value=values, data=st.data())
    def put_many_with_the_same_hashes(self, count: int, value: int, data: st.DataObject) -> None:
        actual, expected = data.draw(st.sampled_from(self.states))
        content = dict.fromkeys(COLLIDING[:count], value)
        for key in content:
            actual = actual.put(key, value)
        self.states.append((actual, {**expected, **content}))

    @rule(key=keys, data=st.data())
    def remove_any(self, key: Hashable, data: st.DataObject) -> None:
        self._remove(key, *data.draw(st.sampled_from(self.states)))

    @rule(data=st.data())
    def remove_one_that_is_there(self, data: st.DataObject) -> None:
        actual, expected = data.draw(st.sampled_from(self.states))
        if expected:
            self._remove(data.draw(st.sampled_from(list(expected))), actual, expected)

    def _remove(self, key: Hashable, actual: PersistentMap[Any, Any], expected: dict[Any, Any]) -> None:
        self.states.append((actual.remove(key), {k: v for k, v in expected.items() if k != key}))

    @invariant()
    def the_map_holds_what_the_dict_holds(self) -> None:
        """The newest state is compared at once, all states again at the end."""
        assert_equal(*self.states[-1])

    def teardown(self) -> None:
        for actual, expected in self.states:
            assert_equal(actual, expected)


TestMapAgainstDict = MapAgainstDict.TestCase
TestMapAgainstDict.settings = settings(max_examples=50, stateful_step_count=25, deadline=None)


@given(st.dictionaries(keys, values, max_size=400))
def test_a_map_built_at_once_equals_one_built_by_puts(content: dict[Hashable, int]) -> None:
    made = PersistentMap.of(content)
    assert_equal(made, content)
    assert made._root == map_of(content)._root


def test_a_map_built_at_once_of_many_keys_with_few_hashes_equals_one_built_by_puts() -> None:
    content = dict.fromkeys(COLLIDING, 1)
    assert_equal(PersistentMap.of(content), content)


def test_a_new_map_is_empty() -> None:
    empty: PersistentMap[str, int] = PersistentMap()
    assert len(empty) == 0
    assert "a" not in empty
    assert empty.get("a") is None
    assert list(empty) == []
    assert repr(empty) == "PersistentMap({})"


def test_putting_replaces_and_does_not_change_the_older_map() -> None:
    first = map_of({"a": 1})
    second = first.put("a", 2).put("b", 3)
    assert dict(first.items()) == {"a": 1}
    assert dict(second.items()) == {"a": 2, "b": 3}
    assert len(second) == 2


def test_a_removal_leaves_every_other_key_of_a_large_map() -> None:
    content = dict.fromkeys(range(1_000), True)
    full = map_of(content)
    for key in range(0, 1_000, 37):
        assert_equal(full.remove(key), {other: True for other in content if other != key})


def test_removing_a_missing_key_returns_the_same_map() -> None:
    content = map_of({"a": 1})
    assert content.remove("b") is content


def test_a_hundred_thousand_keys_are_added_and_removed() -> None:
    names = [f"name {number}" for number in range(100_000)]
    full = map_of(dict.fromkeys(names, True))
    assert len(full) == 100_000
    assert "name 99999" in full
    assert "name 100000" not in full

    emptied = full
    for name in names:
        emptied = emptied.remove(name)
    assert dict(emptied.items()) == {}
    assert len(emptied) == 0
    assert len(full) == 100_000


@pytest.mark.parametrize("hash_", HASHES, ids=hex)
def test_keys_with_the_same_hash_are_distinguished(hash_: int) -> None:
    same = {Colliding(number, hash_): number for number in range(100)}
    content = map_of(same)
    assert_equal(content, same)
    assert Colliding(100, hash_) not in content
    for key in list(same)[:99]:
        content = content.remove(key)
    assert_equal(content, {Colliding(99, hash_): 99})


def test_keys_with_the_same_hash_do_not_deepen_the_map_without_limit() -> None:
    """When all bits of the hash are used, the leaf grows; a deeper tree would exceed the recursion limit."""
    same = {Colliding(number, 7): number for number in range(1_100)}
    assert len(map_of(same)) == 1_100


@given(st.dictionaries(keys, values), st.dictionaries(keys, values))
def test_maps_are_equal_when_their_contents_are(one: dict[Hashable, int], other: dict[Hashable, int]) -> None:
    assert (map_of(one) == map_of(other)) == (one == other)
    assert map_of(one) == map_of(dict(reversed(one.items())))


def test_a_map_equals_no_dict_and_can_not_be_hashed() -> None:
    content = map_of({"a": 1})
    assert content != {"a": 1}
    with pytest.raises(TypeError):
        hash(content)


def test_values_may_be_none() -> None:
    content = map_of({"a": None})
    assert "a" in content
    assert content.get("a") is None
