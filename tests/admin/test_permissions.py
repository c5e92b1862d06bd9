"""Permissions: a page of the admin shows rows of a model to staff with its permission only."""

from typing import Any

import pytest
from asgiref.sync import sync_to_async
from django.apps import apps
from django.contrib.admin.models import CHANGE, LogEntry
from django.contrib.auth.backends import BaseBackend
from django.contrib.auth.models import Permission, User
from django.test import Client as Browser
from django.urls import reverse

from a2a_app import models
from a2a_app.agents import Turn
from a2a_app.models.owners import Scope
from a2a_app.protocol import TaskState
from a2a_app.store.updates import Returned, Update
from a2a_app.store.writes.append import append
from tests.clients.operations import client_of
from tests.people import fill
from tests.tasks import SCOPE, begin, begin_and_claim, chunk, status

# What each model says of a task that nobody sees without the permission to view that model.
SAID = {
    "message": ["said by the client", "said with the status"],
    "artifact": ["written in the artifact"],
    "event": ["statusUpdate", "written in the artifact", "said with the status"],
    "run": ["planted traceback", "the worker"],
    "file": ["planted name"],
}
PAGES = {
    "task": models.Task, "context": models.Context, "run": models.Run, "file": models.File,
    "pushnotificationconfig": models.PushNotificationConfig, "apikey": models.ApiKey,
}  # fmt: skip  # as one list


def browser(*permissions: str) -> Browser:
    user = User.objects.create(username="someone", is_staff=True)
    user.user_permissions.set(Permission.objects.filter(codename__in=permissions))
    made = Browser()
    made.force_login(user)
    return made


def page_of_a_task(*permissions: str) -> str:
    claim = begin_and_claim("the worker", text="said by the client")
    updates: list[Update] = [
        chunk("written in the artifact", append=False, last=True),
        status(TaskState.FAILED, "said with the status", error="planted traceback"),
        Returned(),
    ]
    task_id = append(claim.head, updates, run=claim.run).head.task_id
    models.File.objects.create(
        task_id=task_id, context_id=claim.head.context_key, filename="planted name", size=1
    )
    page = reverse("admin:a2a_app_task_change", args=[task_id])
    someone = browser(*permissions)
    response = someone.get(page)
    assert response.status_code == 200
    # What the page leads to is a part of it.
    events = someone.get(reverse("admin:a2a_app_task_events", args=[task_id]))
    assert events.status_code == (200 if "view_event" in permissions else 403)
    return response.content.decode() + events.content.decode()


@pytest.mark.django_db
@pytest.mark.parametrize("model", [*SAID, ""])
def test_a_task_shows_rows_of_a_model_to_whom_may_view_that_model(model: str) -> None:
    page = page_of_a_task("view_task", f"view_{model}")
    allowed = SAID.get(model, [])
    hidden = {text for texts in SAID.values() for text in texts} - set(allowed)
    assert [text for text in allowed if text not in page] == []
    assert [text for text in hidden if text in page] == []


@pytest.mark.django_db
@pytest.mark.parametrize("model", PAGES)
def test_each_page_needs_the_permission_of_its_own_model(empty_storages: None, model: str) -> None:
    fill(SCOPE, User.objects.create(username="ann"))
    row = PAGES[model]._default_manager.all()[0]
    pages = [
        reverse(f"admin:a2a_app_{model}_changelist"),
        reverse(f"admin:a2a_app_{model}_change", args=[row.pk]),
    ]
    others = [f"view_{each}" for each in PAGES if each != model]
    someone = browser(*others)
    assert [someone.get(page).status_code for page in pages] == [403, 403]
    user = User.objects.get(username="someone")
    user.user_permissions.set(Permission.objects.filter(codename=f"view_{model}"))
    assert [someone.get(page).status_code for page in pages] == [200, 200]


@pytest.mark.django_db
@pytest.mark.parametrize("model", ["approval", "file", "pushnotificationconfig", "tokenusage"])
def test_a_list_leads_those_to_a_task_who_may_see_tasks(empty_storages: None, model: str) -> None:
    fill(SCOPE)
    someone = browser(f"view_{model}")
    listed = reverse(f"admin:a2a_app_{model}_changelist")
    row: Any = apps.get_model("a2a_app", model)._default_manager.latest("pk")
    link = f'href="{reverse("admin:a2a_app_task_change", args=[row.task_id])}"'
    page = someone.get(listed).content.decode()
    assert f"…{row.task_id.hex[-12:]}" in page and link not in page
    view_task = Permission.objects.get(codename="view_task")
    User.objects.get(username="someone").user_permissions.add(view_task)
    assert link in someone.get(listed).content.decode()


async def test_a_task_that_staff_cancels_is_in_the_log(runtime: None) -> None:
    async def asks(turn: Turn) -> None:
        await turn.input_required("Which one?")

    def cancel(task_id: str) -> list[tuple[int, str]]:
        ticked = {"action": "cancel_tasks", "confirmed": "1", "_selected_action": [task_id]}
        someone = browser("view_task", "change_task")
        someone.post(reverse("admin:a2a_app_task_changelist"), ticked)
        page = someone.get(reverse("admin:a2a_app_task_change", args=[task_id]))
        history = reverse("admin:a2a_app_task_history", args=[task_id])
        assert history in page.content.decode()
        assert "Changed state to “canceled”." in someone.get(history).content.decode()
        entries = LogEntry.objects.filter(object_id=task_id, user__username="someone")
        return [(entry.action_flag, entry.get_change_message()) for entry in entries]

    with client_of(asks) as client:
        task = await client.send()
        assert await sync_to_async(cancel)(task.id) == [(CHANGE, "Changed state to “canceled”.")]


@pytest.mark.django_db
def test_a_webhook_that_staff_sends_to_again_is_in_the_log(empty_storages: None) -> None:
    fill(SCOPE)
    [hook] = models.PushNotificationConfig.objects.all()
    ticked = {"action": "send_again", "confirmed": "1", "_selected_action": [str(hook.pk)]}
    someone = browser("view_pushnotificationconfig", "change_pushnotificationconfig")
    listed = reverse("admin:a2a_app_pushnotificationconfig_changelist")
    someone.post(listed, ticked)  # it does not fail, so nothing is done
    models.PushNotificationConfig.objects.update(failing_since=hook.created_at)
    someone.post(listed, ticked)
    entries = LogEntry.objects.filter(object_id=str(hook.pk))
    assert [entry.get_change_message() for entry in entries] == ["Changed next delivery to now."]


class OneTask(BaseBackend):
    """Knows a permission for one row, as django-guardian does."""

    def has_perm(self, user_obj: Any, perm: str, obj: Any = None) -> bool:
        """Let everybody view the tasks of one agent."""
        return perm == "a2a_app.view_task" and obj is not None and obj.agent == "shown"


@pytest.mark.django_db
def test_a_permission_for_one_row_opens_its_page_and_no_other(settings: Any) -> None:
    backend = f"{OneTask.__module__}.{OneTask.__name__}"
    settings.AUTHENTICATION_BACKENDS = [*settings.AUTHENTICATION_BACKENDS, backend]
    made = browser()
    statuses = []
    for agent in ("shown", "load"):
        task = begin(scope=Scope(agent, "")).head.task_id
        page = reverse("admin:a2a_app_task_change", args=[task])
        statuses.append(made.get(page).status_code)
    assert statuses == [200, 403]
    assert made.get(reverse("admin:a2a_app_task_changelist")).status_code == 403
