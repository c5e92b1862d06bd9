"""Content: what an agent's verbs take for a part."""

from collections.abc import Mapping
from typing import Any, TypeAlias

from a2a_app.protocol import Part

Content: TypeAlias = str | Part | Mapping[str, Any]
"""A string is text, a mapping is data, a Part is itself."""


def as_part(content: Content) -> Part:
    """Make a part of a string, of JSON data, or of a part."""
    match content:
        case Part():
            return content
        case str():
            return Part(text=content)
        case _:
            return Part(data=dict(content))
