"""Responders: what a stream that breaks off says at its end, when its status has been sent."""

import json
from typing import Any

import pytest
from django.db import OperationalError
from django.http import StreamingHttpResponse
from django.test import RequestFactory

from a2a_app.agents import Turn
from a2a_app.agents.registry import make_agent
from a2a_app.bindings.dialects import CURRENT
from a2a_app.bindings.jsonrpc import JsonRpcResponder
from a2a_app.bindings.responders import Responder
from a2a_app.bindings.rest import RestResponder
from a2a_app.bindings.v03 import PLAIN_METHODS
from a2a_app.database.away import AwayError, Cause
from a2a_app.operations import Call, Operation
from a2a_app.operations.call import Caller
from a2a_app.operations.streams import Stream, StreamItem
from a2a_app.protocol import Params

FIRST = StreamItem(1, json.dumps({"task": {"id": "1", "status": {"state": "TASK_STATE_WORKING"}}}))


FAULT = RuntimeError("the password is hunter2")


async def _broken_stream(error: Exception) -> Stream:
    yield [FIRST]
    raise error


async def says_nothing(turn: Turn) -> None: ...


async def last_frame(
    responder: Responder, caplog: pytest.LogCaptureFixture, error: Exception = FAULT
) -> list[str]:
    async def breaks_off(call: Call, params: Params) -> Stream:
        return _broken_stream(error)

    call = Call(make_agent(says_nothing), Caller(""))
    operation = Operation("Broken", Params, "read", streaming=breaks_off)
    response = await responder.perform(operation, call, Params())
    assert isinstance(response, StreamingHttpResponse)
    frames = [bytes(frame).decode() async for frame in response]
    assert len(frames) == 2
    assert "hunter2" in caplog.text and "hunter2" not in frames[-1]
    return frames[-1].strip().split("\n")


def plain(dialect: Any = CURRENT) -> RestResponder:
    return RestResponder(RequestFactory().get("/"), dialect)


async def test_in_json_rpc_it_is_an_envelope_with_an_error(
    caplog: pytest.LogCaptureFixture,
) -> None:
    [data] = await last_frame(JsonRpcResponder(), caplog)
    assert json.loads(data.removeprefix("data: "))["error"]["code"] == -32603


async def test_in_http_json_it_is_an_event_of_the_type_error(
    caplog: pytest.LogCaptureFixture,
) -> None:
    event, data = await last_frame(plain(), caplog)
    assert event == "event: error"
    assert json.loads(data.removeprefix("data: "))["error"]["code"] == 500


async def test_where_the_database_is_away_it_says_that_the_client_may_come_back(
    caplog: pytest.LogCaptureFixture,
) -> None:
    away = AwayError(OperationalError("no route to hunter2"), Cause.BROKEN)
    [data] = await last_frame(JsonRpcResponder(), caplog, away)
    assert json.loads(data.removeprefix("data: "))["error"]["code"] == -32052
    _, data = await last_frame(plain(), caplog, away)
    error = json.loads(data.removeprefix("data: "))["error"]
    assert (error["code"], error["status"]) == (503, "UNAVAILABLE")
    assert error["message"] == "The stream broke off. Subscribe to the task again."


async def test_in_0_3_it_has_the_code_of_json_rpc(caplog: pytest.LogCaptureFixture) -> None:
    dialect = PLAIN_METHODS["SubscribeToTask"].dialect
    event, data = await last_frame(plain(dialect), caplog)
    assert event == "event: error"
    assert json.loads(data.removeprefix("data: "))["code"] == -32603
