"""The OpenAPI document is correct: it has the routes that are served, and every response is as documented."""

import json
import re
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, settings
from litestar import Litestar
from litestar.routes import HTTPRoute

from domain.limits import Limits
from entrypoints.http.app import create_app
from entrypoints.http.openapi.document import openapi_document
from entrypoints.http.services import HttpServices
from identities import EVERYTHING, access_control, token
from unit.entrypoints.http.fakes import FakeRebuilds, PostService, services

LIMITS = Limits(name=50, message=1_000, comment=500)
SERVICE = PostService(LIMITS)
REBUILDS = FakeRebuilds(waits=False).rebuilds
SERVICES = services(commands=SERVICE.commands(), queries=SERVICE.queries(), rebuilds=REBUILDS, max_body_bytes=262_144)
SERVICES_WITH_CALLERS = services(
    commands=SERVICE.commands(),
    queries=SERVICE.queries(),
    rebuilds=REBUILDS,
    max_body_bytes=262_144,
    access=access_control(),
)
AUTHORIZED = {"Authorization": f"Bearer {token('iris', roles=EVERYTHING)}"}


@pytest.fixture(autouse=True, scope="module")
async def _ready() -> None:
    await SERVICE.project()


class Described:
    """In place of the application that is compared with the document, which a fixture provides."""

    app: Litestar

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        await self.app(scope, receive, send)


DESCRIBED, DESCRIBED_WITH_CALLERS = Described(), Described()


def schema_of(services: HttpServices, described: Described) -> schemathesis.BaseSchema:
    schema = schemathesis.openapi.from_dict(openapi_document(services))
    schema.app = described
    schema.location = "/openapi.json"
    # Not decided by a request alone: a version that the post does not have, a key that another request has used.
    schema.config.checks.positive_data_acceptance.expected_statuses += ["412", "422"]
    schema.config.checks.negative_data_rejection.expected_statuses += ["412"]
    return schema


schema = schema_of(SERVICES, DESCRIBED)
schema_with_callers = schema_of(SERVICES_WITH_CALLERS, DESCRIBED_WITH_CALLERS)


@pytest.fixture(scope="module")
def described_apps() -> tuple[Litestar, Litestar]:
    """On a service in dictionaries."""
    return create_app(SERVICES), create_app(SERVICES_WITH_CALLERS)


@pytest.fixture(autouse=True)
def _described(described_apps: tuple[Litestar, Litestar]) -> None:
    DESCRIBED.app, DESCRIBED_WITH_CALLERS.app = described_apps


@schema.parametrize()
@settings(max_examples=20, derandomize=True, deadline=None, suppress_health_check=list(HealthCheck))
def test_every_response_is_as_documented(case: schemathesis.Case) -> None:
    """All of schemathesis' checks: no 5xx, no undocumented status, header, media type or shape, wrong input refused."""
    if case.meta.generation.mode.is_positive:
        _make_valid(case)
    case.call_and_validate()


@schema_with_callers.parametrize()
@settings(max_examples=10, derandomize=True, deadline=None, suppress_health_check=list(HealthCheck))
def test_every_response_to_a_caller_is_as_documented(case: schemathesis.Case) -> None:
    """With a token. One of the checks sends each request without it, and with a wrong one, too."""
    if case.meta.generation.mode.is_positive:
        _make_valid(case)
    case.call_and_validate(headers=AUTHORIZED)


@pytest.mark.long
@pytest.mark.timeout(1_800)
@schema_with_callers.parametrize()
@settings(max_examples=700, deadline=None, suppress_health_check=list(HealthCheck))
def test_ten_thousand_responses_to_callers_are_as_documented(case: schemathesis.Case) -> None:
    if case.meta.generation.mode.is_positive:
        _make_valid(case)
    case.call_and_validate(headers=AUTHORIZED)


@pytest.mark.long
@pytest.mark.timeout(1_800)
@schema.parametrize()
@settings(max_examples=700, deadline=None, suppress_health_check=list(HealthCheck))
def test_ten_thousand_responses_are_as_documented(case: schemathesis.Case) -> None:
    if case.meta.generation.mode.is_positive:
        _make_valid(case)
    case.call_and_validate()


