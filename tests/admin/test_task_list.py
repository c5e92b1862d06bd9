"""The list of tasks in the admin: what it says of each, and all that leads to one."""

import re
from typing import Any
from uuid import uuid4

import pytest
from django.contrib.auth.models import User
from django.urls import reverse

from a2a_app import models
from a2a_app.admin import lists
from a2a_app.agents import Turn
from a2a_app.protocol import Part, TaskState
from a2a_app.store.writes.append import append
from tests.admin.test_tasks import ESCAPED, HOSTILE, TASKS, browser, page_of, see, text_of
from tests.clients.operations import client_of
from tests.tasks import begin, begin_and_claim, new_message, status


def found(someone: Any, term: object) -> list[str]:
    """Return the ids of the tasks that a search finds."""
    page = text_of(TASKS, q=str(term))(someone)
    return re.findall(page_of("KEY").replace("KEY", "([0-9a-f-]{36})"), page)


@pytest.mark.django_db
def test_a_task_is_found_by_the_end_of_its_id_as_the_list_shows_it() -> None:
    task, _ = begin().head.task_id, begin()
    someone = browser()
    ends = set(re.findall("…[0-9a-f]{12}", text_of(TASKS)(someone)))
    [shown] = [end for end in ends if end[1:] in task.hex]
    for term in (shown, shown[1:], f" {shown.upper()} "):
        assert found(someone, term) == [str(task)], term
    assert found(someone, shown[2:]) == []


@pytest.mark.django_db
def test_a_task_is_found_by_the_id_of_whatever_belongs_to_it() -> None:
    claim, _ = begin_and_claim(), begin()
    head = claim.head
    ids = {"run": claim.run.id, "context": head.context_key}
    ids["message"] = models.Message.objects.get(task=head.task_id).pk
    hook = models.PushNotificationConfig(
        task_id=head.task_id, config_id="one", queue=1, delivered=0, announced=0
    )
    hook.save()
    someone = browser()
    for name, key in {**ids, "hook": hook.pk}.items():
        assert found(someone, key) == [str(head.task_id)], name
        assert found(someone, key.hex) == [str(head.task_id)], name
    assert found(someone, uuid4()) == []


async def test_the_reference_that_a_client_was_given_leads_to_the_task(runtime: None) -> None:
    async def broken(turn: Turn) -> None:
        raise ValueError

    with client_of(broken) as client:
        task, other = await client.send(), await client.send()
    assert task.id != other.id
    assert task.status.message
    said = task.status.message.parts[0].text
    assert said is not None
    assert "Reference: " in said
    terms = (said, said.partition(": ")[2], f"{said}.")
    assert await see(lambda someone: [found(someone, term) for term in terms]) == [[task.id]] * 3


async def test_the_list_shows_how_each_request_begins_to_those_who_may_see_messages(
    runtime: None,
) -> None:
    async def quick(turn: Turn) -> str:
        return "Done."

    data = new_message().model_copy(update={"parts": [Part(data={"text": "not words"})]})
    with client_of(quick, input_modes=["*/*"]) as client:
        for message in (new_message(f"{HOSTILE} please"), new_message("word " * 9000), data):
            await client.send(message)
    page = await see(text_of(TASKS))
    assert f"{ESCAPED} please" in page
    assert HOSTILE not in page
    assert "word word" in page
    assert "word " * 20 not in page
    assert "not words" not in page


@pytest.mark.django_db
def test_the_list_keeps_requests_from_those_who_may_see_tasks_only() -> None:
    begin("between us")
    assert "between us" not in text_of(TASKS)(browser("view_task"))


@pytest.mark.django_db
def test_the_list_leads_to_the_user_for_those_who_may_see_users() -> None:
    user = User.objects.create(username="client")
    head = begin().head
    models.Task.objects.filter(pk=head.task_id).update(user=user, owner="client")
    link = f'<a href="{reverse("admin:auth_user_change", args=[user.pk])}">client</a>'
    someone = browser("view_task")
    assert link not in text_of(TASKS)(someone)
    User.objects.filter(username="someone").update(is_superuser=True)
    assert link in text_of(TASKS)(someone)


@pytest.mark.django_db
def test_the_list_says_how_long_a_task_took() -> None:
    head = begin().head
    append(head, [status(TaskState.CANCELED)])
    task = models.Task.objects.get()
    models.Task.objects.update(created_at=task.status_at.replace(year=task.status_at.year - 1))
    assert re.search(r'field-duration">36[56] d 0 h<', text_of(TASKS)(browser()))


@pytest.mark.django_db
def test_the_list_counts_no_further_than_it_says(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lists, "COUNTED", 3)
    for _ in range(5):
        begin()
    page = text_of(TASKS)(browser())
    assert "3 tasks" in page
    assert "There are more than 3. These are the newest." in page


@pytest.mark.django_db
def test_the_list_says_of_no_more_than_it_counts_that_this_is_all(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(lists, "COUNTED", 3)
    for _ in range(3):
        begin()
    page = text_of(TASKS)(browser())
    assert "3 tasks" in page
    assert "There are more" not in page
