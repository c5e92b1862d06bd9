"""What waits for somebody, in the admin: who sees which task, who answers it, and what is noted."""

import re
from collections.abc import Callable
from typing import Any, cast

import pytest
from asgiref.sync import sync_to_async
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Permission, User
from django.db import connection
from django.http import HttpResponse
from django.test import AsyncClient, Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from a2a_app import models
from a2a_app.agents import Turn
from a2a_app.operations.approvals import decide
from a2a_app.operations.call import OPERATOR
from a2a_app.protocol import InvalidParamsError, Part, Role, Task, TaskState
from a2a_app.protocol.states import INTERRUPTED_STATES
from a2a_app.testing import agent_for_test
from tests.approvals import PERMISSION, answer, said
from tests.clients.operations import OperationsClient, client_of
from tests.sleepers import until
from tests.tasks import begin_and_claim

pytestmark = pytest.mark.usefixtures("runtime")

LIST = reverse("admin:a2a_app_waitingtask_changelist")
CODENAME = PERMISSION.partition(".")[2]
HOSTILE = "<script>alert('a2a')</script>"


async def asks(turn: Turn) -> None:
    if turn.number == 1:
        await turn.input_required(f"How many? {HOSTILE}")
        return
    await turn.complete(f"{turn.text} by {turn.message.metadata.get(OPERATOR)}")


async def asks_caller(turn: Turn) -> None:
    decision = await turn.approve("Refund?", data={"amount": 120})
    await turn.complete(f"{decision.choice} {decision.comment} {decision.decided_as}")


async def asks_staff(turn: Turn) -> None:
    decision = await turn.approve("Refund?", permission=PERMISSION)
    await turn.complete(f"{decision.choice} {decision.comment} {decision.decided_as}")


async def staff(*permissions: str, name: str = "ann") -> tuple[AsyncClient, User]:
    """Log in staff with these permissions, besides an event loop as a server has it."""

    def make() -> tuple[AsyncClient, User]:
        user = User.objects.create(username=name, is_staff=True)
        user.user_permissions.set(Permission.objects.filter(codename__in=permissions))
        browser = AsyncClient()
        browser.force_login(user)
        return browser, user

    return await sync_to_async(make)()


async def get(browser: AsyncClient, path: str) -> HttpResponse:
    return cast("HttpResponse", await browser.get(path))


def page_of(task: Task) -> str:
    return reverse("admin:a2a_app_waitingtask_change", args=[task.id])


async def fill_in(browser: AsyncClient, task: Task, **fields: str) -> HttpResponse:
    """Open the page of a task, fill in its form, and send that."""
    page = (await get(browser, page_of(task))).text
    return await send(browser, task, asked_on(page), **fields)


def asked_on(page: str) -> str:
    """Return which question the form of a page is for."""
    [asked] = re.findall(r'name="asked" value="([^"]+)"', page)
    return str(asked)


async def send(browser: AsyncClient, task: Task, asked: str, **fields: str) -> HttpResponse:
    sent: Any = await browser.post(page_of(task), {"asked": asked, **fields})
    return cast("HttpResponse", sent)


async def end_of(client: OperationsClient, task: Task) -> Task:
    """Follow a task to its end, and return it."""
    try:
        async for _ in client.subscribe(task.id):
            pass
    except Exception:  # it has ended before
        assert (await client.get(task.id)).status.state.is_terminal
    return await client.get(task.id)


async def test_an_operator_answers_and_is_told_apart_from_the_client() -> None:
    with client_of(asks) as client:
        task = await client.send()
        browser, user = await staff("answer_task", "view_task", "view_message")
        shown = await get(browser, LIST)
        assert "&lt;script&gt;" in shown.text and HOSTILE not in shown.text
        answered: Any = await fill_in(browser, task, text="seven")
        done = await end_of(client, task)
    assert answered.url == LIST
    mark = {"user": f"user:{user.pk}"}
    assert said(done) == f"seven by {mark}"
    [message] = [each for each in done.history if each.text == "seven"]
    assert (message.role, message.metadata) == (Role.USER, {OPERATOR: mark})
    [entry] = [entry async for entry in LogEntry.objects.all()]
    noted = f"Added answer “{message.message_id}”."
    assert entry.get_change_message() == noted
    history = await get(browser, reverse("admin:a2a_app_task_history", args=[task.id]))
    assert noted in history.text
    shown = await get(browser, reverse("admin:a2a_app_task_change", args=[task.id]))
    said_by = re.findall(r"<h3>(\w+)</h3>", shown.text)
    assert said_by == ["client", "agent", "operator", "agent"]


