"""Importing without optional companions."""

import importlib
import sys

import pytest

from entrypoints.lean_imports import without


def test_a_hidden_module_is_not_found_and_can_be_imported_afterwards(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "this", raising=False)
    with without("this"), pytest.raises(ModuleNotFoundError):
        importlib.import_module("this")
    assert "this" not in sys.modules


def test_it_is_found_again_also_when_the_block_fails() -> None:
    with pytest.raises(ZeroDivisionError), without("nothing_of_this_name"):
        raise ZeroDivisionError
    assert "nothing_of_this_name" not in sys.modules


def test_what_was_imported_before_stays() -> None:
    with without("json"):
        assert importlib.import_module("json") is sys.modules["json"]
    assert sys.modules["json"] is not None
