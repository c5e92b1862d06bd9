"""Who may do what: each operation, through each binding and version, for each kind of caller."""

import json
import re
from base64 import b64encode
from collections.abc import AsyncIterator
from typing import Any
from uuid import uuid4

import pytest
from asgiref.sync import sync_to_async
from django.contrib.auth.hashers import make_password
from django.contrib.auth.models import User
from django.core.cache import caches
from django.http import StreamingHttpResponse
from django.http.response import HttpResponseBase
from django.utils import timezone

from a2a_app.agents import AgentSkill, Turn, registry
from a2a_app.agents.registry import make_agent
from a2a_app.models import ApiKey
from a2a_app.operations import OPERATIONS
from a2a_app.operations.call import SCOPES
from tests.bindings import authenticators, resolvers
from tests.bindings.exchanges import REQUESTS, TASK, Request
from tests.certificates import certificate, from_nginx
from tests.clients.json_rpc import JsonRpcClient
from tests.clients.ways import code_of
from tests.conftest import ChangeSettings

FORMS = ("jsonrpc-1.0", "http-json-1.0", "jsonrpc-0.3", "http-json-0.3")
# What an error is called in JSON-RPC, and its reason in HTTP+JSON.
NAMES = {-32001: "TASK_NOT_FOUND", -32050: "UNAUTHENTICATED", -32051: "PERMISSION_DENIED"}
STATUS = {"UNAUTHENTICATED": 401, "PERMISSION_DENIED": 403}
UUID = re.compile(rb"[0-9a-f]{8}-[0-9a-f-]{27}")
REFUSED = {
    "nobody": "UNAUTHENTICATED",
    "a revoked key": "UNAUTHENTICATED",
    "a wrong password": "UNAUTHENTICATED",
    "a certificate of nobody": "UNAUTHENTICATED",
    "a certificate of no proxy": "UNAUTHENTICATED",
    "another scope": "PERMISSION_DENIED",
    "another agent": "PERMISSION_DENIED",
}
# For these the task of somebody else does not exist; they may have tasks of their own.
STRANGERS = (
    "a stranger", "a stranger's password", "a stranger's certificate", "another tenant", "staff",
)  # fmt: skip  # as one list
# The owner, whichever credentials it shows.
OWNERS = ("the owner's password", "the owner's certificate", "the owner")
PASSWORD = "open sesame"
AUTHENTICATION = [
    "a2a_app.authentication.ApiKeyAuth",
    "a2a_app.authentication.BasicAuth",
    f"{authenticators.__name__}.ByCertificate",
    f"{authenticators.__name__}.BehindNginx",
]
Headers = dict[str, str]


async def asks(turn: Turn) -> None:
    """Ask who it is, so that the task can be canceled and followed."""
    await turn.auth_required("Who are you?")


def issue(username: str, **row: Any) -> Headers:
    user, _ = User.objects.get_or_create(
        username=username,
        defaults={
            "is_staff": username == "staff",
            "is_superuser": True,
            "password": make_password(PASSWORD),
        },
    )
    made = ApiKey(user=user, name="test", **row)
    key = made.issue()
    made.save()
    return {"Authorization": f"Bearer {key}"}


def by_password(username: str, password: str = PASSWORD) -> Headers:
    named = b64encode(f"{username}:{password}".encode()).decode()
    return {"Authorization": f"Basic {named}"}


def by_certificate(common_name: str) -> Headers:
    return {"Client-Cert": from_nginx(certificate(common_name))}


def issue_all() -> dict[str, Headers]:
    """Return the headers of each caller; those of another scope are by the scope that it lacks."""
    headers = {"nobody": {}, "the owner": issue("ann"), "a stranger": issue("bob")}
    headers["another tenant"] = headers["the owner"]
    headers["staff"] = issue("staff")
    for who, username in (("the owner", "ann"), ("a stranger", "bob")):
        headers[f"{who}'s password"] = by_password(username)
        headers[f"{who}'s certificate"] = by_certificate(username)
    headers["a wrong password"] = by_password("ann", "close sesame")
    headers["a certificate of nobody"] = by_certificate("eve")
    forged = {"X-Client-Cert": from_nginx(certificate("ann")), "X-Client-Verify": "SUCCESS"}
    headers["a certificate of no proxy"] = forged
    headers["a revoked key"] = issue("ann", revoked_at=timezone.now())
    headers["another agent"] = issue("ann", agents="echo load")
    for scope in SCOPES:
        headers[scope] = issue("ann", scopes=" ".join(set(SCOPES) - {scope}))
    return headers


