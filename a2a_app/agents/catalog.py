"""Catalog: a site's agents in one list, as an AI Catalog (version 0.9) that is one of ARD too."""

import re
from collections.abc import Iterable
from typing import Any
from urllib.parse import urlsplit

from a2a_app import conf
from a2a_app.protocol import AgentCard

SPEC_VERSION = "0.9"
MEDIA_TYPE = "application/ai-catalog+json"
REGISTRY_TYPE = "application/ai-registry+json"
CARD_TYPE = "application/a2a-agent-card+json"
RELATIONS = {"ai-catalog": "a2a:ai_catalog", "ard": "a2a:ard"}
"""The relations of links to the catalog, with the names of its URLs."""
# What the index of a search needs; more would be a second card.
MAX_QUERIES = 5
_DOMAIN = re.compile(r"(?=.{1,253}$)(?:[a-z0-9-]{1,63}\.)+(?!\d+$)[a-z0-9-]{1,63}")

Json = dict[str, Any]


def domain_of(base: str) -> str:
    """Return the domain in a site's URL; "" for one without, such as that of a local server."""
    host = urlsplit(base).hostname or ""
    return host if _DOMAIN.fullmatch(host) else ""


def identifier_of(base: str, slug: str, card_url: str) -> str:
    """Return the name of an agent in catalogs, which stays the same wherever the catalog goes.

    Args:
        base: The scheme and host of the site, whose domain is the agent's publisher.
        slug: The agent's slug.
        card_url: The URL of its card, by which it is named where the site has no domain.
    """
    domain = domain_of(base)
    return f"urn:air:{domain}:{slug}:a2a" if domain else card_url


def catalog(base: str, entries: list[Json]) -> Json:
    """Return the catalog of a site, without a signature.

    Args:
        base: The scheme and host of the site.
        entries: What is in it.
    """
    domain = domain_of(base)
    host = {"displayName": conf.current().catalog_name or domain or urlsplit(base).netloc}
    if domain:
        host["identifier"] = domain
    return {"specVersion": SPEC_VERSION, "host": host, "entries": entries}


def listing_of(card: AgentCard, card_url: str) -> Json:
    """Return the entry of an agent without its identifier.

    It has what the readers of ARD need beside what the AI Catalog does. ARD wants the name in the
    entry. It cannot differ from that of the card, since it is taken from there each time.

    Args:
        card: Its card, as whoever reads the catalog may see it.
        card_url: Where that card is.
    """
    entry: Json = {
        "displayName": card.name,
        "description": card.description,
        "type": CARD_TYPE,
        "url": card_url,
        "tags": _once(tag for skill in card.skills for tag in skill.tags),
        "capabilities": _once(skill.id for skill in card.skills),
        "representativeQueries": _once(
            example for skill in card.skills for example in skill.examples
        )[:MAX_QUERIES],
    }
    if (provider := card.provider) is not None:
        entry["publisher"] = {"identifier": provider.url, "displayName": provider.organization}
    return {name: value for name, value in entry.items() if value != []}


def _once(texts: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(texts))
