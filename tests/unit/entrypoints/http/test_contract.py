"""The HTTP contract does not change by accident: the OpenAPI document, without its texts, is the golden one.

After an intended change: `python -m unit.entrypoints.http.test_contract` in the folder `tests` writes it again, and the
difference in version control is what the clients of Postlog have to be told.
"""

import difflib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from domain.limits import Limits
from entrypoints.http.openapi.document import openapi_document
from unit.entrypoints.http.fakes import FakeRebuilds, PostService, services

GOLDEN = Path(__file__).parents[3] / "golden" / "http-contract.txt"
TEXTS = {"description", "summary", "title"}


def contract() -> str:
    limits = Limits(name=50, message=1_000, comment=500)
    service = PostService(limits)
    document = openapi_document(
        services(commands=service.commands(), queries=service.queries(), rebuilds=FakeRebuilds(waits=False).rebuilds)
    )
    document["info"].pop("version")
    return "\n".join(lines(without_texts(document))) + "\n"


def without_texts(node: Any, *, are_names: bool = False) -> Any:
    """`are_names`: the keys of this object are names of the contract, such as fields, and not OpenAPI's own."""
    if isinstance(node, list):
        return [without_texts(each) for each in node]
    if not isinstance(node, dict):
        return node
    return {
        key: list(each)  # the codes of a response's problems: what the examples say are texts
        if key == "examples" and isinstance(each, dict)
        else without_texts(each, are_names=key in {"properties", "schemas", "paths", "headers"})
        for key, each in node.items()
        if are_names or key not in TEXTS
    }


def lines(node: Any, path: str = "", depth: int = 5) -> Iterator[str]:
    """One for each parameter, response and field."""
    if node and depth and isinstance(node, dict):
        for key, each in node.items():
            yield from lines(each, f"{path} {key}", depth - 1)
    elif node and depth and isinstance(node, list):
        for each in node:
            yield from lines(each, path, depth - 1)
    else:
        yield f"{path.strip()}: {json.dumps(node)}"


def test_the_http_contract_has_not_changed() -> None:
    new, golden = contract(), GOLDEN.read_text()
    if new != golden:
        difference = difflib.unified_diff(
            golden.splitlines(), new.splitlines(), "the contract", "this code", lineterm="", n=1
        )
        raise AssertionError("\n".join(["The HTTP contract has changed:", *difference]))


def test_texts_may_change() -> None:
    told = {"summary": "Like it", "parameters": [{"name": "id", "description": "The post."}], "title": "x"}
    schema = {"title": "Post", "properties": {"title": {"type": "string", "description": "Its title."}}}
    assert without_texts(told) == {"parameters": [{"name": "id"}]}
    assert without_texts(schema) == {"properties": {"title": {"type": "string"}}}


if __name__ == "__main__":
    GOLDEN.write_text(contract())
