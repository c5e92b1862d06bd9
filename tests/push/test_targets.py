"""Where webhooks may be (section 13.2): none leads to what only the server can reach."""

import asyncio
import socket
from typing import Any

import pytest
from pytest_django import Settings

from a2a_app import database, models, runners
from a2a_app.agents import Turn
from a2a_app.protocol import TaskPushNotificationConfig
from a2a_app.push.targets import TargetError, check_url, resolve
from tests.clients.operations import client_of
from tests.push.test_delivery import failing
from tests.receiver import receiving

PUBLIC = "93.184.215.14"


@pytest.mark.parametrize(
    "url",
    [
        "",
        "https://",
        "/hook",
        "ftp://example.com/",
        "http://example.com/",
        "https://user@example.com/",
        "https://user:secret@example.com/",
        "https://example.com:port/",
        "https://example.com:99999/",
        "https://exa mple.com/",
        "https://example.com/\r\nX-Header: 1",
        "https://example.com/#part",
        "https://[::1/",
        "https://m\u00fcnchen.example/",
        f"https://example.com/{'a' * 8_000}",
    ],
)
def test_a_url_that_cannot_be_a_webhooks_is_refused(url: str) -> None:
    with pytest.raises(TargetError):
        check_url(url)


@pytest.mark.parametrize(
    ("address", "public"),
    [
        (PUBLIC, True),
        ("2606:2800:21f:cb07:6820:80da:af6b:8b2c", True),
        ("127.0.0.1", False),
        ("10.1.2.3", False),
        ("172.16.0.1", False),
        ("192.168.1.1", False),
        ("169.254.169.254", False),
        ("100.64.0.1", False),
        ("0.0.0.0", False),
        ("224.0.0.1", False),
        ("255.255.255.255", False),
        ("::1", False),
        ("::", False),
        ("fe80::1", False),
        ("fd00::1", False),
        ("ff02::1", False),
        ("::ffff:127.0.0.1", False),
        (f"::ffff:{PUBLIC}", True),
        ("64:ff9b::7f00:1", False),
        ("2002:7f00:1::", False),
    ],
)
async def test_only_public_addresses_are_connected_to(address: str, public: bool) -> None:
    host = f"[{address}]" if ":" in address else address
    parts = check_url(f"https://{host}/hook")
    if public:
        assert await resolve(parts) == address
    else:
        with pytest.raises(TargetError, match="not public"):
            await resolve(parts)


async def test_ways_to_write_an_address_do_not_hide_it() -> None:
    for written in ("2130706433", "0x7f000001", "127.1", "localhost", "LOCALHOST"):
        with pytest.raises(TargetError):
            await resolve(check_url(f"https://{written}/"))


async def test_a_host_is_refused_when_any_of_its_addresses_is_not_public(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    lead_to(monkeypatch, [PUBLIC, "10.0.0.1"])
    with pytest.raises(TargetError, match="not public"):
        await resolve(check_url("https://both.example/"))


async def test_named_hosts_are_the_only_ones_and_may_be_anywhere(settings: Settings) -> None:
    settings.A2A = {
        **settings.A2A, "PUSH_HOSTS": ["127.0.0.1", ".Example.com"], "PUSH_ALLOW_HTTP": True,
    }  # fmt: skip  # one line says what is set
    assert await resolve(check_url("http://127.0.0.1:8000/")) == "127.0.0.1"
    assert check_url("https://hooks.example.com/").hostname == "hooks.example.com"
    for other in ("https://example.com/", "https://notexample.com/", "https://127.0.0.2/"):
        with pytest.raises(TargetError):
            check_url(other)


@pytest.mark.usefixtures("runtime")
async def test_a_host_that_leads_elsewhere_the_second_time_is_not_connected_to(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.A2A = {**settings.A2A, "PUSH_ALLOW_HTTP": True, "SWEEP_SECONDS": 0.1}

    async def agent(turn: Turn) -> None:
        return

    async with receiving() as inside:
        lead_to(monkeypatch, [PUBLIC], ["127.0.0.1"])
        hook = TaskPushNotificationConfig(url=f"http://rebinding.example:{inside.port}/")
        await runners.current().begin()
        with client_of(agent) as client:
            await client.send(task_push_notification_config=hook)
            row = await failing()
        assert inside.requests == []
    assert "not public" in row.error
    assert row.delivered == 1


@pytest.mark.usefixtures("runtime")
async def test_a_url_that_was_allowed_once_is_checked_again_at_delivery(
    settings: Settings,
) -> None:
    before = settings.A2A
    settings.A2A = {**before, "PUSH_ALLOW_HTTP": True, "PUSH_HOSTS": ["127.0.0.1"]}

    async def agent(turn: Turn) -> None:
        return

    async with receiving() as inside:
        with client_of(agent) as client:
            hook = TaskPushNotificationConfig(url=inside.url)
            await client.send(task_push_notification_config=hook)
        settings.A2A = {**before, "PUSH_ALLOW_HTTP": True, "SWEEP_SECONDS": 0.1}
        await runners.current().begin()
        assert "not public" in (await failing()).error
        assert inside.requests == []
    assert await database.run(models.PushNotificationConfig.objects.count) == 1


def lead_to(monkeypatch: pytest.MonkeyPatch, *answers: list[str]) -> None:
    """Have the machine's resolver return these addresses, and the last ones for ever."""
    left = list(answers)

    async def getaddrinfo(self: Any, host: str, port: int, **_: Any) -> list[Any]:
        addresses = left.pop(0) if len(left) > 1 else left[0]
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (each, port)) for each in addresses]

    monkeypatch.setattr(asyncio.BaseEventLoop, "getaddrinfo", getaddrinfo)
