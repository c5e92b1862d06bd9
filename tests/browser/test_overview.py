"""The overview, as people see it."""

from playwright.async_api import expect

from tests.browser.visitor import Visitor
from tests.clients.sockets import SocketClient
from tests.wire import load_message

PAGE = "/admin/a2a_app/"


async def test_the_overview_looks_right_and_its_plots_can_be_read_as_tables(
    visitor: Visitor,
) -> None:
    async with SocketClient(visitor.url) as client:
        await client.send(load_message(chunks=3))
    page = await visitor.page()
    await page.goto(PAGE)
    for number, table in enumerate(("Tasks by hour", "Durations")):
        await page.get_by_text("The same as a table").nth(number).click()
        rows = page.get_by_role("region", name=table).get_by_role("row")
        await expect(rows.last).to_be_visible()
    await visitor.looks(page)
