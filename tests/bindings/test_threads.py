"""Threads: requests of ours share those that Django wants, and open streams have none (R14)."""

import asyncio
import json
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import pytest
from asgiref.sync import SyncToAsync
from asgiref.testing import ApplicationCommunicator
from django.http import HttpRequest

from a2a_app.asgi import get_asgi_application
from a2a_app.authentication import CallerName
from a2a_app.bindings import responders, threads
from tests.conftest import ChangeSettings
from tests.wire import envelope, load_message

pytestmark = pytest.mark.usefixtures("runtime")

SECONDS = 20.0
MANY = threads.POOL_SIZE + 4
HANG = envelope("SendStreamingMessage", {"message": load_message(end="hang")})
HANG_UNANSWERED = envelope(
    "SendMessage",
    {"message": load_message(end="hang"), "configuration": {"returnImmediately": True}},
)
# Which a task comes to by its end only.
BEYOND = (b"a2a-current-generation", b"1000")

# Its package has no types.
communicator: Any = ApplicationCommunicator
seen: list[threading.Thread] = []
together = threading.Barrier(1)


def noting(request: HttpRequest) -> CallerName:
    """Know everybody, and note in which thread; wait for as many as there are to be at once."""
    together.wait(SECONDS)
    seen.append(threading.current_thread())
    return CallerName("anybody")


@pytest.fixture(autouse=True)
def noted(a2a: ChangeSettings) -> None:
    a2a(AUTHENTICATION=[f"{__name__}.noting"])
    seen.clear()


@pytest.fixture(params=[True, False] if threads.POOLS else [False], ids=str)
def pools(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> bool:
    """Run a test with an asgiref that takes threads of ours, and with one that does not."""
    monkeypatch.setattr(threads, "POOLS", request.param)
    threads._free.clear()
    return bool(request.param)


@asynccontextmanager
async def asked(
    application: Any, request: object, *more: tuple[bytes, bytes]
) -> AsyncIterator[Callable[[], Awaitable[bytes]]]:
    """Send a request to an ASGI application, and give what reads the next of its answer."""
    scope = {"type": "http", "method": "POST", "path": "/a2a/load/", "query_string": b""}
    headers = [(b"content-type", b"application/json"), (b"a2a-version", b"1.0")]
    client = communicator(application, {**scope, "headers": [*headers, *more]})
    await client.send_input({"type": "http.request", "body": json.dumps(request).encode()})
    assert (await client.receive_output(SECONDS))["status"] == 200

    async def body() -> bytes:
        given: bytes = (await client.receive_output(SECONDS))["body"]
        return given

    yield body
    await client.send_input({"type": "http.disconnect"})
    await client.wait(SECONDS)


async def answered(application: Any, request: object, *more: tuple[bytes, bytes]) -> dict[str, Any]:
    async with asked(application, request, *more) as body:
        result: dict[str, Any] = json.loads(await body())["result"]
    return result


async def listed(application: Any) -> None:
    assert "tasks" in await answered(application, envelope("ListTasks", {}))


async def test_requests_one_after_the_other_share_a_thread_where_asgiref_takes_ours(
    pools: bool,
) -> None:
    application = get_asgi_application()
    for _ in range(5):
        await listed(application)
    assert len(seen) == 5
    assert len(set(seen)) == (1 if pools else 5)


async def test_an_open_stream_has_no_thread(pools: bool) -> None:
    application = get_asgi_application()
    async with asked(application, HANG) as body:
        assert b"SUBMITTED" in await body()
        assert b"WORKING" in await body()
        if not pools:
            await asyncio.to_thread(seen[0].join, SECONDS)
        assert seen[0].is_alive() is pools
        await listed(application)
        await listed(application)
    assert len(seen) == 3
    assert len(set(seen)) == (1 if pools else 3)


async def test_a_request_that_waits_has_no_thread(
    pools: bool, a2a: ChangeSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    a2a(DRAFTS=["1.1"])
    monkeypatch.setattr(responders, "START_SECONDS", 0)
    application = get_asgi_application()
    task_id = (await answered(application, HANG_UNANSWERED))["task"]["id"]
    newer = answered(application, envelope("GetTask", {"id": task_id}), BEYOND)
    waiting = asyncio.create_task(newer)
    async with asyncio.timeout(SECONDS):
        while len(seen) < 2 or (  # noqa: ASYNC110  # no event is set where a thread goes
            threads._lent if pools else seen[1].is_alive()
        ):
            await asyncio.sleep(0)
    await listed(application)
    assert not waiting.done()
    await answered(application, envelope("CancelTask", {"id": task_id}))
    assert (await waiting)["status"]["state"] == "TASK_STATE_CANCELED"


async def test_a_stream_that_ends_leaves_the_thread_to_whom_it_has_gone(
    pools: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    application = get_asgi_application()
    async with asked(application, HANG) as body:
        assert b"SUBMITTED" in await body()
        assert b"WORKING" in await body()
        # From now on each waits, in its thread, for the other one to be in another.
        monkeypatch.setitem(globals(), "together", threading.Barrier(2))
        one = asyncio.create_task(listed(application))
    await listed(application)
    await one
    assert len(seen) == 3
    assert seen[1] is not seen[2]
    assert (seen[0] in seen[1:]) is pools


async def test_requests_at_the_same_time_have_a_thread_each_and_few_are_kept(
    pools: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(globals(), "together", threading.Barrier(MANY))
    application = get_asgi_application()
    await asyncio.gather(*[listed(application) for _ in range(MANY)])
    assert len(set(seen)) == MANY
    assert len(threads._free) == (threads.POOL_SIZE if pools else 0)


class Watched:
    """An application whose server notes the thread of whoever calls it, before it waits and after.

    Whatever the server begins there, such as the next request of a connection, has that one too.
    """

    def __init__(self) -> None:
        self.application = get_asgi_application()
        self.noted: list[object] = []

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Serve a request."""
        await self.application(scope, partial(self._call, receive), partial(self._call, send))

    async def _call(self, call: Any, *args: Any) -> Any:
        self._note()
        try:
            return await call(*args)
        finally:
            self._note()

    def _note(self) -> None:
        self.noted.append(SyncToAsync.thread_sensitive_context.get(None))


async def test_what_the_server_begins_while_it_is_called_has_no_thread_of_ours(pools: bool) -> None:
    server = Watched()
    await listed(server)
    async with asked(server, HANG) as body:
        assert b"SUBMITTED" in await body()
        assert b"WORKING" in await body()
    # Both receive the body and the end of the client, and send a head and a body at least.
    assert len(server.noted) >= 16
    assert set(server.noted) == {None}
