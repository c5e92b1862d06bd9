"""Origins: a page of another site cannot use what its reader's browser sends by itself."""

import base64
from typing import Any

import pytest
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.test import AsyncClient

from a2a_app import protocol
from a2a_app.authentication import CallerName
from tests.bindings import authenticators
from tests.clients.http_json import json_of, refusal_of
from tests.clients.json_rpc import JsonRpcClient, body_of, error_of
from tests.conftest import ChangeSettings
from tests.wire import UNKNOWN_TASK, envelope

OTHER = "https://evil.example"
DENIED = (403, "PERMISSION_DENIED")


def by_cookie(request: HttpRequest) -> CallerName | None:
    """Know whoever has a cookie, and say nothing of it."""
    return CallerName("ann") if "ann" in request.COOKIES else None


def by_told(request: HttpRequest) -> CallerName | None:
    """Know whoever names itself, and say that a browser does not."""
    return CallerName(name) if (name := request.headers.get("X-Name")) else None


by_told.ambient = False  # type: ignore[attr-defined]  # what a project writes too


class Certificate:
    """Knows callers by what a proxy says of their certificates."""

    security_scheme = protocol.SecurityScheme.of(
        mtls_security_scheme=protocol.MutualTlsSecurityScheme()
    )

    def __call__(self, request: HttpRequest) -> CallerName | None:
        return by_told(request)


class Header(authenticators.Header):
    def authenticate(self, request: HttpRequest, key: str | None) -> CallerName | None:  # type: ignore[override]  # without a database
        return CallerName(key) if key else None


class Bearer(authenticators.Bearer):
    def authenticate(self, request: HttpRequest, token: str) -> CallerName | None:  # type: ignore[override]  # as above
        return CallerName(token)


class Basic(authenticators.Basic):
    def authenticate(  # type: ignore[override]  # as above
        self, request: HttpRequest, username: str, password: str
    ) -> CallerName | None:
        return CallerName(username)


BASIC = "Basic " + base64.b64encode(b"ann:x").decode()
# By authenticator: what its caller sends, and whether a browser does so by itself.
AMBIENT = {
    "": {},
    "by_cookie": {"Cookie": "ann=1"},
    "Certificate": {"X-Name": "ann"},
    "Basic": {"Authorization": BASIC},
}
ADDED = {
    "by_told": {"X-Name": "ann"},
    "Header": {"X-API-Key": "ann"},
    "Bearer": {"Authorization": "Bearer ann"},
}


@pytest.fixture
async def http(rpc: JsonRpcClient) -> AsyncClient:
    return rpc.http


def known_by(a2a: ChangeSettings, name: str) -> dict[str, str]:
    """Have callers identified in one way; return what they send."""
    paths = [f"{__name__}.{name}"] if name else []
    a2a(AUTHENTICATION=paths, ANONYMOUS="refuse" if name else "share")
    return {"A2A-Version": "1.0", **(AMBIENT | ADDED)[name]}


async def list_tasks(http: AsyncClient, headers: dict[str, str]) -> HttpResponseBase:
    body = envelope("ListTasks", {})
    sent: Any = headers
    return await http.post("/a2a/load/", body, content_type="application/json", headers=sent)


@pytest.mark.parametrize("name", AMBIENT)
async def test_a_page_of_another_site_is_refused_where_the_browser_identifies_its_reader(
    http: AsyncClient, a2a: ChangeSettings, name: str
) -> None:
    headers = known_by(a2a, name)
    assert (await list_tasks(http, headers)).status_code == 200
    for origin in (
        {"Origin": OTHER},
        {"Origin": "null"},
        {"Origin": "https://testserver"},
        {"Origin": "http://testserver.evil.example"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site", "Origin": "http://other.testserver"},
    ):
        answer = await list_tasks(http, headers | origin)
        assert answer.status_code == 403
        body = body_of(answer)
        assert (error_of(body), body["id"]) == ((-32051, "PERMISSION_DENIED"), "test")


@pytest.mark.parametrize("name", ADDED)
async def test_a_page_of_another_site_may_send_a_token_of_its_own(
    http: AsyncClient, a2a: ChangeSettings, name: str
) -> None:
    headers = known_by(a2a, name)
    for origin in ({"Origin": OTHER}, {"Origin": OTHER, "Sec-Fetch-Site": "cross-site"}):
        assert (await list_tasks(http, headers | origin)).status_code == 200


@pytest.mark.parametrize(
    "origin",
    [
        {"Origin": "http://testserver"},
        {"Origin": "https://trusted.example"},
        {"Origin": "https://any.below.example", "Sec-Fetch-Site": "cross-site"},
        {"Origin": "https://agents.example.com"},
        # Behind a proxy that does not say that the scheme was https.
        {"Origin": "https://testserver", "Sec-Fetch-Site": "same-origin"},
        {"Sec-Fetch-Site": "none"},
    ],
)
async def test_a_page_of_this_site_or_of_one_that_is_trusted_is_let_in(
    http: AsyncClient, a2a: ChangeSettings, settings: Any, origin: dict[str, str]
) -> None:
    headers = known_by(a2a, "by_cookie")
    a2a(PUBLIC_URL="https://agents.example.com/")
    settings.CSRF_TRUSTED_ORIGINS = ["https://trusted.example", "https://*.below.example"]
    assert (await list_tasks(http, headers | origin)).status_code == 200


async def test_what_changes_nothing_is_answered_and_what_does_is_refused_over_http_json(
    http: AsyncClient, a2a: ChangeSettings
) -> None:
    headers: Any = {**known_by(a2a, "by_cookie"), "Origin": OTHER}
    assert "tasks" in json_of(await http.get("/a2a/load/tasks", headers=headers))
    hook = f"/a2a/load/tasks/{UNKNOWN_TASK}/pushNotificationConfigs/1"
    refused = await http.delete(hook, headers=headers)
    assert refusal_of(refused) == DENIED
    cancel = f"/a2a/load/tasks/{UNKNOWN_TASK}:cancel"
    refused = await http.post(cancel, {}, content_type="application/json", headers=headers)
    assert refusal_of(refused) == DENIED
