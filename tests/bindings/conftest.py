"""What the tests of the bindings share: the middleware that requests meet, and tasks to aim at."""

import time
from collections.abc import AsyncIterator
from types import SimpleNamespace
from typing import Any

import pytest

from a2a_app.bindings import throttles
from tests.bindings.mangling import Stored
from tests.clients.http_json import HttpJsonClient
from tests.clients.json_rpc import JsonRpcClient, events_of
from tests.conftest import ChangeSettings
from tests.wire import envelope, load_message

BYPASS = "a2a_app.middleware.bypass"


@pytest.fixture
def whole_chain(settings: Any) -> None:
    """Have requests meet all middleware, as in a project that did not think of the bypass."""
    settings.MIDDLEWARE = [path for path in settings.MIDDLEWARE if path != BYPASS]


@pytest.fixture
def one_minute(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have all requests of a test be counted in one minute, in which there were none before."""
    now = time.time()
    monkeypatch.setattr(throttles, "time", SimpleNamespace(time=lambda: now))


@pytest.fixture
async def stored(rpc: JsonRpcClient) -> Stored:
    """Store a task that has ended and one that waits for its client."""
    ended = await rpc.task(chunks=3)
    # By a stream, which ends when the run is over: nothing is still being written.
    params = {"message": load_message(chunks=2, end="input-required")}
    request = envelope("SendStreamingMessage", params)
    first, *_ = await events_of(await rpc.post(request, path="/a2a/load-retry/"))
    stored = Stored(ended["id"], first["result"]["task"]["id"])
    await stored.look()
    return stored


@pytest.fixture
async def rest(a2a: ChangeSettings, runtime: None) -> AsyncIterator[HttpJsonClient]:
    """Speak HTTP+JSON to the project inside the test's process."""
    yield HttpJsonClient()
