"""A visitor of the site with a real browser, on whose pages nothing may be wrong."""

from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode

from axe_playwright_python.async_playwright import Axe
from playwright.async_api import (
    Browser,
    BrowserContext,
    ConsoleMessage,
    Locator,
    Page,
    Request,
    expect,
)

# A phone, a tablet and a desktop.
WIDTHS = (390, 768, 1360)
SCHEMES = ("light", "dark")
# All waits of Playwright's end with an error after so many milliseconds.
LIMIT = 60_000
expect.set_options(timeout=LIMIT)
# After so many keys there is no way to an element.
MOST_TABS = 120
# What of a page is ours, where the rest is Django's.
OURS = ".a2a"
# The elements of ours that stick out of the page, except inside what scrolls by itself.
STICKING_OUT = """(ours) => [...document.querySelectorAll(`${ours}, ${ours} *`)].filter((each) => {
    const box = each.getBoundingClientRect();
    return box.width && box.right > innerWidth + 1 && !each.closest('.a2a-scroll *, pre *, svg *');
}).slice(0, 3).map((each) => each.outerHTML.slice(0, 200))"""
# What Django's own forms cut off of what they show.
CUT_OFF = """() => [...document.querySelectorAll('.readonly, .readonly *')].filter((each) =>
    each.clientWidth && each.scrollWidth > each.clientWidth + 1 && !each.closest('.a2a-scroll')
).slice(0, 3).map((each) => each.outerHTML.slice(0, 200))"""
# Links change their colours slowly, and in between have none that counts.
SETTLED = "() => Promise.allSettled(document.getAnimations().map((each) => each.finished))"
# axe waits for images that are not in sight yet, and are never fetched.
AXE = {"preload": False}


@dataclass
class Visitor:
    """Somebody with a browser. `faults` has what was wrong on any page, and must stay empty."""

    browser: Browser
    url: str
    faults: list[str] = field(default_factory=list)
    contexts: list[BrowserContext] = field(default_factory=list)

    async def page(self, *permissions: str, **options: Any) -> Page:
        """Return an empty page of somebody who is signed in.

        Args:
            permissions: The codenames that a member of staff has; none for a superuser.
            options: Those of Playwright's `new_context`.
        """
        context = await self.browser.new_context(base_url=self.url, **options)
        self.contexts.append(context)
        context.set_default_timeout(LIMIT)
        context.on("console", self._note_console)
        context.on("weberror", lambda error: self.faults.append(f"error: {error.error}"))
        context.on("request", self._note_request)
        query = urlencode({"permission": permissions}, doseq=True)
        await context.request.get(f"/sign-in/?{query}")
        return await context.new_page()

    async def looks(
        self,
        page: Page,
        *,
        widths: tuple[int, ...] = WIDTHS,
        schemes: tuple[str, ...] = SCHEMES,
    ) -> None:
        """Look at a page at each width, light and dark, and note what is wrong with it."""
        for width in widths:
            await page.set_viewport_size({"width": width, "height": 900})
            sticking_out = await page.evaluate(STICKING_OUT, OURS)
            self.faults += [f"{page.url} at {width}: sticks out: {each}" for each in sticking_out]
            cut_off = await page.evaluate(CUT_OFF)
            self.faults += [f"{page.url} at {width}: is cut off: {each}" for each in cut_off]
        for scheme in schemes:
            await page.emulate_media(color_scheme="dark" if scheme == "dark" else "light")
            await page.evaluate(SETTLED)
            results = await Axe().run(page, context=OURS, options=AXE)
            for violation in results.response["violations"]:
                for node in violation["nodes"]:
                    what = f"{violation['id']}: {node['html'][:200]}: {node['failureSummary']}"
                    self.faults.append(f"{page.url}, {scheme}: {what}")

    async def tab_to(self, target: Locator) -> None:
        """Go to an element of a page as people without a mouse do; fail where there is no way."""
        for _ in range(MOST_TABS):
            if await target.evaluate("(each) => each === document.activeElement"):
                return
            await target.page.keyboard.press("Tab")
        raise AssertionError(f"No key leads to {target}.")

    async def leave(self) -> None:
        """Close all pages."""
        for context in self.contexts:
            await context.close()

    def _note_console(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            where = message.location["url"]
            self.faults.append(f"{message.type} in the console: {message.text} {where}")

    def _note_request(self, request: Request) -> None:
        if not request.url.startswith((self.url, "data:", "blob:")):
            self.faults.append(f"a request to another site: {request.url}")
