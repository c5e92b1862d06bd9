"""A database that is away: clients of every binding and version are told to try again."""

import asyncio
import sqlite3
from collections.abc import AsyncIterator
from typing import Any

import pytest
from django.db import OperationalError
from django.http import HttpRequest
from django.http.response import HttpResponseBase

from a2a_app import database, protocol
from a2a_app.agents import Agent, registry
from tests import wire_v03
from tests.clients.http_json import HttpJsonClient, json_of, refusal_of, without_version
from tests.clients.json_rpc import JsonRpcClient, body_of, error_of, events_of
from tests.conftest import ChangeSettings
from tests.outages import away, lose_patience
from tests.wire import HEADERS, envelope, load_message

SECONDS = 20
CODE = -32052
RETRY_INFO = {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "1s"}
VERSION = {name.replace("-", "_"): value for name, value in HEADERS.items()}
MESSAGE = {"message": load_message()}
MESSAGE_03 = {"message": wire_v03.message()}


@pytest.fixture
async def without_database(rpc: JsonRpcClient, reconnecting: None) -> AsyncIterator[None]:
    await database.run(lose_patience)
    with away():
        yield


def check_details(error: dict[str, Any], details: list[dict[str, Any]]) -> None:
    info, retry = details
    assert (info["reason"], info["domain"]) == ("UNAVAILABLE", "a2a-protocol.org")
    assert retry == RETRY_INFO
    assert error["message"].endswith("The client may try again.")


def check_rpc(answer: dict[str, Any]) -> None:
    assert answer["error"]["code"] == CODE
    check_details(answer["error"], answer["error"]["data"])


@pytest.mark.usefixtures("without_database")
@pytest.mark.parametrize("method", ["SendMessage", "SendStreamingMessage"])
async def test_json_rpc_says_it_by_an_error_of_its_own(rpc: JsonRpcClient, method: str) -> None:
    response = await rpc.post(envelope(method, MESSAGE), **VERSION)
    assert response.status_code == 200
    check_rpc(body_of(response))


@pytest.mark.usefixtures("without_database")
async def test_version_0_3_says_it_by_the_same_error(rpc: JsonRpcClient) -> None:
    check_rpc(body_of(await rpc.post(envelope("message/send", MESSAGE_03))))
    [event] = await events_of(await rpc.post(envelope("message/stream", MESSAGE_03)))
    check_rpc(event)
    plain = {"message": wire_v03.plain_message()}
    response = await without_version().post("/v1/message:send", plain)
    assert (response.status_code, response["Retry-After"]) == (503, "1")
    error = json_of(response)
    assert error["code"] == CODE
    check_details(error, error["data"])


def check_plain(response: HttpResponseBase) -> None:
    assert refusal_of(response) == (503, "UNAVAILABLE")
    assert response["Retry-After"] == "1"
    error = json_of(response)["error"]
    assert error["status"] == "UNAVAILABLE"
    check_details(error, error["details"])


@pytest.mark.usefixtures("without_database")
@pytest.mark.parametrize("path", ["/message:send", "/message:stream"])
async def test_http_json_says_it_by_503_and_when_to_try_again(path: str) -> None:
    check_plain(await HttpJsonClient().post(path, MESSAGE))


async def test_a_client_that_tries_again_is_answered_when_the_database_is_back(
    rpc: JsonRpcClient, reconnecting: None
) -> None:
    await database.run(lose_patience)
    with away():
        check_rpc(await rpc.call("SendMessage", MESSAGE))
    async with asyncio.timeout(SECONDS):
        assert "result" in await rpc.call("SendMessage", MESSAGE)


def without_answer(request: HttpRequest) -> None:
    raise OperationalError("connection failed")


def mistaken(request: HttpRequest) -> None:
    sqlite3.connect(":memory:").execute("SELECT * FROM nothing")


class Personal(Agent):
    """Has another card for each caller."""

    slug = "personal"

    def card(self, card: protocol.AgentCard, caller: Any) -> protocol.AgentCard:
        return card


async def test_what_a_hook_of_the_project_finds_away_counts_too(
    rpc: JsonRpcClient, a2a: ChangeSettings, caplog: pytest.LogCaptureFixture
) -> None:
    a2a(AUTHENTICATION=[f"{__name__}.without_answer"])
    check_rpc(await rpc.call("GetTask", {"id": "1"}))
    check_plain(await HttpJsonClient().get("/tasks"))
    with registry.registered(Personal()):
        check_plain(await HttpJsonClient("personal").get("/.well-known/agent-card.json"))
        check_plain(await rpc.http.get("/.well-known/ai-catalog.json"))
        listed = await rpc.http.get("/a2a/ard.api/agents")
    assert (listed.status_code, listed["Retry-After"]) == (503, "1")
    assert body_of(listed)["errorCode"] == "UNAVAILABLE"
    assert [line for line in caplog.messages if "failed" in line and "connection" not in line] == []


async def test_a_mistake_in_a_statement_is_a_fault_and_no_reason_to_try_again(
    rpc: JsonRpcClient, a2a: ChangeSettings
) -> None:
    a2a(AUTHENTICATION=[f"{__name__}.mistaken"])
    assert error_of(await rpc.call("GetTask", {"id": "1"})) == (-32603, "INTERNAL")
    assert refusal_of(await HttpJsonClient().get("/tasks")) == (500, "INTERNAL")
    with registry.registered(Personal()):
        response = await HttpJsonClient("personal").get("/.well-known/agent-card.json")
    assert response.status_code == 500