def _make_valid(case: schemathesis.Case) -> None:
    """No schema can distinguish a cursor from another string, or exclude a pair of parameters; and schemathesis removes
    the quotes of entity tags."""
    case.query.pop("cursor", None)
    if "version" in case.query:
        case.query.pop("at", None)
    for name in ("If-Match", "If-None-Match"):
        if '"' not in case.headers.get(name, '"'):
            case.headers[name] = f'"{case.headers[name]}"'


ELSEWHERE = {"/", "/docs", "/docs/try", "/docs/assets/{name}", "/openapi.json", "/problems", "/problems/{code}"}
"""For people, or the document itself."""


def documented(document: dict[str, Any]) -> set[tuple[str, str]]:
    return {(method.upper(), path) for path, operations in document["paths"].items() for method in operations}


def served(app: Litestar) -> set[tuple[str, str]]:
    """Without HEAD and OPTIONS, which every path knows."""
    routes = [route for route in app.routes if isinstance(route, HTTPRoute) and route.path_format not in ELSEWHERE]
    return {
        (method, route.path_format.replace("{comment_id}", "{commentId}").replace("{rebuild_id}", "{rebuildId}"))
        for route in routes
        for method in route.methods - {"HEAD", "OPTIONS"}
    }


@pytest.mark.parametrize("sides", [("commands",), ("queries",), ("commands", "queries")])
@pytest.mark.parametrize("operations", [True, False])
def test_what_is_documented_is_what_is_served(sides: tuple[str, ...], operations: bool) -> None:
    dispatchers = {"commands": SERVICE.commands(), "queries": SERVICE.queries()}
    given = services(
        **{side: dispatchers[side] for side in sides},  # type: ignore[arg-type]
        operations=operations,
        rebuilds=REBUILDS,
    )
    assert documented(openapi_document(given)) == served(create_app(given))


def test_the_description_says_that_users_are_not_verified_and_need_a_gateway() -> None:
    description = openapi_document(SERVICES)["info"]["description"]
    assert "Postlog does not verify usernames." in description
    assert "gateway" in description


def test_with_known_callers_the_document_says_who_may_do_what() -> None:
    document = openapi_document(SERVICES_WITH_CALLERS)
    assert document["components"]["securitySchemes"] == {
        "caller": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"}
    }
    security = {
        operation["operationId"]: operation["security"]
        for operations in document["paths"].values()
        for operation in operations.values()
    }
    assert security["live"] == []
    assert security["getPost"] == [{}, {"caller": []}]
    assert security["createPost"] == security["readDb"] == [{"caller": []}]
    strict = openapi_document(services(queries=SERVICE.queries(), access=access_control(anonymous_reads=False)))
    assert strict["paths"]["/api/v1/posts"]["get"]["security"] == [{"caller": []}]
    assert "not verified" not in json.dumps(document)
    assert document["components"]["schemas"]["NewPost"]["required"] == ["message"]
    assert "securitySchemes" not in openapi_document(SERVICES)["components"]


def test_the_document_shows_the_configured_limits() -> None:
    document = openapi_document(SERVICES)
    new_post = document["components"]["schemas"]["NewPost"]["properties"]
    assert (new_post["author"]["maxLength"], new_post["message"]["maxLength"]) == (50, 1_000)
    assert "x-limit" not in json.dumps(document)


def test_every_operation_documents_its_problems_with_their_shape() -> None:
    for path, operations in openapi_document(SERVICES)["paths"].items():
        for operation in operations.values():
            assert {"405", "500"} <= operation["responses"].keys(), path
            for status, answer in operation["responses"].items():
                if int(status) >= 400 and operation["operationId"] != "ready":
                    schema = answer["content"]["application/problem+json"]["schema"]
                    assert schema == {"$ref": "#/components/schemas/Problem"}
                assert "X-Correlation-ID" in answer["headers"]


def test_every_reference_leads_somewhere() -> None:
    document = openapi_document(SERVICES)
    names = set(re.findall(r'"#/components/schemas/(\w+)"', json.dumps(document)))
    assert names == document["components"]["schemas"].keys()