async def test_a_client_cannot_make_itself_out_to_be_an_operator() -> None:
    with client_of(asks) as client:
        task = await client.send()
        forged = answer(task, Part(text="seven")).model_copy(update={"metadata": {OPERATOR: {}}})
        with pytest.raises(InvalidParamsError, match="metadata"):
            await client.send(forged)


@pytest.mark.parametrize(
    ("agent", "permission", "path"),
    [(asks_caller, "answer_task", "client"), (asks_staff, CODENAME, PERMISSION)],
)
async def test_a_decision_is_given_by_a_form_with_its_choices(
    agent: Callable[..., Any], permission: str, path: str
) -> None:
    with client_of(agent) as client:
        task = await client.send()
        browser, _ = await staff(permission)
        page = await get(browser, page_of(task))
        assert path in page.text and 'value="yes"' in page.text
        nothing = await fill_in(browser, task, choice="perhaps")
        assert nothing.status_code == 200
        decided: Any = await fill_in(browser, task, choice="no", text="too much")
        # It leads to what they may see: there is nothing left for who may only decide.
        assert (await browser.get(decided.url)).status_code == 200
        done = await end_of(client, task)
    assert said(done) == "no too much operator"


async def asks_staff_twice(turn: Turn) -> None:
    small = await turn.approve("Refund 1 €?", permission=PERMISSION)
    large = await turn.approve("Refund 1000 €?", permission=PERMISSION)
    await turn.complete(f"{small.choice} {large.choice}")


async def asks_client_twice(turn: Turn) -> None:
    if turn.number < 3:
        await turn.input_required(f"Question {turn.number}?")
        return
    await turn.complete(turn.text)


@pytest.mark.parametrize(
    ("agent", "permission", "said_to"),
    [
        (asks_staff_twice, CODENAME, {"choice": "yes"}),
        (asks_client_twice, "answer_task", {"text": "yes"}),
    ],
)
async def test_nobody_answers_a_question_that_the_page_did_not_show(
    agent: Callable[..., Any], permission: str, said_to: dict[str, str]
) -> None:
    with client_of(agent) as client:
        task = await client.send()
        first = (await models.Task.objects.aget()).status_at
        asks = models.Task.objects.filter(state__in=INTERRUPTED_STATES, status_at__gt=first)
        browser, _ = await staff(permission)
        asked = asked_on((await get(browser, page_of(task))).text)
        await send(browser, task, asked, **said_to)
        await until(asks.exists)
        # Somebody else had the page open too, or has pressed the button twice.
        late: Any = await send(browser, task, asked, **said_to)
        assert late.url == page_of(task)
        page = (await get(browser, page_of(task))).text
        assert "The task asks something else by now." in page
        assert await until(asks.exists)
        await send(browser, task, asked_on(page), **said_to)
        done = await end_of(client, task)
    assert said(done) in ("yes yes", "yes")


async def test_staff_answers_what_another_agent_asks_and_a_turn_has_passed_on() -> None:
    async def billing(turn: Turn) -> None:
        if turn.number == 1:
            await turn.input_required("Which order?")
            return
        await turn.complete(f"Refunded {turn.text!r}.")

    async def support(turn: Turn) -> None:
        reply = await turn.ask("billing", "Refund.")
        assert reply.message is not None
        await turn.complete(reply.message.text)

    with agent_for_test(billing, slug="billing"), client_of(support) as client:
        task = await client.send()
        browser, _ = await staff("answer_task", "view_message")
        page = await get(browser, page_of(task))
        assert "Which order?" in page.text and "<dd>an answer</dd>" in page.text
        # A browser ends each line of a form with two characters.
        answered: Any = await fill_in(browser, task, text="7\r\n8")
        assert answered.url == LIST
        done = await end_of(client, task)
    assert said(done) == r"Refunded '7\n8'."


@pytest.mark.slow
async def test_each_sees_and_answers_what_it_may() -> None:
    def leads_to_answer(page: str, each: Task) -> bool:
        return f'href="{page_of(each)}">Answer</a>' in page

    with client_of(asks) as client, client_of(asks_staff) as other:
        task, deciding = await client.send(), await other.send()
        boss, _ = await staff("view_task", "answer_task", CODENAME, name="boss")
        browser, user = await staff(CODENAME)
        shown = (await get(browser, LIST)).text
        assert page_of(deciding) in shown and page_of(task) not in shown
        assert (await browser.post(page_of(task), {"text": "x"})).status_code == 302
        view_task = await Permission.objects.aget(codename="view_task")
        await user.user_permissions.aset([view_task])
        for each in (task, deciding):
            assert "You may not answer this." in (await get(browser, page_of(each))).text
            refused = await browser.post(page_of(each), {"text": "x", "choice": "yes"})
            assert refused.status_code == 403
            of_task = reverse("admin:a2a_app_task_change", args=[each.id])
            assert not leads_to_answer((await get(browser, of_task)).text, each)
            assert leads_to_answer((await get(boss, of_task)).text, each)
        await user.user_permissions.aclear()
        assert (await get(browser, LIST)).status_code == 403
        assert LIST not in (await get(browser, reverse("admin:index"))).text
        assert (await client.get(task.id)).status.state is TaskState.INPUT_REQUIRED


