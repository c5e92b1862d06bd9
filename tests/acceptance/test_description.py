"""The description of the API is true: each request that a tool makes of it has its answer."""

from collections.abc import Iterator
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from schemathesis.checks import CHECKS, load_all_checks

from a2a_app.bindings.routes import ROUTES
from tests.clients.sdk import SECONDS
from tests.servers import served

load_all_checks()
# It need not be accepted: the description knows neither the tasks nor what agents refuse.
KEPT = [
    CHECKS.get_one(name)
    for name in (
        "not_a_server_error",
        "status_code_conformance",
        "content_type_conformance",
        "response_schema_conformance",
    )
]


@pytest.fixture(scope="module")
def description() -> Iterator[Any]:
    with served("sqlite", "daphne") as server:
        yield schemathesis.openapi.from_url(f"{server.url}/a2a/openapi.json")


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: f"{route.verb} {route.path}")
@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_every_request_that_the_description_allows_gets_an_answer_that_it_has(
    description: Any, route: Any, data: st.DataObject
) -> None:
    operation = description["/a2a/{slug}" + route.path][route.verb]
    case = data.draw(operation.as_strategy())
    case.path_parameters["slug"] = "echo"
    case.call_and_validate(checks=KEPT, timeout=SECONDS)
