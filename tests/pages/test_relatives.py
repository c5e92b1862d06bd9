"""The tree on the page of a task: what it has asked other agents, and by whom it was asked."""

import re
from uuid import UUID

import pytest
from django.contrib.auth.models import Permission, User
from django.test import Client as Browser
from django.urls import reverse

from a2a_app.protocol import TaskState
from a2a_app.store.claims import Claim
from a2a_app.store.durable.remote_tasks import ask_once, note_remote_id
from a2a_app.store.durable.steps import Place
from a2a_app.store.updates import MessageKey, MessageReceived, Returned
from a2a_app.store.writes.append import append
from tests.tasks import begin_and_claim, new_message, status

pytestmark = pytest.mark.django_db


def ask(claim: Claim, number: int, text: str, *, agent: str, is_local: bool = True) -> UUID:
    place = Place(1, number, f"ask {agent}")
    return ask_once(claim.head, claim.run, place, agent, text, is_local=is_local).id


def asked(claim: Claim, number: int, text: str) -> Claim:
    """Have a task ask an agent of this project, and claim the turn of the task that it becomes."""
    key = ask(claim, number, text, agent="load")
    message = MessageReceived(new_message(text), key=MessageKey(str(key), ""), asked_by=key)
    return begin_and_claim(received=message)


def tree(browser: Browser, task_id: object) -> str:
    page = browser.get(reverse("admin:a2a_app_task_change", args=[task_id])).content.decode()
    found = re.search(r'<section id="a2a-relatives".*?</section>', page, re.DOTALL)
    return found.group() if found else ""


@pytest.mark.slow
def test_the_page_of_each_task_shows_who_has_asked_for_it_and_what_it_has_asked() -> None:
    first = begin_and_claim()
    second = asked(first, 1, "Refund <order> 7.")
    third = asked(second, 1, "Pay back.")
    note_remote_id(ask(second, 2, "Tell.", agent="post", is_local=False), "elsewhere")
    append(third.head, [status(TaskState.FAILED), Returned()], run=third.run)
    browser = Browser()
    browser.force_login(User.objects.create_superuser("boss"))
    for claim in (first, second, third):
        shown = tree(browser, claim.head.task_id)
        links = re.findall(r'href="[^"]*/task/([0-9a-f-]+)/', shown)
        others = [each for each in (first, second, third) if each is not claim]
        assert links == [str(each.head.task_id) for each in others]
        assert shown.count("<strong>") == 1
        assert "Refund &lt;order&gt; 7." in shown and "Pay back." in shown and "failed" in shown
        assert ("post" in shown) is (claim is not third)
    shown = tree(browser, second.head.task_id)
    assert shown.index("Refund") < shown.index("Pay back.") < shown.index("Tell.")


def test_a_tree_is_shown_to_those_who_may_see_it_and_not_of_a_task_that_is_alone() -> None:
    first, alone = begin_and_claim(), begin_and_claim()
    asked(first, 1, "Refund.")
    viewer = User.objects.create_user("ann", is_staff=True)
    viewer.user_permissions.add(Permission.objects.get(codename="view_task"))
    browser = Browser()
    browser.force_login(viewer)
    assert tree(browser, first.head.task_id) == ""
    viewer.user_permissions.add(Permission.objects.get(codename="view_remotetask"))
    assert "Refund." in tree(browser, first.head.task_id)
    assert tree(browser, alone.head.task_id) == ""
