"""The console in a browser: a conversation that streams, files, JSON, errors, and the wire."""

import asyncio
import base64
import json
import re
import sys
from pathlib import Path

from playwright.async_api import FilePayload, Locator, Page, Route, expect

from tests.browser.test_task_page import HOSTILE, SCRIPT, png
from tests.browser.visitor import LIMIT, Visitor


async def say(page: Page, text: str) -> None:
    """Type a message, and send it by the keyboard alone."""
    await page.get_by_label("Message").fill(text)
    await page.keyboard.press("Enter")


def said(page: Page, text: str) -> Locator:
    return page.locator("[data-said]").get_by_text(text)


async def ends(page: Page, state: str) -> None:
    await expect(page.locator(".a2a-chat [role=status]")).to_have_text(state, timeout=LIMIT)


async def test_a_conversation_of_several_turns_is_held_by_the_keyboard(visitor: Visitor) -> None:
    page = await visitor.page("use_console")
    await page.goto("/a2a/")
    await visitor.looks(page, widths=(390,), schemes=("dark",))
    await visitor.tab_to(page.get_by_role("link", name="Console"))
    await page.keyboard.press("Enter")
    await page.wait_for_url("**/a2a/console.html")
    await visitor.tab_to(page.get_by_role("region", name="Travel desk").get_by_role("link"))
    await page.keyboard.press("Enter")
    # Its script has run by then. Without that, an example is a link to the page itself.
    await page.wait_for_url("**/travel-desk/console.html")
    example = page.get_by_role("link", name="Plan a trip", exact=True)
    await visitor.tab_to(example)
    await page.keyboard.press("Enter")
    await expect(page.get_by_label("Message")).to_be_focused()
    await page.keyboard.press("Enter")
    await expect(said(page, "Where do you want to go?")).to_be_visible(timeout=LIMIT)
    await ends(page, "input required")
    await say(page, "Lisbon")
    await expect(said(page, "How many days in Lisbon?")).to_be_visible(timeout=LIMIT)
    # It goes on after the page was loaded again, since the URL names the conversation.
    await page.reload()
    await say(page, "2")
    await expect(said(page, "Have a good trip!")).to_be_visible(timeout=LIMIT)
    await ends(page, "completed")
    await expect(page.get_by_role("link", name="trip.ics")).to_be_visible()
    await expect(page.get_by_label("Message")).to_have_value("")
    await visitor.looks(page)


async def test_the_front_page_of_the_project_has_a_task_live_and_leads_to_the_console(
    visitor: Visitor,
) -> None:
    page = await visitor.page("use_console")
    await page.goto("/")
    await visitor.looks(page)
    await say(page, "hello")
    await ends(page, "completed")
    await visitor.looks(page, widths=(390,))
    await page.get_by_role("link", name="Talk to Echo").click()
    await page.wait_for_url("**/echo/console.html")
    await say(page, "hello again")
    await ends(page, "completed")


async def test_text_comes_as_it_is_written_and_a_task_is_canceled(
    visitor: Visitor, tmp_path: Path
) -> None:
    seen, hangs = tmp_path / "seen", {"file": "/nowhere"}
    page = await visitor.page("use_console")
    await page.goto("/a2a/speaker/console.html")
    await say(page, json.dumps([{"chunks": ["begun ", {"file": str(seen)}, "more", hangs]}]))
    growing = page.locator("[data-artifact]")
    await expect(growing).to_have_text("begun ", timeout=LIMIT)
    await page.get_by_label("Message").fill("typed meanwhile")
    seen.touch()
    await expect(growing).to_have_text("begun more", timeout=LIMIT)
    await expect(page.get_by_label("Message")).to_have_value("typed meanwhile")
    await page.reload()  # The page follows the task again.
    await expect(growing).to_have_text("begun more", timeout=LIMIT)
    await page.get_by_role("button", name="Cancel").click()
    await ends(page, "canceled")


async def test_a_stream_that_breaks_off_is_followed_and_asks_for_nothing_to_be_sent_again(
    visitor: Visitor,
) -> None:
    async def broken(route: Route) -> None:
        response = await route.fetch()
        whole = await response.text()
        first = whole.index("\n\n") + 2
        await route.fulfill(response=response, body=whole[: whole.index("{", first) + 20] + "\n")

    page = await visitor.page("use_console")
    await page.goto("/a2a/echo/console.html")
    await page.route("**/console.json", broken, times=1)
    await say(page, "hello")
    await ends(page, "completed")
    await expect(page.get_by_role("alert")).to_have_count(0)


async def test_a_message_is_sent_once_however_often_enter_is_pressed(visitor: Visitor) -> None:
    pressed, sent = asyncio.Event(), []

    async def once_pressed(route: Route) -> None:
        sent.append(json.loads(route.request.post_data or "")["method"])
        await pressed.wait()
        await route.continue_()

    page = await visitor.page("use_console")
    await page.goto("/a2a/echo/console.html")
    await page.route("**/console.json", once_pressed)
    await say(page, "hello")
    await page.keyboard.press("Enter")
    await page.keyboard.press("Enter")
    pressed.set()
    await ends(page, "completed")
    assert sent.count("SendStreamingMessage") == 1


