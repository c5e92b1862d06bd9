"""Any request at all gets an answer of JSON-RPC, soon, and touches no stored task (R12)."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from a2a_app.bindings.v03 import RPC_METHODS
from a2a_app.operations import OPERATIONS
from tests.bindings.mangling import HEADER, NASTY, PARAMS, PARAMS_03, Stored, lasting, mangled
from tests.clients.json_rpc import JsonRpcClient, body_of, events_of
from tests.wire import envelope, strict_json

STREAM = "text/event-stream"
INTERNAL = -32603
ALL = {**PARAMS, **PARAMS_03}


def test_every_method_of_both_versions_is_mangled() -> None:
    assert set(PARAMS) == set(OPERATIONS)
    assert set(PARAMS_03) == set(RPC_METHODS)


async def _check(rpc: JsonRpcClient, stored: Stored, body: bytes, **headers: str) -> None:
    response = await rpc.post(stored.fill_in(body), **headers)
    assert response.status_code in (200, 413), response
    stream = response["Content-Type"] == STREAM
    answers = await events_of(response) if stream else [body_of(response)]
    assert answers
    for answer in answers:
        _check_answer(answer)
    are_as_before, is_none_new = await stored.look()
    assert are_as_before
    assert is_none_new or not any("error" in answer for answer in answers)


def _check_answer(answer: dict[str, Any]) -> None:
    kind = "error" if "error" in answer else "result"
    assert set(answer) == {"jsonrpc", "id", kind}, answer
    assert answer["jsonrpc"] == "2.0"
    assert answer["id"] is None or isinstance(answer["id"], str | int | float)
    assert not isinstance(answer["id"], bool)
    if kind == "error":
        error = answer["error"]
        assert isinstance(error["code"], int)
        assert error["code"] != INTERNAL, error
        assert isinstance(error["message"], str) and error["message"]
        assert all("@type" in detail for detail in error["data"])
        assert len(json.dumps(answer)) < 100_000


@pytest.mark.parametrize("method", ALL)
async def test_a_request_that_is_not_mangled_touches_neither_task(
    rpc: JsonRpcClient, stored: Stored, method: str
) -> None:
    body = json.dumps(envelope(method, ALL[method])).encode()
    await _check(rpc, stored, body)


@pytest.mark.parametrize("method", ALL)
@given(data=st.data())
@settings(lasting, max_examples=10)
async def test_a_mangled_request_gets_an_answer_and_touches_no_task(
    rpc: JsonRpcClient, stored: Stored, method: str, data: st.DataObject
) -> None:
    request = data.draw(mangled(envelope(method, ALL[method])))
    await _check(rpc, stored, json.dumps(request).encode())


@pytest.mark.parametrize("method", ["ListTasks", "CancelTask"])
async def test_nothing_nasty_in_any_field_touches_a_task(
    rpc: JsonRpcClient, stored: Stored, method: str
) -> None:
    for field in ALL[method]:
        for value in NASTY:
            request = envelope(method, {**ALL[method], field: value})
            await _check(rpc, stored, json.dumps(request).encode())


@given(method=st.sampled_from(sorted(ALL)), version=HEADER, extensions=HEADER, last_event_id=HEADER)
@settings(lasting, max_examples=10)
async def test_mangled_headers_get_an_answer_and_touch_no_task(
    rpc: JsonRpcClient,
    stored: Stored,
    method: str,
    version: str,
    extensions: str,
    last_event_id: str,
) -> None:
    body = json.dumps(envelope(method, ALL[method])).encode()
    headers = {
        "A2A_Version": version,
        "A2A_Extensions": extensions,
        "Last_Event_ID": last_event_id,
    }
    await _check(rpc, stored, body, **headers)


@given(body=st.binary(max_size=200))
@settings(lasting, max_examples=10)
async def test_random_bytes_get_an_answer(rpc: JsonRpcClient, stored: Stored, body: bytes) -> None:
    await _check(rpc, stored, body)


@given(data=st.data())
@settings(lasting, max_examples=15)
async def test_a_request_with_broken_bytes_gets_an_answer(
    rpc: JsonRpcClient, stored: Stored, data: st.DataObject
) -> None:
    method = data.draw(st.sampled_from(sorted(ALL)))
    body = json.dumps(envelope(method, ALL[method])).encode()
    start = data.draw(st.integers(0, len(body)))
    end = data.draw(st.integers(start, min(start + 8, len(body))))
    broken = body[:start] + data.draw(st.binary(max_size=8)) + body[end:]
    await _check(rpc, stored, broken)


@pytest.mark.parametrize(
    "member",
    ['"parts":[{}]', '"x":{}', '"metadata":{"x":{}}', '"parts":[{"text":"a"},{"data":{}}]'],
)
@pytest.mark.parametrize(
    "value",
    ["[" * 90_000 + "]" * 90_000, '{"a":' * 90_000 + "1" + "}" * 90_000, "9" * 90_000, "1e99999"],
    ids=["arrays", "objects", "digits", "exponent"],
)
async def test_values_without_measure_get_an_answer(
    rpc: JsonRpcClient, stored: Stored, member: str, value: str
) -> None:
    inside = member.replace("{}", value)
    said = f'{{"messageId":"1","role":"ROLE_USER","parts":[{{"text":"{{}}"}}],{inside}}}'
    params = f'{{"message":{said}}}'
    body = f'{{"jsonrpc":"2.0","id":1,"method":"SendMessage","params":{params}}}'
    await _check(rpc, stored, body.encode())


async def test_a_strict_reader_reads_the_answers() -> None:
    with pytest.raises(ValueError, match="Infinity"):
        strict_json('{"id": Infinity}')
