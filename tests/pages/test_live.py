"""The stream by which a task's page follows the task."""

import asyncio
import json
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any, TypeAlias

import pytest
from asgiref.sync import sync_to_async
from django.contrib.auth.models import Permission, User
from django.db import connections
from django.test import AsyncClient, Client
from django.urls import reverse

from a2a_app import database
from a2a_app.protocol import TaskState
from a2a_app.store.claims import Claim
from a2a_app.store.notify import notify
from a2a_app.store.updates import Update
from a2a_app.store.writes.append import append
from tests.conftest import ChangeSettings
from tests.tasks import begin_and_claim, chunk, status

pytestmark = pytest.mark.usefixtures("runtime")

SECONDS = 20

Stream: TypeAlias = AsyncGenerator[Any, None]


async def staff(*permissions: str) -> AsyncClient:
    def made() -> User:
        user = User.objects.create(username="someone", is_staff=True)
        user.user_permissions.set(Permission.objects.filter(codename__in=permissions))
        return user

    client = AsyncClient()
    await client.aforce_login(await sync_to_async(made)())
    return client


def live(claim: Claim, query: str = "") -> str:
    return reverse("admin:a2a_app_task_live", args=[claim.head.task_id]) + query


@asynccontextmanager
async def heard(client: AsyncClient, url: str, **headers: str) -> AsyncIterator[Stream]:
    """Open a stream; yield what it says: numbers with what was said, and `None` at its end."""
    response: Any = await client.get(url, headers=headers)
    assert response.status_code == 200

    async def items() -> Stream:
        async for piece in response:
            lines = [line for line in piece.decode().splitlines() if line[:1] != ":"]
            fields = dict(line.split(": ", 1) for line in lines if line)
            if fields.get("event") == "end":
                yield None
            elif fields:
                yield int(fields["id"]), json.loads(fields["data"])

    async with asyncio.timeout(SECONDS):
        stream = items()
        try:
            yield stream
        finally:
            await stream.aclose()
            await response.streaming_content.aclose()


async def write(claim: Claim, *updates: Update) -> Claim:
    """Append to a task, tell its streams, and return the claim of what the task is now."""
    appended = await database.run(lambda: append(claim.head, list(updates), run=claim.run))
    await notify(appended)
    return replace(claim, head=appended.head)


async def open_artifact() -> tuple[Claim, int]:
    claim = await write(await database.run(begin_and_claim), chunk("a", append=False))
    return claim, claim.head.seq


@pytest.mark.slow
async def test_a_page_hears_text_as_it_is_written_and_that_something_else_has_changed() -> None:
    claim, seq = await open_artifact()
    client = await staff("view_task", "view_artifact")
    async with heard(client, live(claim, f"?after={seq}")) as stream:
        claim = await write(claim, chunk("b"), chunk("c"))
        texts = [[seq + 1, "a", "b"], [seq + 2, "a", "c"]]
        assert await anext(stream) == (seq + 2, {"texts": texts, "changed": False})
        claim = await write(claim, status(TaskState.WORKING, "Nearly."))
        assert await anext(stream) == (seq + 3, {"texts": [], "changed": True})
        claim = await write(claim, chunk("d", last=True), status(TaskState.COMPLETED))
        assert await anext(stream) == (seq + 5, {"texts": [], "changed": True})
        assert await anext(stream) is None
    assert (await client.get(live(claim))).status_code == 204


async def test_a_page_that_lost_its_connection_goes_on_where_it_was() -> None:
    claim, seq = await open_artifact()
    claim = await write(claim, chunk("b"), chunk("c"))
    client = await staff("view_task", "view_artifact")
    last = {"Last-Event-ID": str(seq + 1)}
    async with heard(client, live(claim, "?after=1"), **last) as stream:
        assert await anext(stream) == (
            seq + 2,
            {"texts": [[seq + 2, "a", "c"]], "changed": False},
        )


async def test_who_may_not_view_artifacts_hears_no_text() -> None:
    claim, seq = await open_artifact()
    client = await staff("view_task")
    async with heard(client, live(claim, f"?after={seq}")) as stream:
        claim = await write(claim, chunk("b"))
        assert await anext(stream) == (seq + 1, {"texts": [], "changed": False})


@pytest.mark.slow
@pytest.mark.parametrize(("lost", "status_then"), [("view_task", 403), ("view_artifact", 200)])
async def test_a_stream_ends_once_its_reader_may_not_view_what_it_has_any_more(
    a2a: ChangeSettings, lost: str, status_then: int
) -> None:
    a2a(ACCESS_SECONDS=0.2)
    claim, seq = await open_artifact()
    client = await staff("view_task", "view_artifact")

    def take_away() -> None:
        User.objects.get().user_permissions.remove(Permission.objects.get(codename=lost))

    async with heard(client, live(claim, f"?after={seq}")) as stream:
        claim = await write(claim, chunk("b"))
        assert (await anext(stream))[0] == seq + 1
        await sync_to_async(take_away)()
        assert await anext(stream) is None
    again: Any = await client.get(live(claim))
    assert again.status_code == status_then
    again.close()


async def test_the_stream_of_a_task_is_for_who_may_view_the_task() -> None:
    claim, _ = await open_artifact()
    assert (await (await staff("view_artifact")).get(live(claim))).status_code == 403
    assert (await AsyncClient().get(live(claim))).status_code == 302


async def test_what_is_no_number_begins_at_the_newest() -> None:
    claim, seq = await open_artifact()
    client = await staff("view_task")
    for query in ("?after=x", "?after=999999", ""):
        async with heard(client, live(claim, query)) as stream:
            claim = await write(claim, chunk("b"))
            seq += 1
            assert (await anext(stream))[0] == seq


async def test_under_wsgi_a_page_asks_by_itself() -> None:
    claim, _ = await open_artifact()

    def page() -> str:
        try:
            browser = Client()
            browser.force_login(User.objects.create_superuser("boss"))
            url = reverse("admin:a2a_app_task_change", args=[claim.head.task_id])
            return browser.get(url).content.decode()
        finally:
            connections.close_all()

    shown = await sync_to_async(page)()
    assert 'data-poll="2000"' in shown and "data-live" not in shown
