"""Contents: the parts of messages and artifacts as a page shows them, whoever wrote them.

A page has a budget, so that it opens however much there is. What goes beyond it is cut, and a link
leads to all of it.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from django.template.defaultfilters import filesizeformat
from django.urls import reverse
from django.utils.html import conditional_escape
from django.utils.safestring import SafeString

from a2a_app import models
from a2a_app.files.links import SCHEME
from a2a_app.pages.markdown import markdown

FILE_URL = "a2a_app_file_content"
"""The name of the URL at which the admin serves a file's bytes."""
PART_URL = "a2a_app_task_part"
"""The name of the URL at which the admin serves a part of a message or of an artifact."""
ANSWER_PART_URL = "a2a_app_context_part"
"""The same for a message without a task."""

# How many characters of HTML a page has for contents, and one content at most.
PAGE_CHARACTERS = 120_000
CONTENT_CHARACTERS = 20_000
# A longer text is shown as it was written: to read Markdown made for it could take long.
MARKDOWN_CHARACTERS = 10_000
# Shorter data is not folded.
OPEN_CHARACTERS = 200
# What browsers show without running anything in it. SVG and HTML may have scripts.
IMAGES = ("image/png", "image/jpeg", "image/gif", "image/webp")
AUDIO = (
    "audio/aac",
    "audio/flac",
    "audio/mp4",
    "audio/mpeg",
    "audio/ogg",
    "audio/wav",
    "audio/webm",
)
VIDEO = ("video/mp4", "video/ogg", "video/webm")
KINDS = {
    **dict.fromkeys(IMAGES, "image"),
    **dict.fromkeys(AUDIO, "audio"),
    **dict.fromkeys(VIDEO, "video"),
}


class Budget:
    """How many characters a page may still show."""

    def __init__(self, characters: int = PAGE_CHARACTERS) -> None:
        """Make the budget of a page."""
        self.left = characters
        self._reads_markdown = True

    def cut(self, text: str, most: int = CONTENT_CHARACTERS) -> str:
        """Return as much of a text as the page has room for, and count it."""
        shown = text[: min(most, self.left)]
        # Escaped, a character may become six.
        while shown and len(conditional_escape(shown)) > self.left:
            shown = shown[: len(shown) // 2]
        self.left -= len(conditional_escape(shown))
        return shown

    def markdown(self, text: str) -> SafeString | None:
        """Return a text's HTML, and count it; None where it is too long.

        A short text may become a very long one, which takes as long to make. A page has one such
        text, and those after it are shown as they were written.
        """
        if not self._reads_markdown or len(text) > min(MARKDOWN_CHARACTERS, self.left):
            return None
        made = markdown(text)
        if len(made) > self.left:
            self._reads_markdown = False
            return None
        self.left -= len(made)
        return made


@dataclass(frozen=True, slots=True)
class Content:
    """One part, to be shown by the template `a2a_app/content.html`."""

    kind: str
    """text, markdown, data, image, audio, video, file or link."""
    text: str | SafeString = ""
    name: str = ""
    media_type: str = ""
    size: str = ""
    url: str = ""
    """Where all of it is; empty: nowhere, or whoever reads the page may not have it."""
    is_cut: bool = False
    is_open: bool = False
    """Whether it is not folded."""


@dataclass(frozen=True, slots=True)
class Places:
    """Where all of a part is, and a file's bytes: the names of two URLs."""

    part_url: str
    file_url: str
    before: tuple[str, ...] = ()
    """What both URLs have before their own arguments."""

    def part(self, *arguments: Any) -> str:
        """Return the URL of a part: of a task or a conversation, a kind, a row's key, an index."""
        return reverse(self.part_url, args=[*self.before, *arguments])

    def file(self, key: Any) -> str:
        """Return the URL of a file."""
        return reverse(self.file_url, args=[*self.before, key])


IN_ADMIN = Places(f"admin:{PART_URL}", f"admin:{FILE_URL}")
ANSWERS_IN_ADMIN = Places(f"admin:{ANSWER_PART_URL}", f"admin:{FILE_URL}")


@dataclass(frozen=True, slots=True)
class Source:
    """The row that has a list of parts, and how the page shows what is in it."""

    kind: str
    """message or artifact."""
    key: Any
    """The primary key of the row."""
    holder: Any
    """The primary key of its task, or of its conversation; None: its parts are nowhere else."""
    budget: Budget
    files: Mapping[str, models.File] | None
    """The task's files by their ids; None where whoever reads the page may see none."""
    reads_markdown: bool = False
    """Whether a text without a media type is taken for Markdown."""
    places: Places = IN_ADMIN

    def contents(self, parts: list[dict[str, Any]], *, are_cut: bool = False) -> list[Content]:
        """Return the contents of parts.

        Args:
            parts: The parts.
            are_cut: Whether the last one is not all there.
        """
        last = len(parts) - 1
        return [
            self._content(index, part, is_cut=are_cut and index == last)
            for index, part in enumerate(parts)
        ]

    def _content(self, index: int, part: dict[str, Any], *, is_cut: bool) -> Content:
        url = self.places.part(self.holder, self.kind, self.key, index) if self.holder else ""
        if "text" in part:
            return self._text(str(part["text"]), part.get("mediaType", ""), url, is_cut)
        if "data" in part:
            return self._data(part["data"], url, is_cut)
        if "raw" in part:
            return self._file(part, url, len(part["raw"]) * 3 // 4, is_cut)
        return self._linked(part)

    def _text(self, text: str, media_type: str, url: str, is_cut: bool) -> Content:
        wants_markdown = media_type == "text/markdown" or (self.reads_markdown and not media_type)
        if wants_markdown and not is_cut:
            made = self.budget.markdown(text)
            if made is not None:
                return Content("markdown", made, media_type=media_type)
        shown = self.budget.cut(text)
        is_cut = is_cut or len(shown) < len(text)
        return Content("text", shown, media_type=media_type, url=url, is_cut=is_cut)

    def _data(self, data: Any, url: str, is_cut: bool) -> Content:
        text = json.dumps(data, ensure_ascii=False, indent=2)
        shown = self.budget.cut(text)
        return Content(
            "data",
            shown,
            url=url,
            size=filesizeformat(len(text)),
            is_cut=is_cut or len(shown) < len(text),
            is_open=len(text) <= OPEN_CHARACTERS,
        )

    def _file(
        self, part: dict[str, Any], url: str, size: int | None, is_cut: bool = False
    ) -> Content:
        media_type = str(part.get("mediaType", ""))
        kind = "file" if is_cut or not url else KINDS.get(media_type.lower(), "file")
        return Content(
            kind,
            name=self.budget.cut(str(part.get("filename", "")), 200),
            media_type=self.budget.cut(media_type, 100),
            size="" if size is None or is_cut else filesizeformat(size),
            url=url,
        )

    def _linked(self, part: dict[str, Any]) -> Content:
        """Return a file of ours; or a link, from which nothing is fetched before it is clicked."""
        url = str(part.get("url", ""))
        if url.startswith(SCHEME):
            row = (self.files or {}).get(url.removeprefix(SCHEME))
            if row is None:
                return self._file(part, "", None)
            return self._file(part, self.places.file(row.pk), row.size)
        is_safe = url.lower().startswith(("http://", "https://"))
        shown = self.budget.cut(url, 500)
        return Content(
            "link",
            shown,
            name=self.budget.cut(str(part.get("filename", "")), 200),
            media_type=self.budget.cut(str(part.get("mediaType", "")), 100),
            url=shown if is_safe and shown == url else "",
        )
