"""Markdown as safe HTML. Agents write it, and whoever writes to an agent may choose what it says.

The HTML has no scripts, no styles, no forms, and nothing that a browser would fetch by itself, such
as images, whose address could carry away what stands beside them.
"""

import nh3
from django.utils.safestring import SafeString, mark_safe
from markdown_it import MarkdownIt

TAGS = {
    "a", "blockquote", "br", "code", "del", "em", "h4", "h5", "h6", "hr", "li", "ol", "p", "pre",
    "s", "strong", "table", "tbody", "td", "th", "thead", "tr", "ul",
}  # fmt: skip  # as one list
ATTRIBUTES = {"a": {"href", "title"}, "ol": {"start"}}
SCHEMES = ("http://", "https://", "mailto:")
# The levels of headings, below those of the page.
DEEPER = {f"h{level}": f"h{min(level + 3, 6)}" for level in range(1, 7)}

# Without HTML in it, and an image is a link. A single end of a line ends it, as people expect.
_parser = MarkdownIt("commonmark", {"html": False, "breaks": True})
_parser.enable(["table", "strikethrough"]).disable("image")


def markdown(text: str) -> SafeString:
    """Return the HTML of a text in Markdown, which is safe whatever the text is."""
    tokens = _parser.parse(text)
    for token in tokens:
        token.tag = DEEPER.get(token.tag, token.tag)
    made = _parser.renderer.render(tokens, _parser.options, {})
    cleaned = nh3.clean(
        made,
        tags=TAGS,
        attributes=ATTRIBUTES,
        attribute_filter=_attribute,
        link_rel="noopener noreferrer nofollow",
    )
    return mark_safe(cleaned)  # noqa: S308  # nh3 has cleaned it


def _attribute(tag: str, name: str, value: str) -> str | None:
    """Return an attribute's value, or None to leave it out: a link may lead to no page of ours."""
    return None if name == "href" and not value.lower().startswith(SCHEMES) else value
