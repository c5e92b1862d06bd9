"""`{% a2a_chat "slug" %}`: the chat of the console on a page of a project."""

from typing import Any

from django import template
from django.template import RequestContext

from a2a_app.agents import registry
from a2a_app.pages.access import console_user, is_on, login_url
from a2a_app.pages.chat import Chat, form_context
from a2a_app.pages.drafts import Draft

register = template.Library()


@register.inclusion_tag("a2a_app/console/embedded.html", takes_context=True)
def a2a_chat(context: RequestContext, slug: str) -> dict[str, Any]:
    """Show a chat with an agent to users who may use the console, and to others how to sign in.

    The page needs `django.template.context_processors.request`.

    Raises:
        AgentNotFoundError: There is no such agent.
    """
    request = context["request"]
    agent = registry.get(slug)
    return {
        **form_context(request, agent),
        "request": request,
        "csrf_token": context.get("csrf_token"),
        "chat": Chat(slug),
        "draft": Draft(),
        "is_on": is_on(),
        "may": console_user(request) is not None,
        "is_known": request.user.is_authenticated,
        "login_url": login_url(request),
        "name": agent.name,
    }
