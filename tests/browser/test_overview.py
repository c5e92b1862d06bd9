"""The overview, and pages with the fields of a row, as people see them."""

import asyncio
import json

from django.contrib import admin
from django.urls import reverse
from playwright.async_api import expect

from tests.browser.visitor import LIMIT, Visitor
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
    legend = page.locator(".a2a-legend")
    await expect(legend.locator('[data-tone="good"]')).to_have_text("completed")
    await visitor.looks(page)


async def test_no_page_with_the_fields_of_a_row_cuts_any_of_them_off(visitor: Visitor) -> None:
    nowhere = {"url": "http://127.0.0.1:9/", "id": "nowhere"}
    async with SocketClient(visitor.url) as client:
        config = {"taskPushNotificationConfig": nowhere}
        await client.result("SendMessage", message=load_message(chunks=1), configuration=config)
    page = await visitor.page()
    await page.goto(reverse("admin:a2a_app_pushnotificationconfig_changelist"))
    await page.get_by_role("link", name="nowhere").click()
    fails = page.locator(".readonly .a2a-badge", has_text="failing since")
    async with asyncio.timeout(LIMIT / 1000):
        while not await fails.count():
            await page.reload()
    await visitor.looks(page)
    await page.goto(reverse("admin:a2a_app_directoryentry_add"))
    await page.get_by_label("Name").fill("elsewhere")
    await page.get_by_label("URL").fill(f"{visitor.url}/a2a/load/")
    await page.get_by_role("button", name="Save and continue editing").click()
    await expect(page.get_by_text('"supportedInterfaces"')).to_be_visible()
    await visitor.looks(page, schemes=())


async def test_no_list_of_the_admin_is_wider_than_a_phone(visitor: Visitor) -> None:
    used = {"model": "large", "input_tokens": 1_000_000, "cost": "0.01", "currency": "USD"}
    async with SocketClient(visitor.url, "speaker") as client:
        await client.send(json.dumps([{"usage": used}]))
    page = await visitor.page(viewport={"width": 390, "height": 900})
    lists = [model for model in admin.site._registry if model._meta.app_label == "a2a_app"]
    for model in lists:
        await page.goto(reverse(f"admin:a2a_app_{model._meta.model_name}_changelist"))
        width = await page.evaluate("document.documentElement.scrollWidth")
        assert width <= 390, f"{page.url} is {width} wide."
    await page.goto(reverse("admin:a2a_app_tokenusage_changelist"))
    await expect(page.get_by_role("group", name="Sums")).to_contain_text("0.01 USD")
    await visitor.looks(page)


async def test_a_new_key_can_be_read_whole_on_a_phone(visitor: Visitor) -> None:
    page = await visitor.page()
    await page.goto(reverse("admin:a2a_app_apikey_add"))
    await page.get_by_label("Name").fill("nightly")
    await page.get_by_label("User").fill("1")
    await page.get_by_role("button", name="Save", exact=True).click()
    await expect(page.locator("#api-key")).to_contain_text("a2a_")
    await visitor.looks(page)


async def test_the_page_about_the_api_shows_its_operations_without_the_internet(
    visitor: Visitor,
) -> None:
    page = await visitor.page()
    await page.goto("/a2a/openapi.html")
    await expect(page.locator(".opblock").first).to_be_visible()
