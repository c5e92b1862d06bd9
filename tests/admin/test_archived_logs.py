"""Archived logs in the admin: a task's page says where its log is, and leads to it."""

import gzip
import json
from collections.abc import Iterator
from datetime import timedelta
from uuid import UUID

import pytest
from django.http import StreamingHttpResponse
from django.urls import reverse
from django.utils import timezone
from pytest_django import Settings

from a2a_app import database, models
from a2a_app.store.archives import archive_logs
from a2a_app.store.prune import Age
from tests.admin.test_files import ask
from tests.admin.test_tasks import conversation, page_of, see, text_of
from tests.clients.operations import client_of
from tests.tasks import new_message

pytestmark = pytest.mark.usefixtures("runtime")


@pytest.fixture(autouse=True)
def _in_memory(settings: Settings) -> Iterator[None]:
    settings.A2A = {**settings.A2A, "STORAGE": "memory"}
    yield


async def archived() -> UUID:
    with client_of(conversation) as client:
        asked = await client.send("First question")
        await client.send(new_message("Forty-two", task_id=asked.id))
    key = UUID(asked.id)
    moved = await database.run(
        archive_logs, Age(timezone.now() + timedelta(days=1)), [key], "memory"
    )
    assert moved.tasks == 1
    return key


def log_url(key: UUID) -> str:
    return reverse("admin:a2a_app_task_log", args=[key])


async def test_a_tasks_page_says_where_its_log_is(runtime: None) -> None:
    key = await archived()
    row = await database.run(models.Archive.objects.get)
    page = await see(text_of(page_of(key)))
    assert f"<code>{row.name}</code>" in page and "<code>memory</code>" in page
    assert f'<a href="{log_url(key)}">Download</a>' in page
    assert "Here you are." in page


async def test_staff_that_may_view_tasks_and_their_logs_may_download_these(runtime: None) -> None:
    key = await archived()
    response = await ask(log_url(key), "view_task", "view_event")
    assert isinstance(response, StreamingHttpResponse)
    log = b"".join([piece async for piece in response])
    response.close()
    assert response["Content-Disposition"] == f'attachment; filename="{key}.jsonl.gz"'
    assert response["Content-Length"] == str(len(log))
    lines = gzip.decompress(log).decode().splitlines()
    assert [json.loads(line)["seq"] for line in lines] == list(range(1, len(lines) + 1))


@pytest.mark.parametrize("permission", ["view_task", "view_event"])
async def test_staff_with_one_of_the_two_permissions_downloads_no_logs(
    runtime: None, permission: str
) -> None:
    assert (await ask(log_url(await archived()), permission)).status_code == 403


async def test_a_log_that_is_in_no_archive_is_not_found(runtime: None) -> None:
    with client_of(conversation) as client:
        key = UUID((await client.send()).id)
    assert (await ask(log_url(key), "view_task", "view_event")).status_code == 404
