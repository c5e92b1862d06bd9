"""`{% a2a_overview %}`: how the site does, for pages of the admin."""

from typing import Any

from django import template

from a2a_app import figures
from a2a_app.pages.overview import read_overview

register = template.Library()
PERMISSIONS = ("a2a_app.view_task", "a2a_app.view_run", "a2a_app.view_pushnotificationconfig")
"""What staff must be allowed to see for the figures, which count the rows of these models."""


@register.inclusion_tag("a2a_app/overview.html", takes_context=True)
def a2a_overview(context: dict[str, Any]) -> dict[str, Any]:
    """Show the figures, ten seconds old at most, to staff who may see what they count."""
    if not context["request"].user.has_perms(PERMISSIONS):
        return {}
    return {"overview": read_overview(figures.cached())}
