"""Our pages in the admin, where the project has given that the look of another package."""

import json
from collections.abc import Iterator

import pytest
from django.urls import reverse
from playwright.async_api import Browser, Page, expect

from tests.browser.test_task_page import STORY, page_of
from tests.browser.visitor import Visitor
from tests.clients.sockets import SocketClient
from tests.servers import Process, fresh_database, web_server

THEMES = ("unfold", "jazzmin")
# What a link and a field must have that people see them.
SEEN = """() => [...document.querySelectorAll('.a2a td a, .a2a dd a, .a2a form textarea')].filter(
    (each) => each.matches('a')
        ? getComputedStyle(each).color === getComputedStyle(each.parentElement).color
        : getComputedStyle(each).borderTopWidth === '0px'
).map((each) => each.outerHTML.slice(0, 200))"""


@pytest.fixture(params=THEMES)
def themed(request: pytest.FixtureRequest) -> Iterator[Process]:
    """Serve the project with a theme."""
    with fresh_database("sqlite") as url:
        module = f"tests.browser.{request.param}"
        server = web_server("daphne", database_url=url, settings_module=module)
        try:
            server.start()
            yield server
        finally:
            server.kill()


async def test_our_pages_look_right_in_themes_of_others(browser: Browser, themed: Process) -> None:
    visitor = Visitor(browser, themed.url)
    async with SocketClient(visitor.url, "speaker") as client:
        task = await client.send(json.dumps(STORY))
    async with SocketClient(visitor.url, "travel-desk") as client:
        waiting = await client.send("Plan a trip to Lisbon")
    page = await visitor.page()
    for path, text in {
        "/admin/a2a_app/": "All is well.",
        page_of(task): "RuntimeError: a fault",
        reverse("admin:a2a_app_waitingtask_change", args=[waiting["id"]]): "How many days",
    }.items():
        await page.goto(path)
        await expect(page.get_by_text(text).first).to_be_visible()
        await visitor.looks(page, widths=(1360,), schemes=("light",))
        visitor.faults += [f"{path}: cannot be seen: {each}" for each in await page.evaluate(SEEN)]
    await cancel(page)
    await visitor.leave()
    assert not visitor.faults, "\n".join(visitor.faults)


async def cancel(page: Page) -> None:
    """Cancel the waiting task by the action of the list."""
    await page.goto(reverse("admin:a2a_app_task_changelist"))
    await page.locator('input[name="_selected_action"]').first.check()
    await page.locator('select[name="action"]').first.select_option("cancel_tasks", force=True)
    # Each theme hides the button in a way of its own until something is chosen by hand.
    button = page.locator('button[name="index"]').first
    await button.evaluate("(each) => each.form.requestSubmit(each)")
    await page.get_by_role("button", name="Cancel tasks").click()
    await expect(page.get_by_text("Canceled: 1.")).to_be_visible()
