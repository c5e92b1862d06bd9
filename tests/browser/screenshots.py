"""The pictures of the documentation: `make screenshots` takes them all anew.

Each is of the reference project, in the same browser as the tests have. Beside them is noted of
what each was made, so that a test finds one that is older than its page.
"""

import asyncio
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from hashlib import sha256
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


@dataclass(frozen=True, slots=True)
class Picture:
    """A picture: how its page is opened, and which files of the app make it look as it does."""

    opened: Callable[[str, Page], Awaitable[None]]
    sources: tuple[str, ...]
    """Patterns of paths below `a2a_app`."""


PICTURES = {
    "admin.png": Picture(
        task_page,
        (
            "static/a2a_app/a2a.css",
            "static/a2a_app/morph.js",
            "static/a2a_app/task.js",
            "templates/a2a_app/task.html",
            "templates/a2a_app/task/*.html",
        ),
    ),
    "console.png": Picture(
        console_page,
        (
            "static/a2a_app/a2a.css",
            "static/a2a_app/chat.js",
            "templates/a2a_app/console/*.html",
            "templates/a2a_app/page.html",
            "templates/a2a_app/task/*.html",
        ),
    ),
}
DIGESTS = FOLDER / "digests.json"
"""Of what each picture was made when it was taken, and of the picture itself."""


def digests(name: str) -> dict[str, str]:
    """Return the digests of a picture and of the files that it is made of, as they are now."""
    made = sha256()
    for pattern in PICTURES[name].sources:
        paths = sorted((ROOT / "a2a_app").glob(pattern))
        assert paths, f"There is nothing like {pattern}."
        for path in paths:
            made.update(path.read_bytes())
    taken = sha256((FOLDER / name).read_bytes())
    return {"sources": made.hexdigest(), "picture": taken.hexdigest()}


async def take(url: str) -> None:
    """Take all pictures of a site; raise AssertionError where something is wrong on a page."""
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(
            executable_path=chromium.find(), args=chromium.ARGUMENTS
        )
        visitor = Visitor(browser, url)
        for name, picture in PICTURES.items():
            page = await visitor.page(**SCREEN)
            await picture.opened(url, page)
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
    DIGESTS.write_text(json.dumps({name: digests(name) for name in PICTURES}, indent=2) + "\n")


if __name__ == "__main__":
    main()