@pytest.fixture
async def headers(a2a: ChangeSettings, rpc: JsonRpcClient) -> AsyncIterator[dict[str, Headers]]:
    caches["default"].clear()  # of wrong passwords
    a2a(
        ANONYMOUS="refuse",
        AUTHENTICATION=AUTHENTICATION,
        TENANT_RESOLVER=f"{resolvers.__name__}.by_header",
    )
    more = AgentSkill(id="more", name="More", description="More.", tags=["more"])
    agent = make_agent(asks, slug="golden", input_modes=("*/*",), extended_skills=[more])
    with registry.registered(agent):
        yield await sync_to_async(issue_all)()


async def ask(rpc: JsonRpcClient, request: Request, task: str, who: str, shown: Headers) -> Any:
    """Send a request as somebody."""
    named = request.for_task(task)
    sent = {"A2A-Version": named.version, **shown}
    sent["X-Part"] = "acme" if who == "another tenant" else ""
    return await rpc.http.generic(
        named.verb,
        named.path,
        json.dumps(named.body).encode() if named.body is not None else b"",
        named.media_type if named.body is not None else "",
        headers={name: value for name, value in sent.items() if value},
    )


def outcome(response: HttpResponseBase) -> str:
    """Return the name of the error that a response has; empty if it has none."""
    if isinstance(response, StreamingHttpResponse) or response.status_code == 204:
        response.close()
        return ""
    content = response.content.decode().removeprefix("data: ")  # type: ignore[attr-defined]  # no stream
    answer = json.loads(content)
    if isinstance(answer, list) or not ("error" in answer or isinstance(answer.get("code"), int)):
        return ""
    code, _ = code_of(answer)
    name = str(NAMES.get(code, code))
    assert response.status_code == STATUS.get(name, response.status_code)
    return name


def names_task(request: Request) -> bool:
    return TASK in json.dumps([request.path, request.body])


async def new_task(rpc: JsonRpcClient, shown: Headers) -> str:
    """Make the owner's task, with a webhook."""
    sent = REQUESTS["SendMessage"]["jsonrpc-1.0"]
    answer = json.loads((await ask(rpc, sent, "", "the owner", shown)).content)
    task = str(answer["result"]["task"]["id"])
    made = REQUESTS["CreateTaskPushNotificationConfig"]["jsonrpc-1.0"]
    assert outcome(await ask(rpc, made, task, "the owner", shown)) == ""
    return task


@pytest.mark.slow
@pytest.mark.parametrize("form", FORMS)
async def test_each_caller_may_do_what_is_its_own_and_nothing_else(
    rpc: JsonRpcClient, headers: dict[str, Headers], form: str
) -> None:
    task = await new_task(rpc, headers["the owner"])
    # Whoever may cancel does so in the end, and a webhook is there until it is deleted.
    last = ("DeleteTaskPushNotificationConfig", "CancelTask")
    for name in sorted(OPERATIONS, key=lambda name: (name in last, name)):
        request = REQUESTS[name].get(form)
        if request is None:
            continue  # 0.3 has no ListTasks over JSON-RPC
        for who, refusal in REFUSED.items():
            shown = headers[OPERATIONS[name].scope if who == "another scope" else who]
            assert outcome(await ask(rpc, request, task, who, shown)) == refusal, (name, who)
        for who in STRANGERS:
            theirs = await ask(rpc, request, task, who, headers[who])
            if not names_task(request):
                assert outcome(theirs) == "", (name, who)
                continue
            missing = await ask(rpc, request, str(uuid4()), who, headers[who])
            assert outcome(theirs) == "TASK_NOT_FOUND", (name, who)
            assert UUID.sub(b"", theirs.content) == UUID.sub(b"", missing.content)
            assert theirs.headers == missing.headers
        # What can be done once only is for the last of them.
        for who in OWNERS[-1:] if name in last else OWNERS:
            owners = await ask(rpc, request, task, who, headers[who])
            assert outcome(owners) == "", (name, who)


async def test_a_webhook_in_a_message_needs_its_own_scope(
    rpc: JsonRpcClient, headers: dict[str, Headers]
) -> None:
    sent = REQUESTS["SendMessage"]["jsonrpc-1.0"]
    config = {"url": "https://192.0.43.10/hook"}
    params = {**sent.body["params"], "configuration": {"taskPushNotificationConfig": config}}
    request = Request(sent.verb, sent.path, sent.version, {**sent.body, "params": params})
    assert outcome(await ask(rpc, request, "", "", headers["push"])) == "PERMISSION_DENIED"
    assert outcome(await ask(rpc, request, "", "", headers["read"])) == ""
