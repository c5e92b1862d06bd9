"""The pictures of the documentation: `make screenshots` takes them all anew.

Each is of the reference project, in the same browser as the tests have.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from django import setup
from django.urls import reverse
from playwright.async_api import Page, async_playwright

from tests.browser import chromium
from tests.browser.visitor import Visitor
from tests.clients.sockets import SocketClient
from tests.servers import ROOT, fresh_database, web_server
from tests.wire import message

FOLDER = ROOT / "docs" / "images"
# As wide as the pages of the documentation, on a screen with small pixels.
SCREEN: dict[str, Any] = {"viewport": {"width": 1100, "height": 700}, "device_scale_factor": 1.25}


async def task_page(url: str, page: Page) -> None:
    """Open the page of a task that was answered in two turns."""
    async with SocketClient(url, "travel-desk") as client:
        task = await client.send("Plan a trip to Lisbon")
        await client.send({**message("3"), "taskId": task["id"]})
    await page.goto(reverse("admin:a2a_app_task_change", args=[task["id"]]))
    # The menu beside it says nothing of the task.
    await page.locator("#toggle-nav-sidebar").click()


async def console_page(url: str, page: Page) -> None:
    """Open the console with a conversation of two turns, and what went over the wire."""
    await page.goto(reverse("a2a_console_agent", args=["travel-desk"]))
    for text, answer in (("Plan a trip to Lisbon", "How many days"), ("3", "Have a good trip!")):
        await page.get_by_label("Message").fill(text)
        await page.keyboard.press("Enter")
        await page.locator("[data-said]").get_by_text(answer).wait_for()
    await page.get_by_text("What it is").click()
    await page.get_by_text("→ SendStreamingMessage").first.click()


PICTURES: dict[str, Callable[[str, Page], Awaitable[None]]] = {
    "admin.png": task_page,
    "console.png": console_page,
}


async def take(url: str) -> None:
    """Take all pictures of a site; raise AssertionError where something is wrong on a page."""
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(
            executable_path=chromium.find(), args=chromium.ARGUMENTS
        )
        visitor = Visitor(browser, url)
        for name, opened in PICTURES.items():
            page = await visitor.page(**SCREEN)
            await opened(url, page)
            await page.screenshot(path=FOLDER / name, full_page=True)
        await visitor.leave()
        await browser.close()
    assert not visitor.faults, "\n".join(visitor.faults)


def main() -> None:
    """Serve the project on a database of its own, and take the pictures."""
    setup()
    with fresh_database("sqlite") as url:
        server = web_server(
            "daphne", database_url=url, settings_module="tests.browser.settings", CONSOLE=True
        )
        try:
            server.start()
            asyncio.run(take(server.url))
        finally:
            server.kill()


if __name__ == "__main__":
    main()
