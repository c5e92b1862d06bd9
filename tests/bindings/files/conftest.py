"""What the tests of files share: parts with bytes, two users, and a storage without paths."""

import json
from base64 import b64encode
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import pytest
from asgiref.sync import sync_to_async
from django.contrib.auth.models import User
from django.core.files.storage import storages
from django.http.response import HttpResponse, HttpResponseBase
from django.test import AsyncClient

from a2a_app import models
from tests.bindings import users
from tests.clients.json_rpc import JsonRpcClient
from tests.conftest import ChangeSettings
from tests.wire import message

WHO = f"{users.__name__}.by_username"
# Every byte there is, and more than the limit.
LARGE = bytes(range(256)) * 400
ABOUT = {"filename": "all.bin", "mediaType": "application/x-all"}


def file_of(
    raw: bytes = LARGE, version: str = "1.0", about: dict[str, str] = ABOUT
) -> dict[str, Any]:
    """Make a part that has bytes, as a version writes it."""
    coded = b64encode(raw).decode()
    if version == "1.0":
        return {"raw": coded, **about}
    file = {"bytes": coded, "name": about["filename"], "mimeType": about["mediaType"]}
    return {"kind": "file", "file": file}


def said_with(*parts: dict[str, Any], version: str = "1.0") -> dict[str, Any]:
    """Make a client's message of parts."""
    if version == "1.0":
        return message(parts=list(parts))
    return {"messageId": "1", "role": "user", "kind": "message", "parts": list(parts)}


def made(size: int, fill: int = 7) -> dict[str, Any]:
    """Make a message that has the courier make a file."""
    return message(json.dumps({"size": size, "fill": fill}))


def found_links(value: Any) -> list[str]:
    """Give all URLs in JSON values, in order, in the words of whichever version."""
    if isinstance(value, list):
        return [link for each in value for link in found_links(each)]
    if not isinstance(value, dict):
        return []
    urls = [value[key] for key in ("url", "uri", "fileWithUri") if isinstance(value.get(key), str)]
    return urls + [link for each in value.values() for link in found_links(each)]


@pytest.fixture(autouse=True)
def _two_users(a2a: ChangeSettings, rpc: JsonRpcClient) -> None:
    a2a(ANONYMOUS="refuse", AUTHENTICATION=[WHO], STORAGE="memory")


@pytest.fixture(autouse=True)
async def _ann_and_bob(rpc: JsonRpcClient) -> None:
    for name in ("ann", "bob"):
        await sync_to_async(User.objects.create)(username=name)


class Site:
    """The project, for one user."""

    def __init__(self, rpc: JsonRpcClient, user: str = "ann") -> None:
        self.rpc = rpc
        self.user = user

    async def task(self, said: dict[str, Any], agent: str = "courier") -> dict[str, Any]:
        """Send a message and give the task."""
        answer = await self.call("SendMessage", agent, message=said)
        assert "result" in answer, answer
        task: dict[str, Any] = answer["result"]["task"]
        return task

    async def call(self, method: str, agent: str = "courier", **params: Any) -> dict[str, Any]:
        """Give the answer to a call."""
        return await self.rpc.call(method, params, agent=agent, X_User=self.user)

    async def get(self, link: str, method: str = "GET") -> HttpResponseBase:
        """Ask for what a link leads to."""
        headers = {"X-User": self.user} if self.user else {}
        client = AsyncClient(raise_request_exception=False)
        place = urlsplit(link)
        return await client.generic(method, f"{place.path}?{place.query}", headers=headers)

    async def bytes_of(self, link: str) -> bytes:
        """Give the bytes that a link leads to."""
        response = await self.get(link)
        assert response.status_code == 200, response
        return await whole(response)


def content_of(response: HttpResponseBase) -> bytes:
    assert isinstance(response, HttpResponse), response
    return response.content


async def whole(response: HttpResponseBase) -> bytes:
    pieces = [piece async for piece in response]  # type: ignore[attr-defined]  # it is a stream
    assert len(pieces) > 1 or len(pieces[0]) <= 64 * 1024
    response.close()
    return b"".join(pieces)


@pytest.fixture
def ann(rpc: JsonRpcClient) -> Site:
    return Site(rpc)


@pytest.fixture
def bob(rpc: JsonRpcClient) -> Site:
    return Site(rpc, "bob")


async def rows() -> int:
    return await models.File.objects.acount()


def names() -> list[str]:
    """Give the names of all that is in the storage."""
    storage, found, waiting = storages["memory"], [], [""]
    while waiting:
        folder = waiting.pop()
        folders, inside = storage.listdir(folder)
        found += [f"{folder}{name}" for name in inside]
        waiting += [f"{folder}{name}/" for name in folders]
    return found


@pytest.fixture(autouse=True)
def _empty_storage() -> Iterator[None]:
    yield
    for name in names():
        storages["memory"].delete(name)
