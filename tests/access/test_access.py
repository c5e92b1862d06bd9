"""Access that ends: open streams and waiting requests end with it, and others go on."""

import asyncio
from base64 import b64encode
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from django.contrib.auth.models import Group, Permission, User
from django.core.exceptions import PermissionDenied
from django.db import OperationalError
from django.http import HttpRequest, StreamingHttpResponse
from django.test import AsyncClient
from django.utils import timezone

from a2a_app.agents import Tenant, Turn, registry
from a2a_app.agents.registry import make_agent
from a2a_app.authentication import CallerName, Grant, announce_change
from a2a_app.models import ApiKey
from a2a_app.protocol import UnavailableError
from tests.clients.json_rpc import JsonRpcClient, error_of
from tests.clients.ways import WAYS, Way, code_of
from tests.conftest import ChangeSettings
from tests.wire import envelope, message, strict_json

SECONDS = 10
API_KEYS = "a2a_app.authentication.ApiKeyAuth"
UNKNOWN = (-32050, "UNAUTHENTICATED")
STREAMS = [way for way in WAYS if way.streams]


async def waits(turn: Turn) -> None:
    """Work until nobody wants it any more."""
    await turn.working()
    await asyncio.Event().wait()


@pytest.fixture
async def agent(a2a: ChangeSettings, rpc: JsonRpcClient) -> AsyncIterator[None]:
    # So long that only what is announced can have ended what ends.
    a2a(ANONYMOUS="refuse", AUTHENTICATION=[API_KEYS], ACCESS_SECONDS=600)
    with registry.registered(make_agent(waits, slug="waits")):
        yield


async def issue(username: str = "ann") -> str:
    """Issue a key; return its header."""
    user, _ = await User.objects.aget_or_create(username=username)
    row = ApiKey(user=user, name="test")
    key = row.issue()
    await row.asave()
    return f"Bearer {key}"


class Opened:
    """A stream that is open: the events that have come, and its end."""

    def __init__(self, response: Any) -> None:
        assert isinstance(response, StreamingHttpResponse), response.content
        self._chunks = aiter(response)
        self.text = b""

    async def until(self, awaited: bytes) -> None:
        """Read until something has come."""
        async with asyncio.timeout(SECONDS):
            while awaited not in self.text.lower():
                self.text += await anext(self._chunks)

    async def last_event(self) -> dict[str, Any]:
        """Read to the end, and return the last event."""
        async with asyncio.timeout(SECONDS):
            async for chunk in self._chunks:
                self.text += chunk
        last = self.text.decode().rpartition("data: ")[2]
        event: dict[str, Any] = strict_json(last)
        return event


async def opened(rpc: JsonRpcClient, header: str, **headers: str) -> Opened:
    """Open a stream that says no more once its task is being worked on."""
    request = envelope("SendStreamingMessage", {"message": message("hello")})
    response = await rpc.post(request, path="/a2a/waits/", Authorization=header, **headers)
    stream = Opened(response)
    await stream.until(b"working")
    return stream


async def revoke() -> None:
    row = await ApiKey.objects.aget(user__username="ann")
    row.revoked_at = timezone.now()
    await row.asave()


async def delete_key() -> None:
    await ApiKey.objects.filter(user__username="ann").adelete()


async def make_inactive() -> None:
    ann = await User.objects.aget(username="ann")
    ann.is_active = False
    await ann.asave()


async def delete_user() -> None:
    await User.objects.filter(username="ann").adelete()


@pytest.mark.slow
@pytest.mark.parametrize("way", STREAMS, ids=str)
async def test_a_stream_ends_with_the_error_once_its_key_is_revoked(
    agent: None, rpc: JsonRpcClient, way: Way
) -> None:
    header = await issue()
    response = await way.send(
        rpc, {"message": message("hello")}, agent="waits", Authorization=header
    )
    stream = Opened(response)
    await stream.until(b"orking" if way.version == "0.3" else b"working")
    await revoke()
    code, text = code_of(await stream.last_event())
    assert code in (UNKNOWN[0], UNKNOWN[1])
    assert "no longer valid" in text


