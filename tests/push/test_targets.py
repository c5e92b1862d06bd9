"""Where webhooks may be (section 13.2): none leads to what only the server can reach."""

from itertools import chain, repeat

import pytest
from pytest_django import Settings

from a2a_app import database, models, runners
from a2a_app.agents import Turn
from a2a_app.protocol import TaskPushNotificationConfig
from a2a_app.push.targets import ForbiddenTargetError, TargetError, check_url, resolve
from tests.clients.operations import client_of
from tests.push.test_delivery import failing
from tests.receiver import receiving
from tests.resolver import resolve_by

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
        ("192.0.0.8", False),
        ("192.0.2.1", False),
        ("192.88.99.1", False),
        ("198.18.0.1", False),
        ("198.51.100.1", False),
        ("203.0.113.1", False),
        ("240.0.0.1", False),
        # Translated by a gateway: as public as the address within.
        ("64:ff9b::7f00:1", False),
        ("64:ff9b::a9fe:a9fe", False),
        ("64:ff9b::5db8:d70e", True),
        ("64:ff9b:1::5db8:d70e", False),
        # 6to4 and Teredo, with a private address within and a public one.
        ("2002:7f00:1::", False),
        ("2002:5db8:d70e::1", False),
        ("2001::5db8:d70e:0:0:80ff:fffe", False),
        # IPv4-compatible and IPv4-translated.
        ("::5db8:d70e", False),
        ("::127.0.0.1", False),
        ("::ffff:0:7f00:1", False),
        ("::ffff:0:5db8:d70e", False),
        # ISATAP, in a prefix that is public.
        ("2606:2800:21f:cb07:0:5efe:a00:1", False),
        ("2606:2800:21f:cb07:200:5efe:5db8:d70e", False),
        ("fec0::1", False),
        ("100::1", False),
        ("100:0:0:1::1", False),
        ("2001:2::1", False),
        ("2001:20::1", False),
        ("2001:db8::1", False),
        ("3fff::1", False),
        ("3fff:fff::1", False),
        ("5f00::1", False),
        ("4000::1", False),
    ],
)
async def test_only_public_addresses_are_connected_to(address: str, public: bool) -> None:
    host = f"[{address}]" if ":" in address else address
    parts = check_url(f"https://{host}/hook")
    if public:
        assert await resolve(parts, owner="") == address
    else:
        with pytest.raises(ForbiddenTargetError, match="not public"):
            await resolve(parts, owner="")


async def test_ways_to_write_an_address_do_not_hide_it() -> None:
    for written in ("2130706433", "0x7f000001", "127.1", "localhost", "LOCALHOST"):
        with pytest.raises(ForbiddenTargetError):
            await resolve(check_url(f"https://{written}/"), owner="")


async def test_a_host_is_refused_when_any_of_its_addresses_is_not_public(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    resolve_by(monkeypatch, lambda host: [PUBLIC, "10.0.0.1"])
    with pytest.raises(ForbiddenTargetError, match="not public"):
        await resolve(check_url("https://both.example/"), owner="")


@pytest.mark.parametrize("port", ["", ":443", ":8443", ":80"])
def test_a_webhook_has_one_of_the_ports_of_the_web(port: str) -> None:
    assert check_url(f"https://example.com{port}/").hostname == "example.com"


@pytest.mark.parametrize("port", [0, 22, 25, 5432, 6379, 8080, 65535])
def test_a_webhook_has_no_port_of_other_services(port: int) -> None:
    with pytest.raises(ForbiddenTargetError, match="port"):
        check_url(f"https://example.com:{port}/")


def test_the_ports_are_those_of_the_setting(settings: Settings) -> None:
    settings.A2A = {**settings.A2A, "PUSH_PORTS": [9000]}
    assert check_url("https://example.com:9000/").port == 9000
    with pytest.raises(ForbiddenTargetError):
        check_url("https://example.com/")
    settings.A2A = {**settings.A2A, "PUSH_PORTS": []}
    assert check_url("https://example.com:22/").port == 22


async def test_named_hosts_are_the_only_ones_and_may_be_anywhere(settings: Settings) -> None:
    settings.A2A = {
        **settings.A2A, "PUSH_HOSTS": ["127.0.0.1", ".Example.com"], "PUSH_ALLOW_HTTP": True,
    }  # fmt: skip  # one line says what is set
    assert await resolve(check_url("http://127.0.0.1:8000/"), owner="") == "127.0.0.1"
    assert check_url("https://hooks.example.com/").hostname == "hooks.example.com"
    for other in ("https://example.com/", "https://notexample.com/", "https://127.0.0.2/"):
        with pytest.raises(TargetError):
            check_url(other)


@pytest.mark.slow
@pytest.mark.usefixtures("runtime")
async def test_a_host_that_leads_elsewhere_the_second_time_is_not_connected_to(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.A2A = {
        **settings.A2A, "PUSH_ALLOW_HTTP": True, "PUSH_PORTS": (), "SWEEP_SECONDS": 0.1,
    }  # fmt: skip  # one line says what is set

    async def agent(turn: Turn) -> None:
        return

    async with receiving() as inside:
        addresses = chain([PUBLIC], repeat("127.0.0.1"))
        resolve_by(monkeypatch, lambda host: [next(addresses)])
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
        settings.A2A = {
            **before, "PUSH_ALLOW_HTTP": True, "PUSH_PORTS": (), "SWEEP_SECONDS": 0.1,
        }  # fmt: skip  # one line says what is set
        await runners.current().begin()
        assert "not public" in (await failing()).error
        assert inside.requests == []
    assert await database.run(models.PushNotificationConfig.objects.count) == 1
