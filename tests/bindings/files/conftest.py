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

from a2a_app import models
from tests.bindings import users
from tests.clients.json_rpc import JsonRpcClient
from tests.conftest import ChangeSettings
from tests.storages import stored_names
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
    """Return all URLs in JSON values, in order, in the words of any version."""
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


class FilesClient(JsonRpcClient):
    """Sends messages to the courier as one user, and follows links."""

    def __init__(self, user: str = "ann") -> None:
        super().__init__("courier", X_User=user)
        self.user = user

    async def get(self, link: str, method: str = "GET") -> HttpResponseBase:
        """Request what a link leads to."""
        place = urlsplit(link)
        headers = {"X-User": self.user} if self.user else {}
        return await self.http.generic(method, f"{place.path}?{place.query}", headers=headers)

    async def bytes_of(self, link: str) -> bytes:
        """Return the bytes that a link leads to."""
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
def ann(rpc: JsonRpcClient) -> FilesClient:
    return FilesClient()


@pytest.fixture
def bob(rpc: JsonRpcClient) -> FilesClient:
    return FilesClient("bob")


async def rows() -> int:
    return await models.File.objects.acount()


def empty() -> None:
    """Delete all files, such as those that tests of other folders have left."""
    for name in stored_names():
        storages["memory"].delete(name)


@pytest.fixture(autouse=True)
def _empty_storage() -> Iterator[None]:
    empty()
    yield
    empty()
