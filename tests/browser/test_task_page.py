"""The page of a task, as people see it."""

import base64
import json
import struct
import zlib
from typing import Any

from django.urls import reverse

from tests.browser.visitor import Visitor
from tests.clients.sockets import SocketClient

MARKDOWN = """# Plan

- **one**
- two

| a | b |
| - | - |
| 1 | 2 |

```
x < y
```
"""


def page_of(task: dict[str, Any]) -> str:
    return reverse("admin:a2a_app_task_change", args=[task["id"]])


def png() -> str:
    """Make an image of one pixel."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        checked = kind + data
        return struct.pack(">I", len(data)) + checked + struct.pack(">I", zlib.crc32(checked))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", 1, 1, 8, 2, 0, 0, 0))
    body = chunk(b"IDAT", zlib.compress(b"\0\xff\0\0")) + chunk(b"IEND", b"")
    return base64.b64encode(b"\x89PNG\r\n\x1a\n" + header + body).decode()


STORY = [
    {"status": "Looking into it…"},
    {"part": {"text": MARKDOWN}, "name": "plan"},
    {"part": {"data": {"rows": list(range(100))}}, "name": "rows"},
    {"part": {"raw": png(), "filename": "dot.png", "mediaType": "image/png"}, "name": "dot"},
    {"part": {"raw": "AAAA", "filename": "a.bin"}, "name": "bytes"},
    {"part": {"url": "https://example.com/report.pdf", "filename": "report.pdf"}, "name": "link"},
    {"chunks": ["word "] * 30, "name": "letter"},
    {"raise": "a fault"},
]


async def test_the_pages_of_a_task_and_of_its_conversation_look_right_at_each_size_and_in_the_dark(
    visitor: Visitor,
) -> None:
    async with SocketClient(visitor.url, "speaker") as client:
        task = await client.send(json.dumps(STORY))
    page = await visitor.page()
    await page.goto(page_of(task))
    await page.get_by_text("RuntimeError: a fault").wait_for()
    await visitor.looks(page)
    await page.get_by_role("link", name=task["contextId"]).click()
    await page.get_by_role("heading", name="What was said").wait_for()
    await visitor.looks(page)


SCRIPT = "<script>alert(1)</script><img src=x onerror=alert(2)>"
SVG = base64.b64encode(
    b'<svg xmlns="http://www.w3.org/2000/svg"><script>alert(3)</script></svg>'
).decode()
HOSTILE = [
    {"status": SCRIPT},
    {
        "part": {"text": f"{SCRIPT} [x](javascript:alert(4)) ![](https://evil.example/)"},
        "name": SCRIPT,
    },
    {"part": {"text": SCRIPT, "mediaType": "text/html", "filename": SCRIPT}},
    {"part": {"data": {SCRIPT: SCRIPT}}},
    {"part": {"raw": SVG, "mediaType": "image/svg+xml", "filename": SCRIPT}},
    {"part": {"raw": SVG, "mediaType": 'image/png" onerror="alert(5)', "filename": SCRIPT}},
    {"part": {"url": "javascript:alert(6)", "filename": SCRIPT}},
    {"raise": SCRIPT},
]


async def test_nothing_that_an_agent_says_runs_or_is_fetched(visitor: Visitor) -> None:
    async with SocketClient(visitor.url, "speaker") as client:
        task = await client.send(json.dumps(HOSTILE))
    page = await visitor.page()
    page.on("dialog", lambda dialog: visitor.faults.append(f"a script ran: {dialog.message}"))
    await page.goto(page_of(task))
    await page.get_by_text("Traceback (most").wait_for()
    # What is folded too. That the policy had to stop something would be a fault.
    opened = "() => document.querySelectorAll('.a2a details').forEach((each) => each.open = true)"
    await page.evaluate(opened)
    await page.get_by_text(SCRIPT).first.wait_for()
    await page.get_by_role("link", name=task["contextId"]).click()
    await page.get_by_role("heading", name="What was said").wait_for()
    await page.evaluate(opened)
