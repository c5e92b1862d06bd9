"""Requests and answers on the wire, byte for byte: a changed file is a change to be reviewed.

`A2A_GOLDEN=write pytest tests/bindings/test_golden.py` writes the files again, and fails.
"""

import asyncio
import json
import os
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from django.http import StreamingHttpResponse
from django.http.response import HttpResponseBase

from a2a_app.agents import Part, Turn, registry
from a2a_app.agents.registry import make_agent
from a2a_app.operations import OPERATIONS
from tests.bindings import authenticators
from tests.bindings.exchanges import MESSAGE, REQUESTS, Request
from tests.clients.json_rpc import SECONDS, JsonRpcClient
from tests.conftest import ChangeSettings

FOLDER = Path(__file__).parent / "golden"
HEADERS = ("Content-Type", "Cache-Control", "Vary", "X-Accel-Buffering", "WWW-Authenticate")
UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")
CASES = [(name, form) for name, forms in REQUESTS.items() for form in forms]
# What is asked of a task that waits for its client; the others get one that has ended.
ON_WAITING = ("CancelTask", "SubscribeToTask")
AUTH = "auth"
AUTHENTICATORS = [
    "a2a_app.authentication.ApiKeyAuth",
    "a2a_app.authentication.BasicAuth",
    f"{authenticators.__name__}.ByCertificate",
    f"{authenticators.__name__}.ByToken",
]


class Golden:
    """An agent that uses every verb, and begins when it is let."""

    def __init__(self) -> None:
        self.may_begin = asyncio.Event()

    async def run(self, turn: Turn) -> None:
        """Say one of everything."""
        await self.may_begin.wait()
        await turn.working("Working…")
        if turn.text == AUTH:
            await turn.auth_required("Who are you?")
            return
        file = Part(raw=b"hello", filename="a.txt", media_type="text/plain")
        await turn.artifact("text", file, {"data": [1, None]}, name="all", description="All.")
        chunks = turn.open_artifact(name="chunks")
        for text in ("one ", "two "):
            await chunks.write(text, last=text == "two ")
        await turn.complete("Done.")


@pytest.fixture
async def agent(rpc: JsonRpcClient) -> AsyncIterator[Golden]:
    golden = Golden()
    made = make_agent(
        golden.run,
        name="Golden",
        slug="golden",
        description="Gives one of everything.",
        input_modes=("text/plain", "application/json"),
    )
    with registry.registered(made):
        yield golden


def test_every_operation_is_in_every_version_and_binding_that_has_it() -> None:
    assert set(OPERATIONS) <= set(REQUESTS)
    for name in OPERATIONS:
        assert len(REQUESTS[name]) == (3 if name == "ListTasks" else 4)


def test_every_golden_file_is_that_of_an_exchange() -> None:
    assert set(FOLDER.rglob("*.http")) == {_path(name, form) for name, form in CASES}


@pytest.mark.parametrize(("name", "form"), CASES)
async def test_the_exchange_is_that_of_the_golden_file(
    a2a: ChangeSettings, rpc: JsonRpcClient, agent: Golden, name: str, form: str
) -> None:
    if name == "card with security":
        a2a(ANONYMOUS="refuse", AUTHENTICATION=AUTHENTICATORS)
    request = REQUESTS[name][form].for_task(await _task(rpc, agent, name))
    response = await _ask(rpc, request)
    if name == "SubscribeToTask":
        asked = {"id": _task_id(request), "metadata": {}}
        await rpc.result("CancelTask", agent="golden", **asked)
    answer = await _content(response, agent)
    _compare(_path(name, form), _shown(request, response, answer))


def _path(name: str, form: str) -> Path:
    return FOLDER / form / f"{name.replace(' ', '-')}.http"


async def _task(rpc: JsonRpcClient, agent: Golden, name: str) -> str:
    """Make the task that the request is about; none where it makes its own."""
    if name == "SendStreamingMessage":
        return ""
    agent.may_begin.set()
    if name == "SendMessage" or name.startswith("card"):
        return ""
    text = AUTH if name in ON_WAITING else "hello"
    said = {**MESSAGE, "parts": [{"text": text}]}
    result = await rpc.result("SendMessage", agent="golden", message=said)
    task_id = str(result["task"]["id"])
    if "Push" in name and not name.startswith("Create"):
        made = {"taskId": task_id, "id": "1", "url": "https://192.0.43.10/hook"}
        await rpc.result("CreateTaskPushNotificationConfig", agent="golden", **made)
    return task_id


def _task_id(request: Request) -> str:
    [task_id] = set(UUID.findall(request.path + json.dumps(request.body)))
    return str(task_id)


async def _ask(rpc: JsonRpcClient, request: Request) -> HttpResponseBase:
    body = b"" if request.body is None else _compact(request.body).encode()
    headers = {"A2A-Version": request.version} if request.version else {}
    async with asyncio.timeout(SECONDS):
        return await rpc.http.generic(
            request.verb, request.path, body, request.media_type, headers=headers
        )


async def _content(response: HttpResponseBase, agent: Golden) -> str:
    """Read an answer; the agent begins when the stream's first item is there."""
    if not isinstance(response, StreamingHttpResponse):
        content: bytes = response.content  # type: ignore[attr-defined]  # no stream, by its type
        return content.decode()
    frames = b""
    async with asyncio.timeout(SECONDS):
        async for frame in response:
            agent.may_begin.set()
            frames += frame
    return frames.decode()


def _compact(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def _shown(request: Request, response: HttpResponseBase, answer: str) -> str:
    """Write an exchange down, with ids by their first appearance and without times."""
    sent = [f"{request.verb} {request.path}"]
    if request.version:
        sent.append(f"A2A-Version: {request.version}")
    if request.body is not None:
        sent += [f"Content-Type: {request.media_type}", "", _compact(request.body)]
    headers = [f"{name}: {response[name]}" for name in HEADERS if name in response]
    received = [str(response.status_code), *headers, "", answer]
    ids: dict[str, str] = {}
    text = "\n".join([*sent, "", *received]).rstrip() + "\n"
    text = UUID.sub(lambda found: ids.setdefault(found[0], f"id-{len(ids) + 1}"), text)
    return TIME.sub("TIME", text)


def _compare(path: Path, text: str) -> None:
    if os.environ.get("A2A_GOLDEN") == "write":
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        pytest.fail(f"{path.name} is written again: review it, and run without A2A_GOLDEN.")
    assert text == path.read_text()
