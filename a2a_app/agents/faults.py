"""Faults: what a card must not say, or says wrongly."""

import re
from collections.abc import Iterator

from a2a_app.protocol import AgentCard

# Narrow on purpose: each is a form that nothing but a secret has.
SECRETS = {
    "a private key": re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----"),
    "a password in a URL": re.compile(r"\w://[^/\s:@\"]+:[^/\s@\"]+@"),
    "a bearer token": re.compile(r"\bBearer (?=\S*\d)[\w.~+/-]{20,}", re.IGNORECASE),
    "an API key": re.compile(
        r"\b(?:sk-(?=\S*\d)[\w-]{20,}|gh[pousr]_\w{36,}|AKIA[0-9A-Z]{16}|xox[abprs]-[\w-]{10,}"
        r"|a2a_[0-9a-f]{16}_[\w-]{43})"
    ),
}


def card_faults(card: AgentCard) -> list[str]:
    """Say what is wrong with a card, without repeating it."""
    text = card.to_json()
    secrets = [f"holds {what}" for what, form in SECRETS.items() if form.search(text)]
    return [*secrets, *dict.fromkeys(_unknown_schemes(card))]


def _unknown_schemes(card: AgentCard) -> Iterator[str]:
    requirements = [*card.security_requirements]
    for skill in card.skills:
        requirements += skill.security_requirements
    for requirement in requirements:
        for name in requirement.schemes:
            if name not in card.security_schemes:
                yield f"requires the security scheme {name!r}, which it does not have"
