"""Agent cards of 0.3 (section 5.5 of 0.3), converted from those of 1.0."""

from typing import Any, TypeAlias

from a2a_app.protocol import VERSION_03

Json: TypeAlias = dict[str, Any]

PROTOCOL_VERSION = f"{VERSION_03}.0"

_UNCHANGED = (
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
# The flows of 0.3, with the members that it requires and 1.0 may omit.
_FLOWS: Json = {
    "authorizationCode": {"scopes": {}},
    "clientCredentials": {"scopes": {}},
    "implicit": {"authorizationUrl": "", "scopes": {}},
    "password": {"tokenUrl": "", "scopes": {}},
}


def card_with_03(card: Json) -> Json:
    """Add the members that clients of 0.3 read to a card of 1.0.

    No member has different meanings in the two versions. A card without an interface of 0.3 stays
    as it is.
    """
    if not _interfaces(card):
        return card
    old_card = card_03(card)
    skills = zip(card["skills"], old_card["skills"], strict=True)
    merged = {
        **card,
        **old_card,
        "capabilities": {**card["capabilities"], **old_card["capabilities"]},
        "skills": [{**skill, **old_skill} for skill, old_skill in skills],
    }
    if "securitySchemes" in card:
        schemes = card["securitySchemes"].items()
        merged["securitySchemes"] = {
            name: {**scheme, **old_card["securitySchemes"][name]} for name, scheme in schemes
        }
    return merged


def card_03(card: Json) -> Json:
    """Convert a card of 1.0 to one of 0.3."""
    interfaces, capabilities = _interfaces(card), card["capabilities"]
    [preferred, *_] = [*interfaces, {"url": "", "transport": ""}]
    converted = {
        "protocolVersion": PROTOCOL_VERSION,
        **{name: card[name] for name in _UNCHANGED if name in card},
        "url": preferred["url"],
        "preferredTransport": preferred["transport"],
        "additionalInterfaces": interfaces,
        "capabilities": _capabilities(capabilities),
        "supportsAuthenticatedExtendedCard": capabilities.get("extendedAgentCard", False),
        "skills": [_skill(skill) for skill in card["skills"]],
    }
    if "securitySchemes" in card:
        schemes = card["securitySchemes"].items()
        converted["securitySchemes"] = {name: _scheme(scheme) for name, scheme in schemes}
    if "securityRequirements" in card:
        converted["security"] = _security(card["securityRequirements"])
    return converted


def plain_card_03(card: Json) -> Json:
    """Convert a card of 1.0 to the proto of 0.3, whose security is written as in 1.0."""
    converted = card_03(card)
    converted.pop("security", None)
    skills = zip(card["skills"], converted["skills"], strict=True)
    for skill, old_skill in skills:
        old_skill.pop("security", None)
        if "securityRequirements" in skill:
            old_skill["security"] = skill["securityRequirements"]
    if "securitySchemes" in card:
        converted["securitySchemes"] = card["securitySchemes"]
    if "securityRequirements" in card:
        converted["security"] = card["securityRequirements"]
    return converted


def _interfaces(card: Json) -> list[Json]:
    return [
        {"url": each["url"], "transport": each["protocolBinding"]}
        for each in card["supportedInterfaces"]
        if each["protocolVersion"] == VERSION_03
    ]


def _capabilities(capabilities: Json) -> Json:
    converted = {key: value for key, value in capabilities.items() if key != "extendedAgentCard"}
    if "extensions" in converted:
        extensions = converted["extensions"]
        converted["extensions"] = [{"uri": "", **extension} for extension in extensions]
    return converted


def _skill(skill: Json) -> Json:
    converted = dict(skill)
    requirements = converted.pop("securityRequirements", None)
    if requirements is not None:
        converted["security"] = _security(requirements)
    return converted


def _security(requirements: list[Json]) -> list[Json]:
    return [
        {name: scopes.get("list", []) for name, scopes in each.get("schemes", {}).items()}
        for each in requirements
    ]


def _scheme(scheme: Json) -> Json:
    [(kind, members)] = scheme.items()
    converted = {"type": _TYPES[kind], **members}
    if kind == "apiKeySecurityScheme":
        converted["in"] = converted.pop("location")
    if kind == "oauth2SecurityScheme":
        flows = members["flows"].items()
        converted["flows"] = {name: _FLOWS[name] | flow for name, flow in flows if name in _FLOWS}
    return converted
