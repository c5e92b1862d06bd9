"""Security: cards and challenges say what authenticators ask for (sections 4.5 and 7)."""

from typing import Any

import pytest
from asgiref.sync import sync_to_async
from django.contrib.auth.models import User
from django.test import AsyncClient

from a2a_app import protocol
from a2a_app.agents import AgentSkill, Turn, registry
from a2a_app.agents.registry import make_agent
from tests.bindings import authenticators
from tests.bindings.authenticators import TOKEN
from tests.clients.json_rpc import JsonRpcClient, body_of
from tests.conftest import ChangeSettings
from tests.wire import HEADERS, envelope

OURS = authenticators.__name__
SESSION = "ninja.security.django_auth"
CARD = "/a2a/load/.well-known/agent-card.json"

SCHEMES = {
    "Bearer": {"httpAuthSecurityScheme": {"scheme": "Bearer"}},
    "Basic": {"httpAuthSecurityScheme": {"scheme": "Basic"}},
    "Header": {
        "apiKeySecurityScheme": {
            "location": "header", "name": "X-API-Key", "description": "Ask the operator.",
        }
    },
    "Query": {"apiKeySecurityScheme": {"location": "query", "name": "api_key"}},
    "Cookie": {"apiKeySecurityScheme": {"location": "cookie", "name": "key"}},
    "BasicAuth": {
        "httpAuthSecurityScheme": {
            "scheme": "Basic", "description": "The name and the password of a user of this site.",
        }
    },
    "ByCertificate": {"mtlsSecurityScheme": {}},
    "django_auth": {"apiKeySecurityScheme": {"location": "cookie", "name": "sessionid"}},
    "OAuth": {
        "oauth2SecurityScheme": {
            "flows": {
                "clientCredentials": {
                    "tokenUrl": "https://example.com/token",
                    "scopes": {"a2a": "Use the agents"},
                }
            }
        }
    },
}  # fmt: skip  # read as one table
CHALLENGES = {
    "Bearer": 'Bearer realm="a2a"',
    "Basic": 'Basic realm="a2a"',
    "Header": 'ApiKey realm="a2a", in="header", name="X-API-Key"',
    "Query": 'ApiKey realm="a2a", in="query", name="api_key"',
    "Cookie": 'ApiKey realm="a2a", in="cookie", name="key"',
    "BasicAuth": 'Basic realm="a2a"',
    # No scheme is registered for certificates.
    "ByCertificate": 'Unknown realm="a2a"',
    "django_auth": 'ApiKey realm="a2a", in="cookie", name="sessionid"',
    "OAuth": 'Bearer realm="a2a"',
}


PATHS = {"django_auth": SESSION, "BasicAuth": "a2a_app.authentication.BasicAuth"}


def path_of(name: str) -> str:
    return PATHS.get(name, f"{OURS}.{name}")


async def card_of(rpc: JsonRpcClient, path: str = CARD) -> dict[str, Any]:
    return body_of(await rpc.http.get(path, headers=HEADERS))


@pytest.mark.usefixtures("whole_chain")
@pytest.mark.parametrize("name", SCHEMES)
async def test_the_card_and_the_challenge_say_what_an_authenticator_asks_for(
    a2a: ChangeSettings, rpc: JsonRpcClient, name: str
) -> None:
    a2a(ANONYMOUS="refuse", AUTHENTICATION=[path_of(name)])
    card = await card_of(rpc)
    assert card["securitySchemes"] == {name: SCHEMES[name]}
    scopes = {"list": ["a2a"]} if name == "OAuth" else {}
    assert card["securityRequirements"] == [{"schemes": {name: scopes}}]
    refused = await rpc.post(envelope("ListTasks", {}))
    assert (refused.status_code, refused["WWW-Authenticate"]) == (401, CHALLENGES[name])


async def test_any_of_several_authenticators_suffices(
    a2a: ChangeSettings, rpc: JsonRpcClient
) -> None:
    a2a(
        ANONYMOUS="refuse", AUTHENTICATION=[path_of(name) for name in ("Bearer", "Header", "OAuth")]
    )
    card = await card_of(rpc)
    assert list(card["securitySchemes"]) == ["Bearer", "Header", "OAuth"]
    assert [list(each["schemes"]) for each in card["securityRequirements"]] == [
        ["Bearer"], ["Header"], ["OAuth"],
    ]  # fmt: skip  # one list of one each
    challenge = (await rpc.post(envelope("ListTasks", {})))["WWW-Authenticate"]
    assert challenge == f"{CHALLENGES['Bearer']}, {CHALLENGES['Header']}"


