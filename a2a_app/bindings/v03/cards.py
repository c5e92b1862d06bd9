"""Cards of 0.3 (section 5.5 of 0.3), made of those of 1.0."""

from typing import Any, TypeAlias

from a2a_app.protocol import VERSION_03

Json: TypeAlias = dict[str, Any]

PROTOCOL_VERSION = f"{VERSION_03}.0"

_SAME = (
    "name", "description", "version", "provider", "documentationUrl", "iconUrl",
    "defaultInputModes", "defaultOutputModes", "signatures",
)  # fmt: skip  # names only
_TYPES = {
    "apiKeySecurityScheme": "apiKey",
    "httpAuthSecurityScheme": "http",
    "oauth2SecurityScheme": "oauth2",
    "openIdConnectSecurityScheme": "openIdConnect",
    "mtlsSecurityScheme": "mutualTLS",
}
# The flows that 0.3 has, with what it requires and 1.0 may leave out.
_FLOWS: Json = {
    "authorizationCode": {"scopes": {}},
    "clientCredentials": {"scopes": {}},
    "implicit": {"authorizationUrl": "", "scopes": {}},
    "password": {"tokenUrl": "", "scopes": {}},
}


def card_with_03(card: Json) -> Json:
    """Add to a card of 1.0 what clients of 0.3 read; no member means one thing to each.

    A card that says nowhere to reach the agent by 0.3 stays as it is.
    """
    if not _reached(card):
        return card
    old = card_03(card)
    skills = zip(card["skills"], old["skills"], strict=True)
    merged = {
        **card,
        **old,
        "capabilities": {**card["capabilities"], **old["capabilities"]},
        "skills": [{**new, **skill} for new, skill in skills],
    }
    if "securitySchemes" in card:
        schemes = card["securitySchemes"].items()
        merged["securitySchemes"] = {
            name: {**scheme, **old["securitySchemes"][name]} for name, scheme in schemes
        }
    return merged


def card_03(card: Json) -> Json:
    """Give the card of 0.3 for a card of 1.0."""
    reached, capabilities = _reached(card), card["capabilities"]
    [preferred, *_] = [*reached, {"url": "", "transport": ""}]
    made = {
        "protocolVersion": PROTOCOL_VERSION,
        **{name: card[name] for name in _SAME if name in card},
        "url": preferred["url"],
        "preferredTransport": preferred["transport"],
        "additionalInterfaces": reached,
        "capabilities": _capabilities(capabilities),
        "supportsAuthenticatedExtendedCard": capabilities.get("extendedAgentCard", False),
        "skills": [_skill(skill) for skill in card["skills"]],
    }
    if "securitySchemes" in card:
        schemes = card["securitySchemes"].items()
        made["securitySchemes"] = {name: _scheme(scheme) for name, scheme in schemes}
    if "securityRequirements" in card:
        made["security"] = _security(card["securityRequirements"])
    return made


def _reached(card: Json) -> list[Json]:
    return [
        {"url": each["url"], "transport": each["protocolBinding"]}
        for each in card["supportedInterfaces"]
        if each["protocolVersion"] == VERSION_03
    ]


def _capabilities(capabilities: Json) -> Json:
    made = {name: value for name, value in capabilities.items() if name != "extendedAgentCard"}
    if "extensions" in made:
        made["extensions"] = [{"uri": "", **extension} for extension in made["extensions"]]
    return made


def _skill(skill: Json) -> Json:
    made = dict(skill)
    requirements = made.pop("securityRequirements", None)
    return made if requirements is None else {**made, "security": _security(requirements)}


def _security(requirements: list[Json]) -> list[Json]:
    return [
        {name: scopes.get("list", []) for name, scopes in each.get("schemes", {}).items()}
        for each in requirements
    ]


def _scheme(scheme: Json) -> Json:
    [(kind, given)] = scheme.items()
    made = {"type": _TYPES[kind], **given}
    if kind == "apiKeySecurityScheme":
        made["in"] = made.pop("location")
    if kind == "oauth2SecurityScheme":
        flows = given["flows"].items()
        made["flows"] = {name: _FLOWS[name] | flow for name, flow in flows if name in _FLOWS}
    return made
