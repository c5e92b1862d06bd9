"""OpenAPI: the description is valid, complete and true, and there is a page that shows it."""

import json
from typing import Any

import pytest
from openapi_spec_validator import validate

from a2a_app import protocol
from a2a_app.bindings.openapi import EXAMPLES
from a2a_app.bindings.routes import ROUTES
from a2a_app.operations import OPERATIONS
from tests.clients.json_rpc import JsonRpcClient
from tests.conftest import ChangeSettings

PAGE, DESCRIPTION = "/a2a/openapi.html", "/a2a/openapi.json"


async def described(rpc: JsonRpcClient) -> dict[str, Any]:
    response = await rpc.http.get(DESCRIPTION)
    assert response.status_code == 200
    description: dict[str, Any] = json.loads(response.content)
    return description


@pytest.mark.slow
async def test_the_description_is_valid(rpc: JsonRpcClient) -> None:
    validate(await described(rpc))


async def test_every_route_is_described_and_says_what_it_is_for(rpc: JsonRpcClient) -> None:
    paths = (await described(rpc))["paths"]
    for route in ROUTES:
        found = paths["/a2a/{slug}" + route.path][route.verb.lower()]
        assert found["summary"] == route.method.name
        assert found["description"]
        named = {each["name"] for each in found["parameters"] if each["in"] == "path"}
        assert named == {"slug", *route.fields}


async def test_the_query_of_a_route_has_the_fields_that_are_not_in_its_path(
    rpc: JsonRpcClient,
) -> None:
    paths = (await described(rpc))["paths"]
    for path, operation in (("tasks", "ListTasks"), ("tasks/{id}", "GetTask")):
        described_here = paths[f"/a2a/{{slug}}/{path}"]["get"]["parameters"]
        query = {each["name"] for each in described_here if each["in"] == "query"}
        assert query == set(OPERATIONS[operation].params.wire_names.values()) - {"id", "tenant"}


@pytest.mark.parametrize("model", EXAMPLES, ids=lambda model: model.__name__)
async def test_every_example_is_valid(rpc: JsonRpcClient, model: type[protocol.Model]) -> None:
    schema = (await described(rpc))["components"]["schemas"][model.__name__]
    [example] = schema["examples"]
    assert set(model.from_dict(example).to_dict()) == set(example)


async def test_the_page_shows_the_description(rpc: JsonRpcClient) -> None:
    response = await rpc.http.get(PAGE)
    assert response.status_code == 200
    assert DESCRIPTION in response.content.decode()


async def test_the_page_and_the_description_may_be_switched_off(
    a2a: ChangeSettings, rpc: JsonRpcClient
) -> None:
    a2a(API_DOCS=False)
    for path in (PAGE, DESCRIPTION):
        assert (await rpc.http.get(path)).status_code == 404
