"""Streams through a real server: what the reviewers of FastA2A found must not be possible."""

import pytest

from tests.clients.sockets import SocketClient
from tests.conftest import Serve
from tests.wire import load_message, state, text


@pytest.mark.parametrize("database", ["sqlite", "postgresql"])
@pytest.mark.parametrize("server", ["daphne", "uvicorn"])
async def test_a_stream_shows_every_event_once_and_in_order(
    serve: Serve, database: str, server: str
) -> None:
    served = serve(database, server)
    async with SocketClient(served.url) as client:
        events = await client.stream("SendStreamingMessage", message=load_message(chunks=300))
    assert [number for number, _ in events] == list(range(events[0][0], events[0][0] + len(events)))
    assert "task" in events[0][1]
    chunks = [text(item) for _, item in events if text(item)]
    assert [int(chunk.split()[0]) for chunk in chunks] == list(range(300))[-len(chunks) :]
    assert state(events[-1][1]) == "COMPLETED"
