"""Actions with many rows: each asks with the true number, works in batches, and tells the end."""

import asyncio
import re
import threading
from contextlib import suppress
from datetime import UTC, datetime
from html import unescape
from typing import Any, cast

import pytest
from django.contrib.admin.models import DELETION, LogEntry
from django.contrib.auth.models import User
from django.db import connections
from django.test import AsyncClient, Client
from django.urls import reverse

from a2a_app import database, models
from a2a_app.admin import actions
from a2a_app.agents import Agent, Turn, TurnCaller
from a2a_app.operations.call import OPERATOR
from a2a_app.protocol import Part, Role, Task, TaskState, UnsupportedOperationError
from a2a_app.runners import cleanup
from tests.admin.test_waiting import staff
from tests.clients.operations import client_of
from tests.tasks import new_message

pytestmark = pytest.mark.usefixtures("runtime")

SECONDS = 20
FAR = datetime(2100, 1, 1, tzinfo=UTC)
TASKS = reverse("admin:a2a_app_task_changelist")
HIDDEN = re.compile(r'<input type="hidden" name="([^"]+)" value="([^"]*)">')


async def asks(turn: Turn) -> None:
    await turn.input_required("How many?")


async def echo(turn: Turn) -> None:
    [part] = turn.message.parts
    content = await turn.read(part) if part.url else turn.text
    references, mark = turn.message.reference_task_ids, turn.message.metadata.get(OPERATOR)
    await turn.complete(f"{content!r} {references} {mark}")


def form_of(page: str) -> dict[str, Any]:
    """Return what the form of a page sends."""
    fields: dict[str, Any] = {"_selected_action": []}
    for name, escaped in HIDDEN.findall(page):
        value = unescape(escaped)
        if name == "_selected_action":
            fields[name].append(value)
        else:
            fields[name] = value
    return fields


async def chosen(browser: AsyncClient, action: str, *task_ids: str) -> Any:
    """Choose tasks, or all of them, and return the page that asks."""
    some = list(task_ids) or ["all"]
    given = {"action": action, "_selected_action": some, "select_across": str(int(not task_ids))}
    return await browser.post(TASKS, given)


@pytest.mark.slow
async def test_an_action_for_all_is_done_in_batches_and_tells_the_end_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(actions, "SECONDS", 0)
    monkeypatch.setattr(actions, "BATCH", 2)
    with client_of(asks) as client, client_of(asks, slug="other", cancelable=False) as other:
        tasks = [await client.send() for _ in range(5)]
        await other.send()
        await client.cancel(tasks[0].id)
        browser, user = await staff("view_task", "change_task")
        page = await chosen(browser, "cancel_tasks")
        assert re.findall(r'a2a-figure">(\d+)<', page.text) == ["6", "4"]
        assert "go_on.js" not in page.text
        late = await client.send()
        page = cast("Any", await browser.post(TASKS, form_of(page.text)))
        assert "2 of 4 are dealt with" in page.text and "go_on.js" in page.text
        end: Any = await browser.post(TASKS, form_of(page.text))
        assert end.status_code == 302
        shown: Any = await browser.get(TASKS)
        assert "Canceled: 4." in shown.text
        states = {task.id: (await client.get(task.id)).status.state for task in tasks}
        assert set(states.values()) == {TaskState.CANCELED}
        canceled = await client.get(tasks[1].id)
        # What came after the page had asked is not meant.
        assert (await client.get(late.id)).status.state is TaskState.INPUT_REQUIRED
    assert canceled.metadata == {OPERATOR: {"user": f"user:{user.pk}"}}
    assert await LogEntry.objects.acount() == 4
    # By name to staff, and by a key to the client.
    names = [await _canceled_by(browser, task.id) for task in tasks]
    assert names == [[], *[["ann"]] * 4]
    key = f"user:{user.pk}"
    await user.adelete()
    boss, _ = await staff("view_task", name="boss")
    assert await _canceled_by(boss, tasks[1].id) == [key]


async def _canceled_by(browser: AsyncClient, task_id: str) -> list[str]:
    page: Any = await browser.get(reverse("admin:a2a_app_task_change", args=[task_id]))
    return re.findall("<dt>Canceled by</dt><dd>([^<]*)</dd>", page.text)


@pytest.mark.slow
async def test_tasks_run_again_as_new_ones_that_refer_to_the_old_ones() -> None:
    with client_of(echo, input_modes=["*/*"]) as client:
        old = await client.send("one")
        message = new_message("").model_copy(update={"parts": [Part(raw=b"x" * 200_000)]})
        large = await client.send(message)
        browser, user = await staff("view_task", "rerun_task")
        page = await chosen(browser, "rerun_tasks", old.id)
        assert (await browser.post(TASKS, form_of(page.text))).status_code == 302
        # By the button of the task's own page.
        path = reverse("admin:a2a_app_task_rerun", args=[large.id])
        told = (await browser.post(path, follow=True)).content.decode()
        found = [task async for task in models.Task.objects.order_by("pk")]
        new, new_large = [str(task.pk) for task in found[2:]]
        link = reverse("admin:a2a_app_task_change", args=[new_large])
        assert f'<a href="{link}">It runs again, as a new task.</a>' in told
        for key in (new, new_large):
            with suppress(UnsupportedOperationError):  # It has ended already.
                _ = [event async for event in client.subscribe(key)]
        task, second = await client.get(new), await client.get(new_large)
    assert task.context_id == old.context_id
    assert task.status.message is not None
    mark = {"user": f"user:{user.pk}"}
    assert task.status.message.text == f"'one' {[old.id]} {mark}"
    assert second.status.message is not None
    assert second.status.message.text.startswith("b'xxx")


