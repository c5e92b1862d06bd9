"""What waits for somebody, as staff sees it: a question, a decision, and a task to cancel."""

import json
from typing import Any

from django.urls import reverse
from playwright.async_api import Page, expect

from tests.browser.visitor import LIMIT, Visitor
from tests.clients.sockets import SocketClient

LIST = reverse("admin:a2a_app_waitingtask_changelist")
DECISION = [{"approve": "Delete the group?", "permission": "auth.delete_group"}]


def page_of(task: dict[str, Any]) -> str:
    return reverse("admin:a2a_app_waitingtask_change", args=[task["id"]])


async def answer(visitor: Visitor, page: Page, task: dict[str, Any], text: str) -> None:
    """Answer a task by the keyboard alone, from the list."""
    await visitor.tab_to(page.locator(f'a[href^="{page_of(task)}"]'))
    await page.keyboard.press("Enter")
    await visitor.tab_to(page.get_by_label("Answer"))
    await page.keyboard.type(text)
    await page.keyboard.press("Tab")
    await page.keyboard.press("Enter")
    await expect(page.get_by_text("The task goes on.")).to_be_visible(timeout=LIMIT)


async def test_staff_answers_a_question_by_the_keyboard_and_the_task_goes_on(
    visitor: Visitor,
) -> None:
    async with SocketClient(visitor.url, "travel-desk") as client:
        task = await client.send("Plan a trip")
    page = await visitor.page("answer_task", "view_task", "view_message")
    await page.goto(page_of(task))
    await expect(page.get_by_text("Where do you want to go?")).to_be_visible(timeout=LIMIT)
    await visitor.looks(page)
    await page.goto(LIST)
    await answer(visitor, page, task, "Lisbon")
    await page.goto(reverse("admin:a2a_app_task_change", args=[task["id"]]))
    asks_more = page.locator('[data-side="agent"]').get_by_text("How many days in Lisbon?")
    await expect(asks_more).to_be_visible(timeout=LIMIT)
    await expect(page.locator('[data-side="operator"]')).to_contain_text("Lisbon")


async def test_only_those_with_its_permission_make_a_decision(visitor: Visitor) -> None:
    async with SocketClient(visitor.url, "speaker") as client:
        task = await client.send(json.dumps(DECISION))
        page = await visitor.page("answer_task")
        await page.goto(page_of(task))
        await expect(page.get_by_text("You may not answer this.")).to_be_visible(timeout=LIMIT)
        await expect(page.get_by_role("button", name="Answer")).to_have_count(0)
        page = await visitor.page("delete_group")
        await page.goto(page_of(task))
        await visitor.tab_to(page.get_by_label("yes", exact=True))
        await page.keyboard.press("ArrowDown")
        await expect(page.get_by_label("no", exact=True)).to_be_checked()
        await visitor.tab_to(page.get_by_label("Comment"))
        await page.keyboard.type("too late")
        await visitor.looks(page)
        await visitor.tab_to(page.get_by_role("button", name="Answer"))
        await page.keyboard.press("Enter")
        # There is no list for whoever may decide nothing more.
        await expect(page.get_by_text("The task goes on.")).to_be_visible(timeout=LIMIT)
    viewer = await visitor.page()
    await viewer.goto(reverse("admin:a2a_app_task_change", args=[task["id"]]))
    decided = viewer.locator('[data-side="artifact"]').get_by_text("no: too late")
    await expect(decided).to_be_visible(timeout=LIMIT)


async def test_tasks_are_canceled_after_a_page_that_asks(visitor: Visitor) -> None:
    async with SocketClient(visitor.url, "travel-desk") as client:
        task = await client.send("Plan a trip")
        page = await visitor.page("view_task", "change_task")
        await page.goto(reverse("admin:a2a_app_task_changelist"))
        await page.locator(f'input[name="_selected_action"][value="{task["id"]}"]').check()
        await page.get_by_label("Action:").select_option("cancel_tasks")
        # Its name differs by the release of Django.
        await page.locator('.actions button[name="index"]').click()
        agreed = page.get_by_role("button", name="Cancel tasks: 1")
        await expect(agreed).to_be_visible(timeout=LIMIT)
        await visitor.looks(page)
        await agreed.focus()
        await page.keyboard.press("Enter")
        await expect(page.get_by_text("Canceled: 1.")).to_be_visible(timeout=LIMIT)
        ended = await client.result("GetTask", id=task["id"])
    assert ended["status"]["state"] == "TASK_STATE_CANCELED"


async def test_the_list_of_approvals_fits_onto_a_desktop(visitor: Visitor) -> None:
    question = {"approve": "Refund 120 EUR to the customer of order 4711, who waits? " * 3}
    async with SocketClient(visitor.url, "speaker") as client:
        asked = [{**question, "permission": "auth.delete_group"}]
        task = await client.send(json.dumps(asked))
        page = await visitor.page()
        await page.goto(page_of(task))
        await page.get_by_label("no", exact=True).check()
        await page.get_by_role("button", name="Answer").click()
        await expect(page.get_by_text("The task goes on.")).to_be_visible(timeout=LIMIT)
    await page.set_viewport_size({"width": 1360, "height": 900})
    await page.goto(reverse("admin:a2a_app_approval_changelist"))
    await expect(page.get_by_text("no (boss)")).to_be_visible(timeout=LIMIT)
    results = page.locator(".results")
    width, room = await results.evaluate("(each) => [each.scrollWidth, each.clientWidth]")
    assert width <= room