@pytest.mark.slow
@pytest.mark.parametrize("change", [delete_key, make_inactive, delete_user])
async def test_whatever_takes_the_access_away_ends_the_stream_of_that_caller_only(
    agent: None, rpc: JsonRpcClient, change: Callable[[], Awaitable[None]]
) -> None:
    anns, bobs = await opened(rpc, await issue("ann")), await opened(rpc, await issue("bob"))
    await change()
    assert error_of(await anns.last_event()) == UNKNOWN
    await revoke_all()
    assert error_of(await bobs.last_event()) == UNKNOWN


async def revoke_all() -> None:
    """Revoke as the admin does, without a signal, and say so."""
    await ApiKey.objects.aupdate(revoked_at=timezone.now())
    announce_change()


@pytest.mark.slow
async def test_a_message_that_waits_for_its_answer_is_refused(
    agent: None, rpc: JsonRpcClient
) -> None:
    header = await issue()
    waiting = asyncio.create_task(
        rpc.call("SendMessage", {"message": message("hello")}, agent="waits", Authorization=header)
    )
    await opened(rpc, header)
    assert not waiting.done()
    await revoke()
    async with asyncio.timeout(SECONDS):
        assert error_of(await waiting) == UNKNOWN


@pytest.mark.slow
async def test_without_an_announcement_a_stream_ends_by_the_next_look(
    agent: None, rpc: JsonRpcClient, a2a: ChangeSettings
) -> None:
    a2a(ACCESS_SECONDS=0.05)
    stream = await opened(rpc, await issue())
    await ApiKey.objects.aupdate(revoked_at=timezone.now())
    assert error_of(await stream.last_event()) == UNKNOWN


@pytest.mark.slow
@pytest.mark.parametrize("ends", ["signs out", "is inactive", "changes the password"])
async def test_a_visitor_of_the_site_loses_the_stream_with_the_session(
    settings: Any,
    agent: None,
    rpc: JsonRpcClient,
    a2a: ChangeSettings,
    ends: str,
) -> None:
    a2a(AUTHENTICATION=["ninja.security.django_auth"])
    bypass = "a2a_app.middleware.bypass"  # stands above what knows the sessions
    settings.MIDDLEWARE = [path for path in settings.MIDDLEWARE if path != bypass]
    user = await User.objects.acreate_user("ann", password="secret")
    rpc.http = AsyncClient()
    await sync_to_async(rpc.http.force_login)(user)
    stream = await opened(rpc, "")
    match ends:
        case "signs out":
            await sync_to_async(rpc.http.logout)()
        case "is inactive":
            await make_inactive()
        case _:
            await sync_to_async(user.set_password)("other")
            await user.asave()
    assert error_of(await stream.last_event()) == UNKNOWN


@pytest.mark.slow
async def test_a_stream_ends_with_the_password_with_which_it_was_opened(
    agent: None, rpc: JsonRpcClient, a2a: ChangeSettings
) -> None:
    a2a(AUTHENTICATION=["a2a_app.authentication.BasicAuth"])
    user = await User.objects.acreate_user("ann", password="secret")
    header = "Basic " + b64encode(b"ann:secret").decode()
    stream = await opened(rpc, header)
    await sync_to_async(user.set_password)("other")
    await user.asave()
    assert error_of(await stream.last_event()) == UNKNOWN


class Directory:
    """What the authenticator of a test asks, and how often it was asked."""

    answers: Any = CallerName("ann")
    asked = 0
    was_asked = asyncio.Event()


async def by_directory(request: HttpRequest) -> Any:
    """Know everybody whom the directory knows."""
    Directory.asked += 1
    Directory.was_asked.set()
    if isinstance(Directory.answers, Exception):
        raise Directory.answers
    return Directory.answers


@pytest.fixture
def directory(a2a: ChangeSettings, monkeypatch: pytest.MonkeyPatch) -> type[Directory]:
    a2a(AUTHENTICATION=[f"{__name__}.by_directory"])
    monkeypatch.setattr(Directory, "answers", Directory.answers)
    monkeypatch.setattr(Directory, "asked", 0)
    monkeypatch.setattr(Directory, "was_asked", asyncio.Event())
    return Directory


