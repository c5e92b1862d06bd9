"""The page of a task, as people see it."""

from django.urls import reverse

from tests.browser.visitor import Visitor
from tests.clients.sockets import SocketClient
from tests.wire import load_message


async def test_the_page_of_a_task_is_without_faults_under_a_strict_policy(
    visitor: Visitor,
) -> None:
    async with SocketClient(visitor.url) as client:
        task = await client.send(load_message(chunks=3))
    page = await visitor.page()
    await page.goto(reverse("admin:a2a_app_task_change", args=[task["id"]]))
    await page.get_by_text("completed the task").wait_for()
