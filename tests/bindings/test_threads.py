"""Threads: requests of ours share those that Django wants, and open streams have none (R14)."""

import asyncio
import json
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from asgiref.testing import ApplicationCommunicator
from django.http import HttpRequest

from a2a_app.asgi import get_asgi_application
from a2a_app.authentication import CallerName
from a2a_app.bindings import threads
from tests.conftest import ChangeSettings
from tests.wire import envelope, load_message

pytestmark = pytest.mark.usefixtures("runtime")

SECONDS = 20.0
MANY = threads.KEPT + 4
HANG = envelope("SendStreamingMessage", {"message": load_message(end="hang")})

# Its package has no types.
communicator: Any = ApplicationCommunicator
seen: list[int] = []
together = threading.Barrier(1)


def noting(request: HttpRequest) -> CallerName:
    """Know everybody, and note in which thread; wait for as many as there are to be at once."""
    together.wait(SECONDS)
    seen.append(threading.get_ident())
    return CallerName("anybody")


@pytest.fixture(autouse=True)
def noted(a2a: ChangeSettings) -> None:
    a2a(AUTHENTICATION=[f"{__name__}.noting"])
    seen.clear()


@asynccontextmanager
async def asked(application: Any, request: object) -> AsyncIterator[Callable[[], Awaitable[bytes]]]:
    """Send a request to an ASGI application, and give what reads the next of its answer."""
    scope = {"type": "http", "method": "POST", "path": "/a2a/load/", "query_string": b""}
    headers = [(b"content-type", b"application/json"), (b"a2a-version", b"1.0")]
    client = communicator(application, {**scope, "headers": headers})
    await client.send_input({"type": "http.request", "body": json.dumps(request).encode()})
    assert (await client.receive_output(SECONDS))["status"] == 200

    async def body() -> bytes:
        given: bytes = (await client.receive_output(SECONDS))["body"]
        return given

    yield body
    await client.send_input({"type": "http.disconnect"})
    await client.wait(SECONDS)


async def listed(application: Any) -> None:
    async with asked(application, envelope("ListTasks", {})) as body:
        assert b'"result"' in await body()


async def test_one_request_after_the_other_has_the_same_thread() -> None:
    application = get_asgi_application()
    for _ in range(5):
        await listed(application)
    assert len(seen) == 5 and len(set(seen)) == 1


async def test_an_open_stream_leaves_its_thread_to_the_next_request() -> None:
    application = get_asgi_application()
    async with asked(application, HANG) as body:
        assert b"SUBMITTED" in await body()
        assert b"WORKING" in await body()
        await listed(application)
        await listed(application)
    assert len(seen) == 3 and len(set(seen)) == 1


async def test_a_stream_that_ends_leaves_the_thread_to_whom_it_has_gone(
    monkeypatch: pytest.MonkeyPatch,
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
    assert seen[0] in seen[1:]
    assert len(set(seen)) == 2


async def test_requests_at_the_same_time_have_a_thread_each_and_few_are_kept(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(globals(), "together", threading.Barrier(MANY))
    application = get_asgi_application()
    await asyncio.gather(*[listed(application) for _ in range(MANY)])
    assert len(set(seen)) == MANY
    assert len(threads._free) == threads.KEPT