@pytest.mark.slow
async def test_all_streams_with_the_same_credentials_are_one_question(
    agent: None, rpc: JsonRpcClient, directory: type[Directory]
) -> None:
    streams = [await opened(rpc, "Bearer x", Idempotency_Key=str(number)) for number in range(5)]
    before = directory.asked
    directory.answers = None
    announce_change()
    for stream in streams:
        assert error_of(await stream.last_event()) == UNKNOWN
    # Once for what was announced, and once when the watch had joined the group.
    assert directory.asked - before <= 2


@pytest.mark.slow
@pytest.mark.parametrize(
    "answer",
    [
        RuntimeError("The directory is away."),
        OperationalError("The database is away."),
        UnavailableError("The provider is away."),
    ],
)
async def test_a_stream_stays_while_the_authenticator_fails(
    agent: None, rpc: JsonRpcClient, directory: type[Directory], answer: Exception
) -> None:
    stream = await opened(rpc, "Bearer x")
    directory.was_asked.clear()
    directory.answers = answer
    announce_change()
    async with asyncio.timeout(SECONDS):
        await directory.was_asked.wait()
    directory.answers = PermissionDenied("Not any more.")
    announce_change()
    error = (await stream.last_event())["error"]
    assert (error["code"], error["message"]) == (-32051, "Not any more.")


@pytest.mark.slow
async def test_a_stream_ends_where_its_credentials_are_somebody_elses_now(
    agent: None, rpc: JsonRpcClient, directory: type[Directory]
) -> None:
    stream = await opened(rpc, "Bearer x")
    directory.answers = CallerName("bob")
    announce_change()
    assert error_of(await stream.last_event()) == UNKNOWN


async def of_group(request: Any, tenant: str, caller: Any) -> Tenant | None:
    """Let the members of a group of that name in."""
    if not tenant:
        return Tenant()
    return Tenant(tenant) if await caller.groups.filter(name=tenant).aexists() else None


@pytest.mark.slow
async def test_who_leaves_a_tenant_loses_the_streams_there(
    agent: None, rpc: JsonRpcClient, a2a: ChangeSettings
) -> None:
    a2a(TENANT_RESOLVER=f"{__name__}.of_group")
    header = await issue()
    ann = await User.objects.aget(username="ann")
    group = await Group.objects.acreate(name="acme")
    await ann.groups.aadd(group)
    request = envelope("SendStreamingMessage", {"message": message("hello"), "tenant": "acme"})
    there = Opened(await rpc.post(request, path="/a2a/waits/", Authorization=header))
    await there.until(b"working")
    elsewhere = await opened(rpc, header)
    await ann.groups.aremove(group)
    error = (await there.last_event())["error"]
    assert error["code"] == -32602 and "tenant" in error["message"]
    await revoke()
    assert error_of(await elsewhere.last_event()) == UNKNOWN


@pytest.mark.slow
async def test_a_stream_ends_where_the_credentials_are_for_its_tenant_no_more(
    agent: None, rpc: JsonRpcClient, directory: type[Directory]
) -> None:
    directory.answers = Grant(CallerName("ann"), tenants=frozenset({"acme"}))
    stream = await opened(rpc, "Bearer x")
    directory.answers = Grant(CallerName("ann"), tenants=frozenset({"globex"}))
    announce_change()
    assert error_of(await stream.last_event()) == UNKNOWN


@pytest.mark.slow
async def test_who_loses_the_permission_for_an_agent_loses_its_streams(
    agent: None, rpc: JsonRpcClient
) -> None:
    header = await issue()
    ann = await User.objects.aget(username="ann")
    await ann.user_permissions.aadd(await Permission.objects.aget(codename="view_group"))
    made = make_agent(waits, slug="waits", permission="auth.view_group")
    with registry.registered(made):
        stream = await opened(rpc, header)
        await ann.user_permissions.aclear()
        assert error_of(await stream.last_event()) == (-32051, "PERMISSION_DENIED")


@pytest.mark.slow
async def test_a_stream_ends_where_its_key_loses_the_scope(agent: None, rpc: JsonRpcClient) -> None:
    stream = await opened(rpc, await issue())
    row = await ApiKey.objects.aget()
    row.scopes = "read"
    await row.asave()
    assert error_of(await stream.last_event()) == (-32051, "PERMISSION_DENIED")
