"""A task's page that follows the task, while another process works on it."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import Page, Route, expect

from tests.browser.conftest import QUICK
from tests.browser.test_task_page import page_of
from tests.browser.visitor import LIMIT, Visitor
from tests.clients.sockets import SocketClient
from tests.servers import Process, web_server

HANGS = {"chunks": ["begun", {"file": "/nowhere"}]}
# As a browser does with a tab that another one covers.
HIDE = """(away) => {
    Object.defineProperty(document, "hidden", { value: away, configurable: true });
    document.dispatchEvent(new Event("visibilitychange"));
}"""


@pytest.fixture(scope="module")
def worker(site: Process) -> Iterator[Process]:
    """Run another process of the site, which works on what is sent to it."""
    url = site.env["DATABASE_URL"]
    process = web_server("daphne", database_url=url, settings_module="tests.settings", **QUICK)
    process.start()
    yield process
    process.kill()


async def begun(worker: Process, *said: dict[str, Any]) -> dict[str, Any]:
    async with SocketClient(worker.url, "speaker") as client:
        return await client.send(json.dumps(said), returnImmediately=True)


async def badge_says(page: Page, state: str) -> None:
    await expect(page.get_by_role("status")).to_have_text(state, timeout=LIMIT)


async def test_a_task_is_watched_while_another_process_writes_it(
    visitor: Visitor, worker: Process, tmp_path: Path
) -> None:
    seen, all_seen = tmp_path / "seen", tmp_path / "all seen"
    many = [f"**{n}** " for n in range(40)]
    chunks = ["begun ", {"file": str(seen)}, *many, {"file": str(all_seen)}]
    task = await begun(worker, {"chunks": chunks}, {"status": "Nearly done."})
    page = await visitor.page()
    await page.goto(page_of(task))
    await page.evaluate("window.opened = true")
    growing = page.locator("[data-artifact]")
    await expect(growing).to_have_text("begun ", timeout=LIMIT)
    seen.touch()
    # The text comes as it is written, before it is whole and becomes Markdown.
    await expect(growing).to_have_text("begun " + "".join(many), timeout=LIMIT)
    all_seen.touch()
    await badge_says(page, "completed")
    await expect(page.locator(".a2a-markdown strong")).to_have_count(len(many), timeout=LIMIT)
    await expect(page.get_by_text("Nearly done.").first).to_be_visible(timeout=LIMIT)
    assert await page.evaluate("window.opened"), "the page was loaded again"


async def test_a_page_that_nobody_looks_at_has_no_connection_and_goes_on_once_somebody_does(
    visitor: Visitor, worker: Process, tmp_path: Path
) -> None:
    seen = tmp_path / "seen"
    task = await begun(worker, {"chunks": ["begun ", {"file": str(seen)}, "more"]})
    page = await visitor.page()
    async with page.expect_request("**/live/**"):
        await page.goto(page_of(task))
    await expect(page.locator("[data-artifact]")).to_have_text("begun ", timeout=LIMIT)
    async with page.expect_event("requestfailed", lambda each: "/live/" in each.url):
        await page.evaluate(HIDE, True)
    seen.touch()
    async with page.expect_request("**/change/"):
        await page.evaluate(HIDE, False)
    await badge_says(page, "completed")


async def test_a_task_that_is_canceled_on_its_page_stops_in_the_other_process(
    visitor: Visitor, worker: Process
) -> None:
    task = await begun(worker, HANGS)
    page = await visitor.page()
    await page.goto(page_of(task))
    await expect(page.locator("[data-artifact]")).to_have_text("begun", timeout=LIMIT)
    cancel = page.get_by_role("button", name="Cancel")
    await cancel.focus()
    await page.keyboard.press("Enter")
    await badge_says(page, "canceled")
    await expect(cancel).to_have_count(0, timeout=LIMIT)
    await worker.says("is stopped", seconds=60)


async def test_a_page_stops_once_its_reader_has_signed_out(
    visitor: Visitor, worker: Process
) -> None:
    task = await begun(worker, HANGS)
    page = await visitor.page()
    await page.goto(page_of(task))
    notice = page.get_by_role("alert")
    await expect(page.locator("[data-artifact]")).to_have_text("begun", timeout=LIMIT)
    await expect(notice).to_have_count(0)
    await page.context.request.get("/sign-out/")
    await expect(notice).to_contain_text("no more", timeout=LIMIT)


async def test_a_page_without_a_stream_asks_again_and_again(
    visitor: Visitor, worker: Process, tmp_path: Path
) -> None:
    async def as_by_wsgi(route: Route) -> None:
        response = await route.fetch()
        body = re.sub(r'data-live="[^"]*"', 'data-poll="200"', await response.text())
        await route.fulfill(response=response, body=body)

    seen = tmp_path / "seen"
    task = await begun(worker, {"status": "Begun."}, {"chunks": [{"file": str(seen)}, "done"]})
    page = await visitor.page()
    await page.route("**/change/", as_by_wsgi)
    await page.goto(page_of(task))
    await badge_says(page, "working")
    seen.touch()
    await badge_says(page, "completed")


async def test_a_number_of_the_log_opens_what_clients_got(visitor: Visitor) -> None:
    async with SocketClient(visitor.url, "echo") as client:
        task = await client.send("hello")
    page = await visitor.page()
    await page.goto(page_of(task))
    await page.get_by_role("link", name="1", exact=True).focus()
    await page.keyboard.press("Enter")
    dialog = page.get_by_role("dialog")
    await expect(dialog.locator("pre")).to_contain_text('"statusUpdate"', timeout=LIMIT)
    await page.keyboard.press("Escape")
    await expect(dialog).to_have_count(0, timeout=LIMIT)