async def test_a_task_without_a_message_of_its_client_is_left_out_and_the_reason_told() -> None:
    with client_of(echo) as client:
        old = await client.send("one")
        # As one that came from a store of the official SDK without its history.
        await models.Message.objects.aupdate(role=Role.AGENT.value)
        browser, _ = await staff("view_task", "rerun_task")
        page = await chosen(browser, "rerun_tasks", old.id)
        done = await browser.post(TASKS, form_of(page.text), follow=True)
    assert "1: It has no message of its client." in done.content.decode()


async def test_only_tasks_that_have_ended_are_deleted() -> None:
    with client_of(asks) as client:
        open_task, ended = await client.send(), await client.send()
        await client.cancel(ended.id)
        browser, _ = await staff("view_task", "delete_task")
        page = await chosen(browser, "delete_tasks", open_task.id, ended.id)
        assert re.findall(r'a2a-figure">(\d+)<', page.text) == ["2", "1"]
        await browser.post(TASKS, form_of(page.text))
    left = [str(task.pk) async for task in models.Task.objects.all()]
    assert left == [open_task.id]
    [entry] = [entry async for entry in LogEntry.objects.all()]
    assert (entry.action_flag, entry.object_id) == (DELETION, ended.id)


async def test_a_task_stays_while_an_agent_that_it_has_asked_is_to_hear_of_the_cancel() -> None:
    with client_of(asks) as client:
        ended = await client.send()
        await client.cancel(ended.id)
        task = await models.Task.objects.aget(pk=ended.id)
        await models.Task.objects.filter(pk=task.pk).aupdate(linked=True)
        asked = await models.RemoteTask.objects.acreate(
            task=task,
            turn=1,
            number=1,
            name="ask",
            agent="http://127.0.0.1:9/",
            is_local=False,
            remote_id="7",
            cancel_at=FAR,
        )
        browser, _ = await staff("view_task", "delete_task")
        page = await chosen(browser, "delete_tasks", ended.id)
        answer = await browser.post(TASKS, form_of(page.text), follow=True)
        assert "has still to hear that it is canceled" in answer.content.decode()
        await models.RemoteTask.objects.filter(pk=asked.pk).aupdate(cancel_at=None, ended_at=FAR)
        page = await chosen(browser, "delete_tasks", ended.id)
        await browser.post(TASKS, form_of(page.text))
    assert not await models.Task.objects.aexists()


async def test_an_agent_cleans_up_to_its_end_where_staff_cancels_by_wsgi(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(cleanup, "CLEANUP_SECONDS", 0.01)
    released, is_clean = threading.Event(), threading.Event()

    class Tidy(Agent):
        async def run(self, turn: Turn) -> None:
            await turn.input_required("How many?")

        async def cancel(self, task: Task, caller: TurnCaller) -> None:
            await asyncio.to_thread(released.wait, SECONDS)
            is_clean.set()

    def press(path: str) -> int:
        browser = Client()
        browser.force_login(User.objects.create_superuser("boss"))
        try:
            return browser.post(path).status_code
        finally:
            connections.close_all()

    with client_of(Tidy) as client:
        task = await client.send()
        path = reverse("admin:a2a_app_task_cancel", args=[task.id])
        # In a thread of its own, since that has no event loop, as a server of WSGI has none.
        assert await asyncio.to_thread(press, path) == 302
        assert (await client.get(task.id)).status.state is TaskState.CANCELED
        released.set()
        assert await asyncio.to_thread(is_clean.wait, SECONDS)


@pytest.mark.parametrize("action", ["cancel_tasks", "rerun_tasks", "delete_tasks"])
async def test_each_action_needs_its_permission(action: str) -> None:
    with client_of(asks) as client:
        task = await client.send()
        browser, _ = await staff("view_task")
        given = {"action": action, "confirmed": "1", "_selected_action": [task.id]}
        await browser.post(TASKS, given)
        assert action not in (await chosen(browser, "none", task.id)).text
        for name in ("cancel", "rerun"):
            path = reverse(f"admin:a2a_app_task_{name}", args=[task.id])
            assert (await browser.post(path)).status_code == 403
        assert (await client.get(task.id)).status.state is TaskState.INPUT_REQUIRED
        assert await database.run(models.Task.objects.count) == 1


async def test_a_request_that_was_tampered_with_is_no_error() -> None:
    with client_of(asks) as client:
        task = await client.send()
        browser, _ = await staff("view_task", "change_task")
        for hostile in ("[1]", "{", '{"<script>": "x"}', "null"):
            given = {"action": "cancel_tasks", "confirmed": "1", "_selected_action": [task.id]}
            done = await browser.post(
                TASKS, {**given, "counts": hostile, "first": "x", "total": "-1"}
            )
            assert done.status_code == 302
        assert (await client.get(task.id)).status.state is TaskState.CANCELED
