"""The visitor's own eyes: what is wrong on a page does not escape it."""

from tests.browser.visitor import Visitor


async def test_a_visitor_notices_every_kind_of_fault(visitor: Visitor) -> None:
    page = await visitor.page()
    await page.goto("/faulty/")
    await visitor.looks(page)
    noticed = "\n".join(visitor.faults)
    visitor.faults.clear()
    for fault in (
        "inline style", "inline script", "inline event handler", "192.0.2.1", "404 (Not Found)",
        "sticks out: <table>", "image-alt",
    ):  # fmt: skip  # one line each would be a page
        assert fault in noticed, f"{fault} is not in:\n{noticed}"
    async with page.context.expect_event("weberror"):
        await page.evaluate("setTimeout(() => { throw new Error('thrown') })")
    assert "thrown" in visitor.faults.pop()