@pytest.mark.slow
async def test_whoever_may_decide_follows_a_link_before_and_after_somebody_has_decided() -> None:
    with client_of(asks_staff) as client:
        task = await client.send()
        approval = await models.Approval.objects.aget()
        link = reverse("admin:a2a_app_approval_change", args=[approval.pk])
        browser, user = await staff(CODENAME)
        led: Any = await browser.get(link)
        assert led.url == page_of(task)
        shown = (await get(browser, page_of(task))).text
        assert "Refund?" in shown and 'value="yes"' in shown
        assert reverse("admin:a2a_app_task_change", args=[task.id]) not in shown
        await decide(approval.pk, "no", user=user)
        late: Any = await browser.post(page_of(task), {"choice": "yes"}, follow=True)
        assert "The task does not wait any more." in late.content.decode()
        await end_of(client, task)
        await user.user_permissions.aclear()
        for path in (link, page_of(task)):
            assert (await get(browser, path)).status_code == 403
        nowhere = reverse("admin:a2a_app_waitingtask_change", args=["nowhere"])
        assert (await get(browser, nowhere)).status_code == 403


async def test_the_page_of_an_approval_leads_to_the_form_whoever_may_decide_it() -> None:
    with client_of(asks_staff) as client:
        task = await client.send()
        approval = await models.Approval.objects.aget()
        page = reverse("admin:a2a_app_approval_change", args=[approval.pk])
        link = f'href="{page_of(task)}"'
        browser, user = await staff("view_approval")
        assert link not in (await get(browser, page)).text
        await user.user_permissions.aadd(await Permission.objects.aget(codename=CODENAME))
        assert link in (await get(browser, page)).text
        await decide(approval.pk, "no", user=await User.objects.aget())
        assert link not in (await get(browser, page)).text
        await end_of(client, task)


async def test_the_menu_says_how_many_tasks_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    with client_of(asks) as client:
        for _ in range(2):
            await client.send()
        browser, _ = await staff("view_task")
        assert "Waiting tasks (2)" in (await get(browser, reverse("admin:index"))).text
        shown = (await get(browser, LIST)).text
        # In the menu beside the list, and not where the list says its name or counts.
        assert shown.count("Waiting tasks (2)") == 1
        assert "2 Waiting tasks" in shown
        monkeypatch.setattr("a2a_app.admin.waiting.COUNTED", 1)
        assert "Waiting tasks (more than 1)" in (await get(browser, reverse("admin:index"))).text


async def test_the_list_takes_as_many_queries_however_many_tasks_wait() -> None:
    await staff("view_task", "view_message")

    def look() -> int:
        browser = Client()
        browser.force_login(User.objects.get())
        with CaptureQueriesContext(connection) as queries:
            shown = browser.get(LIST).text
        assert shown.count("Refund?") == len(tasks)
        return len(queries)

    with client_of(asks_staff) as client:
        tasks = [await client.send()]
        few = await sync_to_async(look)()
        tasks += [await client.send(), await client.send()]
        assert await sync_to_async(look)() == few <= 10


async def test_who_sees_no_messages_sees_no_question() -> None:
    with client_of(asks) as client:
        task = await client.send()
        browser, _ = await staff("view_task")
        for path in (LIST, page_of(task)):
            assert "How many?" not in (await get(browser, path)).text


@pytest.mark.slow
@pytest.mark.django_db
def test_the_list_of_approvals_leads_to_each_task_in_a_fixed_number_of_queries() -> None:
    boss = Client()
    boss.force_login(User.objects.create_superuser("boss"))
    page, links, queries = reverse("admin:a2a_app_approval_changelist"), [], []
    for _ in range(3):
        task = begin_and_claim().head.task_id
        models.Approval.objects.create(task_id=task, turn=1, number=1, question="?", choices=["y"])
        links.append(f'href="{reverse("admin:a2a_app_task_change", args=[task])}"')
        with CaptureQueriesContext(connection) as captured:
            shown = boss.get(page).content.decode()
        queries.append(len(captured))
        assert all(link in shown for link in links)
    assert queries[0] == queries[2]
