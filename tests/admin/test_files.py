"""Files in the admin: a task's page lists them, and staff that may view them may download them."""

from collections.abc import Iterator

import pytest
from asgiref.sync import sync_to_async
from django.contrib.auth.models import Permission, User
from django.core.files.storage import storages
from django.http import StreamingHttpResponse
from django.http.response import HttpResponseBase
from django.test import AsyncClient
from django.urls import reverse
from pytest_django import Settings

from a2a_app import database, models
from a2a_app.agents import Part, Turn
from tests.admin.test_tasks import ESCAPED, HOSTILE, page_of, see, text_of
from tests.clients.operations import client_of

pytestmark = pytest.mark.usefixtures("runtime")

CONTENT = bytes(range(256)) * 1000


async def generous(turn: Turn) -> None:
    """Return a file."""
    await turn.artifact(Part(raw=CONTENT, filename=HOSTILE, media_type="text/html"))


@pytest.fixture(autouse=True)
def _in_memory(settings: Settings) -> Iterator[None]:
    settings.A2A = {**settings.A2A, "STORAGE": "memory"}
    yield


async def stored() -> models.File:
    with client_of(generous) as client:
        await client.send()
    return await database.run(models.File.objects.get)


async def ask(url: str, *permissions: str) -> HttpResponseBase:
    """Ask for a page of the admin, as staff with these permissions."""

    def visitor() -> User:
        user = User.objects.create(username="someone", is_staff=True)
        user.user_permissions.set(Permission.objects.filter(codename__in=permissions))
        return user

    client = AsyncClient()
    await client.aforce_login(await sync_to_async(visitor)())
    return await client.get(url)


def content_url(row: models.File) -> str:
    return reverse("admin:a2a_app_file_content", args=[row.pk])


async def test_a_tasks_page_lists_its_files_each_with_a_link(runtime: None) -> None:
    row = await stored()
    page = await see(text_of(page_of(row.task_id)))
    assert f'<a href="{content_url(row)}">{ESCAPED}</a>' in page
    assert "text/html" in page and "250.0" in page
    assert HOSTILE not in page


async def test_a_files_own_page_has_the_link_too(runtime: None) -> None:
    row = await stored()
    page = await see(text_of(reverse("admin:a2a_app_file_change", args=[row.pk])), "view_file")
    assert content_url(row) in page
    assert HOSTILE not in page


async def test_staff_that_may_view_files_may_download_them(runtime: None) -> None:
    response = await ask(content_url(await stored()), "view_file")
    assert isinstance(response, StreamingHttpResponse)
    assert b"".join([piece async for piece in response]) == CONTENT
    assert response["Content-Disposition"].startswith("attachment")
    assert response["Content-Security-Policy"] == "default-src 'none'; sandbox"
    response.close()


async def test_staff_that_may_only_view_tasks_downloads_no_files(runtime: None) -> None:
    assert (await ask(content_url(await stored()), "view_task")).status_code == 403


async def test_a_file_that_the_storage_has_lost_is_not_found(runtime: None) -> None:
    row = await stored()
    storages["memory"].delete(row.name)
    assert (await ask(content_url(row), "view_file")).status_code == 404
