"""Refusals: each is for the official SDK's client the exception that says why."""

import pytest

from tests.acceptance.refusals import CALLS, MESSAGES, RPC_CALLS
from tests.clients.sdk import Connect, both_ways, connected


@pytest.mark.parametrize("what", RPC_CALLS)
async def test_a_call_that_only_json_rpc_can_express_is_refused(url: str, what: str) -> None:
    (error, text), call = RPC_CALLS[what]
    async with connected(url, "JSONRPC") as client:
        with pytest.raises(error, match=text):
            await call(client)


@pytest.mark.parametrize("what", CALLS)
async def test_a_refusal_is_read_as_the_exception_that_says_why(
    connect: Connect, what: str
) -> None:
    (error, text), call = CALLS[what]
    async with connect(extended=True) as client:
        with pytest.raises(error, match=text):
            await call(client)


@both_ways
@pytest.mark.parametrize("what", MESSAGES)
async def test_a_bad_message_is_refused_both_ways(
    connect: Connect, what: str, streaming: bool
) -> None:
    (error, text), message, more = MESSAGES[what]
    async with connect(streaming=streaming) as client:
        with pytest.raises(error, match=text):
            await client.stream(message, **more)
