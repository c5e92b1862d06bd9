"""What the tests in a real browser share: one Chromium, and one server of the project.

They are on one event loop for the whole session, since Playwright's connection to the browser is.
"""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from playwright.async_api import Browser, async_playwright

from tests.browser import chromium
from tests.browser.visitor import Visitor
from tests.servers import Process, fresh_database, web_server

FOLDER = Path(__file__).parent
# Other processes of the site have no layer together with this one, so it asks what they have done.
# The lease lasts for as long as a busy machine may keep a process from renewing it.
QUICK: dict[str, Any] = {"POLL_SECONDS": 0.2, "ACCESS_SECONDS": 1, "LEASE_SECONDS": 15}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Run the tests of this folder, and no others, on the event loop of the session."""
    for item in items:
        if item.path.is_relative_to(FOLDER):
            item.add_marker(pytest.mark.asyncio(loop_scope="session"), append=False)


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def browser() -> AsyncIterator[Browser]:
    """Start Chromium."""
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(
            executable_path=chromium.find(), args=chromium.ARGUMENTS
        )
        yield browser
        await browser.close()


@pytest.fixture(scope="session")
def site() -> Iterator[Process]:
    """Serve the project, for all tests of the folder."""
    with fresh_database("sqlite") as url:
        server = web_server(
            "daphne",
            database_url=url,
            settings_module="tests.browser.settings",
            CONSOLE=True,
            PUSH_HOSTS=["127.0.0.1"],
            PUSH_ALLOW_HTTP=True,
            **QUICK,
        )
        server.start()
        try:
            yield server
        finally:
            server.kill()


@pytest_asyncio.fixture(loop_scope="session")
async def visitor(browser: Browser, site: Process) -> AsyncIterator[Visitor]:
    """Visit the site; the test fails where anything was wrong on any page."""
    visitor = Visitor(browser, site.url)
    yield visitor
    await visitor.leave()
    assert not visitor.faults, "\n".join(visitor.faults)
