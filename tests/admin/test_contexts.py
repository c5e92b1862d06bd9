"""The page of a conversation: its tasks, and all that was said in it."""

import re
from typing import Any

import pytest
from django.contrib.auth.models import Permission, User
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from a2a_app import models
from a2a_app.pages.contents import CONTENT_CHARACTERS
from a2a_app.protocol import Role, TaskState
from a2a_app.store.writes.append import append
from a2a_app.store.writes.contexts import record
from tests.admin.test_tasks import ESCAPED, HOSTILE, TASKS, browser, page_of, text_of
from tests.tasks import SCOPE, begin, new_message, status

pytestmark = pytest.mark.django_db
CONVERSATION = "about a trip"


def page_of_context(context: Any) -> str:
    return reverse("admin:a2a_app_context_change", args=[context.pk])


def converse() -> models.Context:
    """Store a conversation: a task, an answer without one, and another task, which has ended."""
    begin(text="first", context_id=CONVERSATION)
    answer(f"between {HOSTILE}")
    second = begin(text=HOSTILE, context_id=CONVERSATION).head
    append(second, [status(TaskState.CANCELED, "stopped")])
    context = models.Context.objects.get()
    models.Context.objects.update(state={"remembered": 7}, version=2)
    return context


def answer(text: str) -> None:
    question = new_message("quick question")
    record(SCOPE, CONVERSATION, question, new_message(text, Role.AGENT))


def test_a_conversation_shows_its_tasks_and_what_was_said_also_without_a_task() -> None:
    page = text_of(page_of_context(converse()))(browser())
    said = page[page.index("What was said") :]
    places = [said.index(text) for text in ("first", "quick question", "between", "stopped")]
    assert places == sorted(places)
    assert said.count("Without a task") == 1
    assert HOSTILE not in page
    assert ESCAPED in page
    for task in models.Task.objects.all():
        assert page.count(page_of(task.pk)) == 2
    assert "canceled" in page
    assert "&quot;remembered&quot;: 7" in page
    assert "written 2 times" in page


def test_a_conversation_shows_rows_of_a_model_to_whom_may_view_that_model() -> None:
    context = converse()
    said = ["first", "between"]
    tasks = [page_of(task.pk) for task in models.Task.objects.all()]
    someone = browser("view_context")
    user = User.objects.get(username="someone")
    for model, shown in {"": [], "message": said, "task": tasks}.items():
        allowed = Permission.objects.filter(codename__in=["view_context", f"view_{model}"])
        user.user_permissions.set(allowed)
        page = text_of(page_of_context(context))(someone)
        assert "remembered" in page
        assert [text for text in (*said, *tasks) if text in page] == shown, model


@pytest.mark.slow
@pytest.mark.parametrize("many", [1, 40])
def test_a_conversation_takes_as_many_queries_however_much_was_said(many: int) -> None:
    for number in range(many):
        begin(text=f"{number} " + "long " * 2000, context_id=CONVERSATION)
        answer("long " * 2000)
    someone, path = browser(), page_of_context(models.Context.objects.get())
    with CaptureQueriesContext(connection) as queries:
        page = text_of(path)(someone)
    # The conversation, its files, its messages, its tasks, and how their requests begin; and the
    # menu's.
    assert sum("a2a_app_" in query["sql"] for query in queries) == 6
    assert len(page) < 300_000


@pytest.mark.slow
def test_earlier_messages_of_a_conversation_are_a_page_away() -> None:
    for number in range(30):
        answer(f"answer {number}.")
    someone = browser()
    path = page_of_context(models.Context.objects.get())
    page = text_of(path)(someone)
    assert "answer 29." in page
    assert "answer 4." not in page
    [before] = re.findall(r"\?before=([0-9a-f-]+)", page)
    page = text_of(path, before=before)(someone)
    assert "answer 4." in page
    assert "answer 29." not in page
    assert "?before=" not in page


def test_a_long_answer_without_a_task_is_cut_and_all_of_it_a_click_away() -> None:
    answer("x" * CONTENT_CHARACTERS + "the end")
    context = models.Context.objects.get()
    someone = browser("view_context", "view_message")
    page = text_of(page_of_context(context))(someone)
    assert "the end" not in page
    [link] = re.findall(rf'href="({page_of_context(context)[: -len("change/")]}parts/[^"]+)"', page)
    assert someone.get(link).content.endswith(b"the end")
    assert someone.get(link.replace("message", "artifact")).status_code == 404
    task = begin(context_id=CONVERSATION).head
    of_task = models.Message.objects.get(task=task.task_id)
    other = re.sub(r"message/[^/]+/", f"message/{of_task.pk}/", link)
    assert someone.get(other).status_code == 404


def test_a_part_of_an_answer_is_for_those_who_may_see_messages() -> None:
    answer("yes")
    row = models.Message.objects.get(role=Role.AGENT.value)
    part = reverse("admin:a2a_app_context_part", args=[row.context_id, "message", row.pk, 0])
    assert browser("view_context").get(part).status_code == 403


def test_the_list_of_tasks_leads_to_conversations_for_those_who_may_see_them() -> None:
    begin(context_id=CONVERSATION)
    link = f'<a href="{page_of_context(models.Context.objects.get())}">{CONVERSATION}</a>'
    assert link in text_of(TASKS)(browser())
