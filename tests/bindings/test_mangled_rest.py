"""Any request at all over HTTP+JSON gets an answer, and touches no stored task (R12)."""

import json
from typing import Any
from urllib.parse import quote

import pytest
from django.http.response import HttpResponseBase
from hypothesis import given, settings
from hypothesis import strategies as st

from a2a_app.bindings.routes import ROUTES, ROUTES_03, TENANT_ROUTES, Route
from a2a_app.bindings.v03 import PLAIN_METHODS
from tests.bindings.mangling import (
    ANOTHERS,
    HEADER,
    NASTY,
    PARAMS,
    PARAMS_03,
    Stored,
    lasting,
    mangled,
)
from tests.clients.http_json import HttpJsonClient, json_of, refusal_of
from tests.clients.json_rpc import JsonRpcClient, events_of

BODIES_03 = {
    "SendMessage": PARAMS_03["message/send"],
    "SendStreamingMessage": PARAMS_03["message/stream"],
    "CreateTaskPushNotificationConfig": PARAMS_03["tasks/pushNotificationConfig/set"],
}
ALL = [*ROUTES, *ROUTES_03, *TENANT_ROUTES]
TEXTS = st.sampled_from([text for text in NASTY if isinstance(text, str)]) | st.text(max_size=9)


def shown(route: Route) -> str:
    return f"{route.verb} {route.path}"


def path_of(route: Route, names: dict[str, str]) -> str:
    """Fill in the fields of a route's path, from the parameters or with something else."""
    path = route.path.replace("a2a_tenant:", "")
    for field in route.fields:
        given = names.get(field, ANOTHERS)
        path = path.replace(f"{{{field}}}", quote(given, safe="", errors="replace"))
    return path


def params_of(route: Route) -> dict[str, Any]:
    name = route.method.operation.name
    old = route.method in PLAIN_METHODS.values()
    given = (BODIES_03 if old else PARAMS).get(name, {})
    named = {
        *route.fields,
        *(route.method.operation.params.wire_names.get(f) for f in route.fields),
    }
    return {key: value for key, value in given.items() if key not in named}


def query_of(params: Any) -> str:
    """Write parameters as a query; a value that is no object is written as it is."""
    if not isinstance(params, dict):
        return quote(json.dumps(params), errors="replace")
    pairs = [
        (key, value if isinstance(value, str) else json.dumps(value))
        for key, value in params.items()
    ]
    return "&".join(
        f"{quote(key, errors='replace')}={quote(text, errors='replace')}" for key, text in pairs
    )


async def check(stored: Stored, route: Route, path: str, given: Any, **headers: str) -> None:
    body = json.dumps(given).encode() if route.verb == "POST" else b""
    query = "" if route.verb == "POST" else f"?{query_of(given)}"
    where = stored.fill_in(f"{path}{query}".encode()).decode()
    response = await HttpJsonClient(A2A_Version="").ask(
        route.verb, where, stored.fill_in(body), **headers
    )
    assert response.status_code < 500, response
    if response["Content-Type"] == "text/event-stream":
        assert await events_of(response)
    elif response.status_code >= 400:
        _check_refusal(route, response)
    are_as_before, is_none_new = await stored.look()
    assert are_as_before
    assert is_none_new or response.status_code < 400


def _check_refusal(route: Route, response: HttpResponseBase) -> None:
    if response.status_code in (404, 405) and "json" not in response["Content-Type"]:
        return  # a field that holds a slash leads elsewhere, or nowhere
    if route in ROUTES_03:
        assert set(json_of(response)) == {"code", "message", "data"}
    else:
        refusal_of(response)
    assert len(json.dumps(json_of(response))) < 100_000


@pytest.mark.parametrize("route", ALL, ids=shown)
async def test_a_request_that_is_not_mangled_touches_neither_task(
    rpc: JsonRpcClient, stored: Stored, route: Route
) -> None:
    await check(stored, route, path_of(route, {}), params_of(route))


@pytest.mark.parametrize("route", [*ROUTES, *ROUTES_03], ids=shown)
@given(data=st.data())
@settings(lasting, max_examples=10)
async def test_a_mangled_request_gets_an_answer_and_touches_no_task(
    rpc: JsonRpcClient, stored: Stored, route: Route, data: st.DataObject
) -> None:
    names = data.draw(st.dictionaries(st.sampled_from(["id", "task_id"]), TEXTS))
    given = data.draw(mangled(params_of(route)))
    await check(stored, route, path_of(route, names), given)


@given(route=st.sampled_from(ALL), version=HEADER, accept=HEADER, extensions=HEADER, kind=HEADER)
@settings(lasting, max_examples=15)
async def test_mangled_headers_get_an_answer_and_touch_no_task(
    rpc: JsonRpcClient,
    stored: Stored,
    route: Route,
    version: str,
    accept: str,
    extensions: str,
    kind: str,
) -> None:
    await check(
        stored, route, path_of(route, {}), params_of(route),
        A2A_Version=version, Accept=accept, A2A_Extensions=extensions, media_type=kind,
    )  # fmt: skip  # one header a line hides what is sent


@given(route=st.sampled_from([r for r in ALL if r.verb == "POST"]), body=st.binary(max_size=200))
@settings(lasting, max_examples=15)
async def test_random_bytes_get_an_answer(
    rpc: JsonRpcClient, stored: Stored, route: Route, body: bytes
) -> None:
    response = await HttpJsonClient(A2A_Version="").ask("POST", path_of(route, {}), body)
    assert response.status_code < 500