async def test_files_json_and_errors_are_shown_with_what_went_over_the_wire(
    visitor: Visitor,
) -> None:
    page = await visitor.page("use_console")
    await page.goto("/a2a/mirror/console.html")
    await page.get_by_text("Files and JSON").click()
    await page.get_by_label("JSON").fill("{no json")
    await page.get_by_role("button", name="Send").click()
    await expect(page.get_by_role("alert")).to_contain_text("JSON", timeout=LIMIT)
    await page.get_by_label("JSON").fill('{"a": [1]}')
    dot = FilePayload(name="dot.png", mimeType="image/png", buffer=base64.b64decode(png()))
    await page.locator("input[type=file]").set_input_files(dot)
    await page.get_by_role("button", name="Send").click()
    await ends(page, "completed")
    await expect(page.get_by_role("alert")).to_have_count(0)
    await expect(page.locator(".a2a-chat img")).to_have_attribute("alt", "dot.png")
    await page.get_by_text("→ SendStreamingMessage").click()
    await page.get_by_role("button", name="As curl").click()
    code = page.get_by_role("dialog").locator("pre")
    await expect(code).to_contain_text("curl -N", timeout=LIMIT)
    await expect(code).to_contain_text('{"data":{"a":[1]}}')
    await page.keyboard.press("Escape")
    # The agent takes no files.
    await page.goto("/a2a/echo/console.html")
    await page.get_by_text("Files and JSON").click()
    await page.locator("input[type=file]").set_input_files(dot)
    await page.get_by_role("button", name="Send").click()
    await expect(page.get_by_role("alert")).to_contain_text("image/png", timeout=LIMIT)
    await visitor.looks(page)


async def output_of(*command: str) -> str:
    """Run a program, and return what it has printed."""
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(*command, stdout=pipe, stderr=pipe)
    async with asyncio.timeout(LIMIT / 1000):
        out, errors = await process.communicate()
    assert process.returncode == 0, errors.decode()
    return out.decode()


async def test_what_is_copied_as_curl_or_python_says_the_same_from_a_terminal(
    visitor: Visitor,
) -> None:
    text = """it's "so"; $HOME `pwd` \\ ü"""
    page = await visitor.page("use_console")
    await page.goto("/a2a/mirror/console.html")
    await say(page, text)
    await ends(page, "completed")
    await page.get_by_text("→ SendStreamingMessage").click()
    code = page.get_by_role("dialog").locator("pre")
    for name, command in (("As curl", ("bash", "-c")), ("As Python", (sys.executable, "-c"))):
        await page.get_by_role("button", name=name).click()
        printed = await output_of(*command, await code.inner_text())
        assert "TASK_STATE_COMPLETED" in printed
        events = [json.loads(line[6:]) for line in printed.splitlines() if line[:6] == "data: "]
        [update] = [each["result"] for each in events if "artifactUpdate" in each["result"]]
        assert json.dumps(text)[1:-1] in json.dumps(update)
        await page.keyboard.press("Escape")


async def test_a_page_of_a_project_has_a_chat_under_a_strict_policy(visitor: Visitor) -> None:
    page = await visitor.page("use_console")
    await page.goto("/help/")
    await say(page, "Plan a trip to Lisbon")
    await expect(said(page, "How many days in Lisbon?")).to_be_visible(timeout=LIMIT)
    await say(page, "2")
    await expect(said(page, "Have a good trip!")).to_be_visible(timeout=LIMIT)
    await ends(page, "completed")
    assert page.url == f"{visitor.url}/help/"
    await visitor.looks(page)


async def test_nothing_runs_that_was_said(visitor: Visitor) -> None:
    page = await visitor.page("use_console")
    page.on("dialog", lambda dialog: visitor.faults.append(f"a script ran: {dialog.message}"))
    await page.goto("/a2a/speaker/console.html")
    await say(page, json.dumps(HOSTILE))
    await ends(page, "failed")
    opened = "() => document.querySelectorAll('.a2a details').forEach((each) => each.open = true)"
    await page.evaluate(opened)
    await expect(said(page, SCRIPT).first).to_be_visible(timeout=LIMIT)
    await page.reload()
    await ends(page, "failed")


async def test_a_page_without_a_stream_asks_again_and_again(
    visitor: Visitor, tmp_path: Path
) -> None:
    async def as_by_wsgi(route: Route) -> None:
        response = await route.fetch(max_redirects=0)
        body = re.sub(r' data-script="[^"]*"', "", await response.text())
        await route.fulfill(response=response, body=body)

    seen = tmp_path / "seen"
    page = await visitor.page("use_console")
    await page.route("**/console.html*", as_by_wsgi)
    await page.goto("/a2a/speaker/console.html")
    told = [{"chunks": ["begun", {"file": str(seen)}]}]
    await page.get_by_label("Message").fill(json.dumps(told))
    await page.get_by_role("button", name="Send").click()
    await expect(page.locator("[data-artifact]")).to_have_text("begun", timeout=LIMIT)
    seen.touch()
    await ends(page, "completed")


async def test_it_works_without_scripts(visitor: Visitor) -> None:
    page = await visitor.page("use_console", java_script_enabled=False)
    await page.goto("/a2a/echo/console.html")
    await page.get_by_label("Message").fill("hello there")
    await page.get_by_role("button", name="Send").click()
    # The page loads itself again until the task is over.
    await ends(page, "completed")
    await expect(page.locator(".a2a-markdown")).to_have_text("hello there")
