"""Failures without a task: the reference that a client was given leads to the traceback."""

from typing import Any
from uuid import uuid4

from django.urls import reverse
from pytest_django import Settings

from a2a_app import models, runners
from a2a_app.agents import Agent, Turn
from a2a_app.protocol import Message
from a2a_app.testing import agent_for_test
from tests.admin.test_tasks import TASKS, see, text_of
from tests.clients.json_rpc import JsonRpcClient
from tests.wire import load_message

FAILURES = reverse("admin:a2a_app_failure_changelist")


class Broken(Agent):
    """Fails to answer."""

    name = "Broken"
    description = "Fails."
    version = "1"

    async def answer(self, message: Message) -> str:
        """Raise."""
        raise ValueError("<b>planted</b>")

    async def run(self, turn: Turn) -> None:
        """Do nothing."""


def breaks(request: Any) -> None:
    raise RuntimeError("planted in a hook")


async def said_of(rpc: JsonRpcClient, method: str, agent: str, **params: Any) -> str:
    """Return what a client is told of a failure, once that is stored."""
    answer = await rpc.call(method, params, agent=agent)
    await runners.current().sweep()
    text: str = answer["error"]["message"]
    return text


def page_of(said: str) -> str:
    return reverse("admin:a2a_app_failure_change", args=[said.rpartition(" ")[2]])


async def test_the_reference_of_an_answer_that_failed_leads_to_its_traceback(
    rpc: JsonRpcClient,
) -> None:
    with agent_for_test(Broken, slug="broken"):
        said = await said_of(rpc, "SendMessage", "broken", message=load_message())
    pages = [text_of(TASKS, q=said), text_of(FAILURES, q=said), text_of(page_of(said))]
    found, listed, page = await see(lambda someone: [visit(someone) for visit in pages])
    assert f'href="{page_of(said)}"' in found
    assert page_of(said) in listed
    assert "ValueError: &lt;b&gt;planted" in listed
    for text in ("&lt;b&gt;planted&lt;/b&gt;", "broken", "SendMessage", "ValueError"):
        assert text in page, text


async def test_an_internal_error_is_shown_to_those_only_who_may_see_failures(
    rpc: JsonRpcClient, settings: Settings
) -> None:
    settings.A2A = {**settings.A2A, "AUTHENTICATION": [f"{__name__}.breaks"]}
    said = await said_of(rpc, "GetTask", "load", id=str(uuid4()))
    failure = await models.Failure.objects.aget(pk=said.rpartition(" ")[2])
    assert "planted in a hook" in failure.error
    page = await see(text_of(TASKS, q=said), "view_task")
    assert "look for the reference" in page
    assert page_of(said) not in page
