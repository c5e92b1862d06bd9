"""An agent as people read it: its card in words, for the console and for browsers at its URL."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from asgiref.sync import sync_to_async
from django.http import Http404, HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import render
from django.utils.translation import gettext as _

from a2a_app import protocol
from a2a_app.agents import Agent, registry
from a2a_app.agents.cards import card_faults, card_for
from a2a_app.bindings.callers import grant_of, sees, viewer_of, visible_agent
from a2a_app.bindings.cards import link_to_catalog
from a2a_app.bindings.interfaces import served_to
from a2a_app.pages.access import is_on


@dataclass(frozen=True, slots=True)
class CardPage:
    """What the template `a2a_app/console/card.html` shows of a card."""

    slug: str
    card: protocol.AgentCard
    security: list[str]
    """The ways to authenticate, in words."""
    needs: list[str]
    """The names of what callers need together, any one of these; "" for nothing."""
    faults: list[str]

    @property
    def documentation(self) -> str:
        """The URL of its documentation, if that is one which a page may lead to."""
        url = self.card.documentation_url or ""
        return url if url.startswith(("http://", "https://")) else ""

    @property
    def capabilities(self) -> list[str]:
        """What the agent can do beside answering, in words."""
        able = self.card.capabilities
        words = {
            _("streams"): able.streaming,
            _("webhooks"): able.push_notifications,
            _("an extended card"): able.extended_agent_card,
        }
        return [word for word, is_there in words.items() if is_there]


async def read_card(request: HttpRequest, agent: Agent) -> CardPage:
    """Return the card of an agent as whoever sends a request may see it.

    Raises:
        InvalidAgentResponseError: The agent's method `card` did not return a card.
    """
    grant = await grant_of(request) if agent.has_card_for_caller else None
    card = await card_for(agent, served_to(request, agent), grant and grant.identity)
    return CardPage(
        agent.slug,
        card,
        security=[f"{name}: {words}" for name, words in _schemes(card)],
        needs=[", ".join(each.schemes) for each in card.security_requirements],
        faults=card_faults(card),
    )


def _schemes(card: protocol.AgentCard) -> Iterator[tuple[str, str]]:
    for name, scheme in card.security_schemes.items():
        if key := scheme.api_key_security_scheme:
            words = _("a key in the %(location)s %(name)s") % {
                "location": key.location,
                "name": key.name,
            }
        elif http := scheme.http_auth_security_scheme:
            words = _("HTTP authentication, %(scheme)s") % {"scheme": http.scheme}
        elif scheme.oauth2_security_scheme:
            words = "OAuth 2.0"
        elif scheme.open_id_connect_security_scheme:
            words = "OpenID Connect"
        else:
            words = _("a client certificate")
        yield name, words


async def shown(
    request: HttpRequest, name: str, context: dict[str, Any], *, status: int = 200
) -> HttpResponse:
    """Return a page of the console, by the name of its template."""
    # In a thread: a project's own templates and context processors may ask the database.
    template = f"a2a_app/console/{name}"
    return await sync_to_async(render)(request, template, context, status=status)


async def agent_page(request: HttpRequest, slug: str) -> HttpResponseBase:
    """Show a browser the card of an agent, and the way to the console."""
    try:
        page = await read_card(request, await visible_agent(request, slug))
    except Http404:
        return await shown(request, "no_agent.html", {"slug": slug}, status=404)
    return _for_people(await shown(request, "agent.html", {"page": page, "has_console": is_on()}))


async def catalogue_page(request: HttpRequest) -> HttpResponseBase:
    """Show a browser the agents that there are for whoever sends a request."""
    viewer = await viewer_of(request)
    agents = [agent for agent in registry if await sees(viewer, agent)]
    context = {"agents": agents, "has_console": is_on()}
    response = _for_people(await shown(request, "catalogue.html", context))
    return link_to_catalog(request, response)


def _for_people(response: HttpResponse) -> HttpResponse:
    # The same URL answers programs, and what is shown may depend on who asks.
    response["Vary"] = "Accept, Cookie, Authorization"
    response["Cache-Control"] = "private, max-age=0, must-revalidate"
    return response
