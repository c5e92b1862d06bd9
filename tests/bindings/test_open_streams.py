"""How many streams and waiting requests one owner may have open, in every binding (section 3.3)."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import pytest
from django.http import HttpRequest, StreamingHttpResponse
from django.http.response import HttpResponseBase

from a2a_app.agents import Turn
from a2a_app.authentication import CallerName
from tests.clients.json_rpc import JsonRpcClient, body_of
from tests.clients.operations import client_of
from tests.clients.ways import WAYS, Way, answers_of, code_of
from tests.conftest import ChangeSettings
from tests.wire import load_message, strict_json

SECONDS = 60
LIMIT = 2
HANGS = {"message": load_message(chunks=0, end="hang")}
STREAM = Way("jsonrpc", "1.0", streams=True)


async def by_name(request: HttpRequest) -> CallerName:
    """Take a caller at its word."""
    return CallerName(request.headers.get("X-Name", "ann"))


@asynccontextmanager
async def opened(response: HttpResponseBase) -> AsyncIterator[dict[str, Any]]:
    """Hold a stream open once it has shown its first event; yield that."""
    assert isinstance(response, StreamingHttpResponse), answers_of(response)
    parts = aiter(response)
    async with asyncio.timeout(SECONDS):
        event = await anext(parts)
        yield strict_json(event.decode().partition("data: ")[2])
    del parts
    response.close()


async def open_all(rpc: JsonRpcClient, stack: AsyncExitStack) -> None:
    """Open as many streams as an owner may have."""
    for _ in range(LIMIT):
        response = await STREAM.send(rpc, HANGS, agent="load")
        await stack.enter_async_context(opened(response))


@pytest.mark.slow
@pytest.mark.parametrize("way", WAYS, ids=str)
async def test_one_stream_or_waiting_request_too_many_is_refused_with_what_limits_it(
    rpc: JsonRpcClient, a2a: ChangeSettings, way: Way
) -> None:
    a2a(STREAMS_PER_OWNER=LIMIT)
    async with AsyncExitStack() as stack:
        await open_all(rpc, stack)
        response = await way.send(rpc, {"message": load_message()}, agent="load")
        assert (response.status_code, response["Retry-After"]) == (429, "1")
        [answer] = await answers_of(response)
        assert code_of(answer)[0] in (-32053, "RESOURCE_EXHAUSTED")
        error = answer.get("error", answer)
        info, quota, retry = error.get("details") or error["data"]
        assert info["metadata"] == {"limit": "STREAMS_PER_OWNER"}
        assert quota == {
            "@type": "type.googleapis.com/google.rpc.QuotaFailure",
            "violations": [{"subject": "STREAMS_PER_OWNER", "description": error["message"]}],
        }
        assert retry["retryDelay"] == "1s"
        # What does not wait is answered, and the message that was refused was not stored.
        listed = await rpc.result("ListTasks")
        assert listed["totalSize"] == LIMIT
    async with asyncio.timeout(SECONDS):  # a stream is closed a moment after its response
        while response.status_code == 429:
            response = await way.send(rpc, {"message": load_message()}, agent="load")
    assert response.status_code == 200


async def test_requests_that_wait_count_and_a_stream_that_ends_does_not(
    a2a: ChangeSettings, runtime: None
) -> None:
    a2a(STREAMS_PER_OWNER=1)

    async def answers(turn: Turn) -> None:
        return None

    with client_of(answers) as client:
        for _ in range(3):
            await client.send()
            assert await client.stream()


async def test_another_owner_has_as_many_and_without_a_limit_there_is_none(
    rpc: JsonRpcClient, a2a: ChangeSettings
) -> None:
    a2a(STREAMS_PER_OWNER=LIMIT, AUTHENTICATION=[f"{__name__}.by_name"])
    async with AsyncExitStack() as stack:
        await open_all(rpc, stack)
        other = await STREAM.send(rpc, HANGS, agent="load", X_Name="other")
        await stack.enter_async_context(opened(other))
        a2a(STREAMS_PER_OWNER=0)
        await open_all(rpc, stack)


@pytest.mark.slow
async def test_sixteen_at_once_never_pass_the_limit(
    rpc: JsonRpcClient, a2a: ChangeSettings
) -> None:
    a2a(STREAMS_PER_OWNER=LIMIT)
    responses = await asyncio.gather(*[STREAM.send(rpc, HANGS, agent="load") for _ in range(16)])
    async with AsyncExitStack() as stack:
        accepted = [each for each in responses if each.status_code == 200]
        assert len(accepted) == LIMIT
        for response in accepted:
            await stack.enter_async_context(opened(response))
        refused = [body_of(each) for each in responses if each.status_code == 429]
        assert len(refused) == 16 - LIMIT
