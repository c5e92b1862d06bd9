"""The admin: it shows every task with all that happened to it, and changes nothing by itself."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from django.contrib.auth.models import Permission, User
from django.db import connection, connections
from django.test import Client as Browser
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from a2a_app import models
from a2a_app.admin import lists
from a2a_app.agents import Turn
from a2a_app.models.owners import Scope
from a2a_app.protocol import TaskState
from a2a_app.store.writes.append import append
from tests.clients.operations import client_of
from tests.tasks import SCOPE, begin, begin_and_claim, chunk, new_message, status

SECONDS = 20
TASKS = reverse("admin:a2a_app_task_changelist")
HOSTILE = "<script>alert('a2a')</script>"
ECHO = Scope("echo", "")
ESCAPED = "&lt;script&gt;alert(&#x27;a2a&#x27;)&lt;/script&gt;"


def page_of(task_id: object) -> str:
    return reverse("admin:a2a_app_task_change", args=[task_id])


def browser(*permissions: str) -> Browser:
    """Log in staff with these permissions; where none is named, with all."""
    user = User.objects.create(username="someone", is_staff=True, is_superuser=not permissions)
    user.user_permissions.set(Permission.objects.filter(codename__in=permissions))
    made = Browser()
    made.force_login(user)
    return made


async def see(visit: Callable[[Browser], Any], *permissions: str) -> Any:
    """Visit the admin beside an event loop, as a server does."""

    def visit_and_leave() -> Any:
        try:
            return visit(browser(*permissions))
        finally:
            connections.close_all()

    async with asyncio.timeout(SECONDS):
        return await sync_to_async(visit_and_leave)()


def text_of(path: str, **query: str) -> Callable[[Browser], str]:
    def visit(someone: Browser) -> str:
        response = someone.get(path, query)
        assert response.status_code == 200
        return response.content.decode()

    return visit


async def conversation(turn: Turn) -> None:
    """Ask once, and then return data and a text."""
    if turn.number == 1:
        await turn.input_required(f"Which one? {HOSTILE}")
        return
    await turn.artifact({"answer": turn.text}, name="numbers")
    await turn.artifact(HOSTILE, name=HOSTILE)
    await turn.complete("Here you are.")


async def test_the_page_of_a_task_shows_all_that_happened(runtime: None) -> None:
    with client_of(conversation) as client:
        asked = await client.send("First question")
        await client.send(new_message("Forty-two", task_id=asked.id))
    page = await see(text_of(page_of(asked.id)))
    for shown in (
        asked.id, "First question", "Forty-two", "Here you are.", "&quot;answer&quot;",
        "ended the turn, not the task", "completed the task", "input required", "numbers: 1 chunk",
    ):  # fmt: skip  # one line each would be a page
        assert shown in page, shown
    assert HOSTILE not in page
    assert page.count(ESCAPED) >= 3


async def test_the_page_of_a_failed_task_shows_the_traceback_to_the_admin_only(
    runtime: None,
) -> None:
    async def broken(turn: Turn) -> None:
        raise ValueError(HOSTILE)

    with client_of(broken) as client:
        task = await client.send()
    assert "ValueError" not in task.to_json()
    page = await see(text_of(page_of(task.id)))
    assert "Traceback (most recent call last)" in page
    assert f"ValueError: {ESCAPED}" in page
    assert HOSTILE not in page


@pytest.mark.django_db
@pytest.mark.parametrize("many", [1, 40])
def test_the_list_takes_as_many_queries_for_many_tasks_as_for_one(many: int) -> None:
    for _ in range(many):
        begin()
    someone = browser()
    with CaptureQueriesContext(connection) as queries:
        page = text_of(TASKS)(someone)
    assert page.count("field-short_id") == many
    # The owners of the newest; how many there are, the tasks with their contexts, and how their
    # requests begin.
    assert _reads_of_the_page(queries) == 4


@pytest.mark.django_db
@pytest.mark.parametrize("many", [1, 40])
def test_a_task_takes_as_many_queries_however_much_happened(many: int) -> None:
    claim = begin_and_claim()
    updates = [status(TaskState.WORKING, f"step {n}") for n in range(many)]
    chunks = [chunk("x", key=f"artifact {n}", append=False) for n in range(many)]
    append(claim.head, [*updates, *chunks], run=claim.run)
    someone = browser()
    with CaptureQueriesContext(connection) as queries:
        text_of(page_of(claim.head.task_id))(someone)
    # The task; its files, messages, artifacts, and the chunks of open ones; its changes, and all
    # chunks together; its runs and webhooks.
    assert _reads_of_the_page(queries) == 10


def _reads_of_the_page(queries: CaptureQueriesContext) -> int:
    """Count the reads of our tables; those of the session and the user are Django's.

    That of the menu is left out, which says on each page how many tasks wait.
    """
    return sum("a2a_app_" in query["sql"] for query in queries) - 1


@pytest.mark.django_db
def test_a_state_is_looked_for_everywhere_and_an_agent_among_the_newest(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(lists, "COUNTED", 2)
    canceled = [begin(scope=scope).head for scope in (SCOPE, ECHO, SCOPE)]
    for head in canceled:
        append(head, [status(TaskState.CANCELED)])
    for _ in range(2):
        begin()
    someone = browser()

    def found(**query: str) -> str:
        page = text_of(TASKS, **query)(someone)
        return "".join("yes" if page_of(head.task_id) in page else "no" for head in canceled)

    assert found(state=TaskState.CANCELED.value) == "yesyesyes"
    assert found(state=TaskState.CANCELED.value, agent="echo") == "noyesno"
    assert found(agent="echo") == "nonono"


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("model", "query"),
    [
        ("task", {"owner__startswith": "x"}),
        ("task", {"owner__contains": "x"}),
        ("run", {"worker": "x"}),
        ("context", {"owner__gt": ""}),
        ("file", {"filename": "x"}),
        ("pushnotificationconfig", {"error__contains": "x"}),
    ],
)
def test_a_url_may_not_filter_by_what_has_no_index(model: str, query: dict[str, str]) -> None:
    listed = reverse(f"admin:a2a_app_{model}_changelist")
    assert browser().get(listed, query).status_code == 400


@pytest.mark.django_db
def test_a_list_stays_in_the_order_of_the_key_whatever_its_url_says() -> None:
    first, second = begin().head.task_id, begin().head.task_id
    someone = browser()
    for order in ("", "1", "4", "-5.2"):
        page = text_of(TASKS, o=order)(someone)
        assert page.index(page_of(second)) < page.index(page_of(first))


@pytest.mark.slow
@pytest.mark.django_db
def test_tasks_are_found_by_state_by_agent_and_by_whole_ids() -> None:
    one, other = begin(context_id="one of the two").head, begin().head
    append(other, [status(TaskState.CANCELED)])
    someone = browser()

    def found(**query: str) -> set[object]:
        page = text_of(TASKS, **query)(someone)
        return {task for task in (one.task_id, other.task_id) if page_of(task) in page}

    assert found() == {one.task_id, other.task_id}
    assert found(state="TASK_STATE_CANCELED") == {other.task_id}
    assert found(agent=SCOPE.agent) == {one.task_id, other.task_id}
    assert found(agent="echo") == set()
    assert found(q=str(one.task_id)) == {one.task_id}
    assert found(q=other.task_id.hex) == {other.task_id}
    assert found(q=" one of the two ") == {one.task_id}
    assert found(q="one of") == set()
    assert found(q=HOSTILE) == set()


@pytest.mark.django_db
@pytest.mark.parametrize("model", ["task", "context", "run"])
def test_nobody_adds_changes_or_deletes_anything(model: str) -> None:
    claim = begin_and_claim()
    keys = {"task": claim.head.task_id, "context": claim.head.context_key, "run": claim.run.id}
    someone = browser()
    shown = reverse(f"admin:a2a_app_{model}_change", args=[keys[model]])
    deleting = reverse(f"admin:a2a_app_{model}_delete", args=[keys[model]])
    listed = reverse(f"admin:a2a_app_{model}_changelist")
    assert someone.get(reverse(f"admin:a2a_app_{model}_add")).status_code == 403
    assert someone.get(listed).status_code == 200
    assert someone.get(shown).status_code == 200
    assert 'name="_save"' not in someone.get(shown).content.decode()
    assert someone.post(shown, {"state": "TASK_STATE_COMPLETED"}).status_code == 403
    assert someone.post(deleting, {"post": "yes"}).status_code == 403
    ticked = {"action": "delete_selected", "_selected_action": [str(keys[model])], "post": "yes"}
    someone.post(listed, ticked)
    assert models.Task.objects.get().state == TaskState.SUBMITTED
    assert models.Run.objects.count() == models.Context.objects.count() == 1


@pytest.mark.django_db
def test_staff_that_may_not_view_tasks_sees_none() -> None:
    task_id = begin().head.task_id
    someone = browser("view_context")
    assert someone.get(TASKS).status_code == 403
    assert someone.get(page_of(task_id)).status_code == 403


def canceling_one(task_id: object) -> Callable[[Browser], str]:
    """Cancel a task by the button of its page, and return the page then."""
    path = reverse("admin:a2a_app_task_cancel", args=[task_id])
    return lambda someone: someone.post(path, follow=True).content.decode()


def canceling(*task_ids: object) -> Callable[[Browser], str]:
    """Tick tasks, choose the action, and return the page that says what came of it."""

    def visit(someone: Browser) -> str:
        ticked = {
            "action": "cancel_tasks",
            "confirmed": "1",
            "_selected_action": [str(each) for each in task_ids],
        }
        return someone.post(TASKS, ticked, follow=True).content.decode()

    return visit


async def test_canceling_in_the_admin_stops_the_agent_and_ends_the_stream(runtime: None) -> None:
    stopped = asyncio.Event()

    async def endless(turn: Turn) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            stopped.set()

    with client_of(endless) as client:
        task = await client.send(return_immediately=True)
        stream = client.subscribe(task.id)
        await anext(stream)
        page = await see(canceling(task.id))
        seen = [item async for item in stream]
        async with asyncio.timeout(SECONDS):
            await stopped.wait()
        again = await client.get(task.id)
    assert "Canceled: 1." in page
    assert seen[-1]["statusUpdate"]["status"]["state"] == "TASK_STATE_CANCELED"
    assert again.status.state is TaskState.CANCELED


async def test_a_task_that_has_ended_stays_as_it_ended_and_the_admin_says_why(
    runtime: None,
) -> None:
    async def quick(turn: Turn) -> str:
        return "Done."

    with client_of(quick) as client:
        task = await client.send()
        page = await see(canceling_one(task.id))
        assert (await client.get(task.id)).status.state is TaskState.COMPLETED
    assert "The task has ended: completed." in page


async def test_a_task_whose_agent_is_gone_is_not_canceled_and_the_admin_says_why(
    runtime: None,
) -> None:
    with client_of(conversation) as client:
        task = await client.send()
    page = await see(canceling_one(task.id))
    assert "There is no agent &#x27;conversation&#x27; any more." in page


async def test_staff_that_may_only_view_tasks_cannot_cancel_them(runtime: None) -> None:
    with client_of(conversation) as client:
        task = await client.send()
        page = await see(canceling(task.id), "view_task")
        assert (await client.get(task.id)).status.state is TaskState.INPUT_REQUIRED
    assert "cancel_tasks" not in page
    assert "Canceled:" not in page


@pytest.mark.django_db
def test_only_a_request_that_changes_something_cancels_and_only_for_who_may() -> None:
    task_id = begin().head.task_id
    cancel = reverse("admin:a2a_app_task_cancel", args=[task_id])
    someone = browser("view_task")
    assert cancel not in text_of(page_of(task_id))(someone)
    assert someone.post(cancel).status_code == 403
    user = User.objects.get(username="someone")
    user.user_permissions.add(Permission.objects.get(codename="change_task"))
    assert cancel in text_of(page_of(task_id))(someone)
    assert someone.get(cancel).status_code == 405
    assert models.Task.objects.get().state == TaskState.SUBMITTED


async def test_staff_that_may_change_tasks_may_cancel_them_and_nothing_else(runtime: None) -> None:
    with client_of(conversation) as client:
        task = await client.send()
        page = await see(canceling(task.id), "view_task", "change_task")
        assert (await client.get(task.id)).status.state is TaskState.CANCELED
    assert "Canceled: 1." in page
