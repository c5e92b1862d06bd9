"""The list of tasks in the admin: what it says of each, and all that leads to one."""

import re
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from django.contrib.auth.models import User
from django.urls import reverse
from django.utils import timezone

from a2a_app import models
from a2a_app.admin import lists
from a2a_app.agents import Turn
from a2a_app.models.owners import Scope
from a2a_app.protocol import Part, TaskState
from a2a_app.store.writes.append import append
from tests.admin.test_tasks import ESCAPED, HOSTILE, TASKS, browser, page_of, see, text_of
from tests.clients.operations import client_of
from tests.tasks import begin, begin_and_claim, new_message, status


def found(someone: Any, term: object) -> list[str]:
    """Return the ids of the tasks that a search finds."""
    page = text_of(TASKS, q=str(term))(someone)
    return re.findall(page_of("KEY").replace("KEY", "([0-9a-f-]{36})"), page)


@pytest.mark.slow
@pytest.mark.django_db
def test_a_task_is_found_by_the_end_of_its_id_as_the_list_shows_it() -> None:
    task, _ = begin().head.task_id, begin()
    someone = browser()
    ends = set(re.findall("…[0-9a-f]{12}", text_of(TASKS)(someone)))
    [shown] = [end for end in ends if end[1:] in task.hex]
    for term in (shown, shown[1:], f" {shown.upper()} "):
        assert found(someone, term) == [str(task)], term
    assert found(someone, shown[2:]) == []


@pytest.mark.slow
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


def keys_of(someone: Any, **query: str) -> list[UUID]:
    """Return the keys of the tasks that the list shows, the newest first."""
    listed = someone.get(TASKS, query).context["cl"].result_list
    return [task.pk for task in listed]


def offered(someone: Any, title: str, **query: str) -> list[str]:
    """Return what a filter offers to choose."""
    specs = someone.get(TASKS, query).context["cl"].filter_specs
    return [name for spec in specs if spec.title == title for _, name in spec.lookup_choices]


@pytest.mark.slow
@pytest.mark.django_db
def test_the_list_is_filtered_by_owner_and_by_tenant_and_offers_those_of_the_newest() -> None:
    scopes = {
        owner: Scope("load", owner)
        for owner in ("name:ann", "name:bob", "tenant:acme/name:ann", "tenant:acme/name:cy", "")
    }
    keys = {owner: begin(scope=scope).head.task_id for owner, scope in scopes.items()}
    old = begin(scope=scopes["name:ann"]).head.task_id
    someone = browser()
    assert keys_of(someone, owner="name:ann") == [old, keys["name:ann"]]
    assert keys_of(someone, q="name:bob") == [keys["name:bob"]]
    assert keys_of(someone, owner="nobody") == []
    assert keys_of(someone, tenant="acme") == [
        keys["tenant:acme/name:cy"],
        keys["tenant:acme/name:ann"],
    ]
    assert keys_of(someone, tenant="ac") == keys_of(someone, tenant="a%") == []
    assert offered(someone, "owner") == sorted(owner for owner in scopes if owner)
    assert "name:zoe" in offered(someone, "owner", owner="name:zoe")
    assert offered(someone, "tenant") == ["acme"]


@pytest.mark.django_db
def test_an_owner_is_found_however_old_its_tasks_are(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lists, "COUNTED", 2)
    rare = begin(scope=Scope("load", "name:ann")).head.task_id
    for _ in range(4):
        begin(scope=Scope("load", "name:bob"))
    assert keys_of(browser(), owner="name:ann") == [rare]


@pytest.mark.django_db
def test_the_list_is_filtered_by_when_a_task_was_begun() -> None:
    now = begin().head.task_id
    someone = browser()
    for time, is_in in {"hour": True, "week": True, "last": False}.items():
        assert keys_of(someone, time=time) == [now] * is_in, time


@pytest.mark.slow
@pytest.mark.django_db
def test_the_list_is_filtered_by_why_tasks_are_stuck() -> None:
    begin()
    claim = begin_and_claim()
    over = timezone.now() - timedelta(minutes=1)
    models.Run.objects.filter(pk=claim.run.id).update(lease_until=over)
    someone = browser()
    assert keys_of(someone, stuck="lost") == [claim.head.task_id]
    assert keys_of(someone, stuck="queued") == keys_of(someone, stuck="asking") == []
    assert len(keys_of(someone, stuck="nonsense")) == 2


@pytest.mark.django_db
def test_a_reference_without_a_task_is_said_to_be_in_the_log() -> None:
    begin()
    someone = browser()
    page = text_of(TASKS, q=f"Internal error. Reference: {uuid4()}")(someone)
    assert "look for the reference in the log" in page
    assert "look for the reference" not in text_of(TASKS, q="nothing like an id")(someone)