async def test_two_authenticators_of_one_name_are_two_schemes(
    a2a: ChangeSettings, rpc: JsonRpcClient
) -> None:
    a2a(AUTHENTICATION=[path_of("Bearer"), f"{__name__}.Bearer"])
    card = await card_of(rpc)
    assert list(card["securitySchemes"]) == ["Bearer", f"{__name__}.Bearer"]


class Bearer(authenticators.Bearer):
    """Has the name of another."""


async def test_where_anonymous_callers_share_credentials_are_optional(
    a2a: ChangeSettings, rpc: JsonRpcClient
) -> None:
    a2a(ANONYMOUS="share", AUTHENTICATION=[path_of("Bearer")])
    card = await card_of(rpc)
    assert card["securityRequirements"] == [{"schemes": {"Bearer": {}}}, {}]


@pytest.mark.parametrize("authentication", [[], [f"{OURS}.Silent"]])
async def test_where_nothing_is_declared_the_card_says_nothing_and_a_401_has_a_challenge(
    a2a: ChangeSettings, rpc: JsonRpcClient, authentication: list[str]
) -> None:
    a2a(ANONYMOUS="refuse", AUTHENTICATION=authentication)
    assert not {"securitySchemes", "securityRequirements"} & set(await card_of(rpc))
    refused = await rpc.post(envelope("ListTasks", {}))
    assert refused["WWW-Authenticate"] == 'Unknown realm="a2a"'


async def answer(turn: Turn) -> None:
    await turn.complete("Done.")


async def test_an_agent_adds_schemes_and_says_its_own_requirements(
    a2a: ChangeSettings, rpc: JsonRpcClient
) -> None:
    a2a(AUTHENTICATION=[path_of("Bearer")])
    both = protocol.SecurityRequirement(
        schemes={"Bearer": protocol.StringList(), "gateway": protocol.StringList()}
    )
    skill = AgentSkill(
        id="one", name="One", description="One.", tags=["one"], security_requirements=[both]
    )
    gateway = protocol.SecurityScheme(mtls_security_scheme=protocol.MutualTlsSecurityScheme())
    made = make_agent(
        answer,
        slug="guarded",
        skills=[skill],
        security_schemes={"gateway": gateway},
        security_requirements=[both],
    )
    with registry.registered(made):
        card = await card_of(rpc, "/a2a/guarded/.well-known/agent-card.json")
    required: list[Any] = [{"schemes": {"Bearer": {}, "gateway": {}}}]
    assert card["securitySchemes"]["gateway"] == {"mtlsSecurityScheme": {}}
    assert set(card["securitySchemes"]) == {"Bearer", "gateway"}
    assert card["securityRequirements"] == required
    assert card["skills"][0]["securityRequirements"] == required


async def test_a_bearer_is_known_beside_a_session_that_would_need_a_csrf_token(
    a2a: ChangeSettings, rpc: JsonRpcClient
) -> None:
    await sync_to_async(User.objects.create)(username="ann")
    a2a(ANONYMOUS="refuse", AUTHENTICATION=[SESSION, path_of("Bearer")])
    rpc.http = AsyncClient(enforce_csrf_checks=True, raise_request_exception=False)
    answered = await rpc.call("ListTasks", {}, Authorization=f"Bearer {TOKEN}")
    assert answered["result"]["totalSize"] == 0


@pytest.mark.usefixtures("whole_chain")
async def test_a_session_needs_its_csrf_token_and_the_refusal_says_so(
    a2a: ChangeSettings, rpc: JsonRpcClient
) -> None:
    user = await sync_to_async(User.objects.create)(username="ann")
    a2a(ANONYMOUS="refuse", AUTHENTICATION=[SESSION])
    rpc.http = AsyncClient(enforce_csrf_checks=True, raise_request_exception=False)
    await rpc.http.aforce_login(user)
    refused = await rpc.post(envelope("ListTasks", {}))
    assert refused.status_code == 401
    assert "CSRF check Failed" in body_of(refused)["error"]["message"]
    secret = "c" * 32
    rpc.http.cookies["csrftoken"] = secret
    answered = await rpc.call("ListTasks", {}, X_CSRFToken=secret)
    assert answered["result"]["totalSize"] == 0


async def test_an_authenticator_that_fails_lets_nobody_in_and_calls_nobody_unknown(
    a2a: ChangeSettings, rpc: JsonRpcClient
) -> None:
    a2a(ANONYMOUS="share", AUTHENTICATION=[f"{OURS}.Broken", path_of("Bearer")])
    error = (await rpc.call("ListTasks", {}))["error"]
    assert (error["code"], error["message"]) == (-32052, "The directory is away.")
