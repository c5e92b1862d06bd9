"""The console: who may use it, what is said by its form and by its script, and what it shows."""

import asyncio
import json
import re
from collections.abc import AsyncIterator
from html import unescape
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from django.contrib.auth.models import AnonymousUser, Permission, User
from django.core.files.uploadedfile import SimpleUploadedFile
from django.template import engines
from django.template.loader import render_to_string
from django.test import AsyncClient, RequestFactory
from django.urls import set_script_prefix

from a2a_app import models
from a2a_app.agents import registry
from a2a_app.models.owners import Scope
from a2a_app.pages.access import login_url
from a2a_app.pages.chat import Block, Chat
from a2a_app.pages.drafts import Draft
from a2a_app.pages.log import Step
from a2a_app.protocol import AgentSkill, SecurityRequirement, StringList
from tests.clients.json_rpc import body_of, events_of
from tests.conftest import ChangeSettings
from tests.tasks import begin
from tests.wire import envelope, load_message, message

CONSOLE = "/a2a/echo/console.html"
SCRIPT = "/a2a/echo/console.json"
SECONDS = 20


@pytest.fixture(autouse=True)
def switched_on(a2a: ChangeSettings) -> None:
    a2a(CONSOLE=True)


async def user(name: str = "someone", *, may: bool = True) -> AsyncClient:
    def made() -> User:
        user = User.objects.create(username=name)
        if may:
            user.user_permissions.add(Permission.objects.get(codename="use_console"))
        return user

    client = AsyncClient()
    await client.aforce_login(await sync_to_async(made)())
    return client


@pytest.fixture
async def someone(runtime: None, switched_on: None) -> AsyncIterator[AsyncClient]:
    """Sign in a user who may use the console, and is no staff."""
    yield await user()


async def send(client: AsyncClient, agent: str, **fields: Any) -> str:
    """Send the form, and return where it leads."""
    response = await client.post(f"/a2a/{agent}/console.html", fields)
    assert response.status_code == 302, response.content.decode()
    return str(response["Location"])


async def page_once(client: AsyncClient, url: str, *wanted: str) -> str:
    """Return a page once it has some texts."""
    async with asyncio.timeout(SECONDS):
        while True:
            text = unescape((await client.get(url)).content.decode())
            if all(each in text for each in wanted):
                return text


def field(page: str, name: str) -> str:
    [value] = re.findall(rf'<input type="hidden" name="{name}" value="([^"]*)">', page)[-1:]
    return str(value)


@pytest.mark.slow
async def test_a_conversation_of_several_turns_is_held_by_the_form_alone(
    someone: AsyncClient,
) -> None:
    url = await send(someone, "travel-desk", text="Plan a trip")
    page = await page_once(someone, url, "Where do you want to go?", "input required")
    task = field(page, "task")
    context = field(page, "context")
    again = await send(
        someone, "travel-desk", data='{"destination": "Lisbon"}', context=context, task=task
    )
    assert again == url
    await page_once(someone, url, "How many days in Lisbon?")
    await send(someone, "travel-desk", text="2", context=context, task=task)
    page = await page_once(someone, url, "Have a good trip!", "completed", "trip.ics")
    assert page.index("Plan a trip") < page.index("How many days") < page.index("good trip!")
    assert field(page, "task") == ""
    [file] = re.findall(r'href="(/a2a/travel-desk/console.part/[^"]*)">trip.ics', page)
    assert (await someone.get(file))["Content-Security-Policy"] == "default-src 'none'; sandbox"
    another = await user("another")
    assert "good trip!" not in (await another.get(url)).content.decode()
    assert (await another.get(file)).status_code == 404
    [log] = re.findall(r'href="(/a2a/travel-desk/console.log/[^"]*)"', page)
    assert (await another.get(log)).status_code == 404
    events = json.loads((await someone.get(f"{log}?from=1")).content)["events"]
    assert [each["number"] for each in events] == list(range(1, len(events) + 1))


@pytest.mark.slow
async def test_the_log_of_a_task_is_gone_through_by_its_numbers(someone: AsyncClient) -> None:
    url = await send(someone, "echo", text="<b> again")
    page = await page_once(someone, url, "completed")
    [log] = re.findall(r'href="(/a2a/echo/console.log/[^"]*)"', page)
    step = (await someone.get(log)).content.decode()
    [last] = re.findall(r"Event 1 of (\d+)", step)
    assert "&quot;statusUpdate&quot;: {" in step
    assert 'rel="prev"' not in step and f'href="{url.replace("&", "&amp;")}"' in step
    for number in range(1, int(last)):
        assert f'href="?number={number + 1}" rel="next"' in step
        step = (await someone.get(f"{log}?number={number + 1}")).content.decode()
        assert "<b>" not in step
    assert "TASK_STATE_COMPLETED" in step and 'rel="next"' not in step
    assert f"Event {last} of {last}" in (await someone.get(f"{log}?number=999")).content.decode()
    assert "in the admin" not in step


@pytest.mark.slow
async def test_files_are_sent_and_shown_to_their_owner_only(
    someone: AsyncClient, a2a: ChangeSettings
) -> None:
    a2a(RAW_LIMIT=100)
    small = SimpleUploadedFile("small.txt", b"small", content_type="text/plain")
    large = SimpleUploadedFile("large.bin", b"x" * 1000)
    url = await send(someone, "mirror", file=[small, large])
    page = await page_once(someone, url, "completed", "small.txt", "large.bin")
    [link] = re.findall(r'href="(/a2a/mirror/console.file/[^"]*)">large.bin', page)
    response: Any = await someone.get(link)
    assert b"".join([piece async for piece in response]) == b"x" * 1000
    another = await user("another")
    assert (await another.get(link)).status_code == 404
    assert (await someone.get(link.replace("mirror", "echo"))).status_code == 404


async def test_what_is_refused_is_said_and_what_was_typed_stays(someone: AsyncClient) -> None:
    response = await someone.post(CONSOLE, {"text": "typed <b>", "data": "{no json"})
    page = response.content.decode()
    assert response.status_code == 400
    assert "typed &lt;b&gt;</textarea>" in page and "{no json</textarea>" in page
    assert re.search(r'role="alert" data-error>[^<]*JSON is not valid', page)
    assert (await someone.post(CONSOLE, {})).status_code == 400


async def test_files_that_are_too_large_are_refused_before_they_are_read(
    someone: AsyncClient, a2a: ChangeSettings
) -> None:
    a2a(MAX_BODY_BYTES=1000)
    file = SimpleUploadedFile("large.bin", b"x" * 1001)
    response = await someone.post("/a2a/mirror/console.html", {"text": "typed", "file": file})
    page = response.content.decode()
    assert response.status_code == 413
    assert "larger than 1000 bytes" in page and "typed</textarea>" in page


async def test_a_task_is_canceled_by_its_button(someone: AsyncClient) -> None:
    url = await send(someone, "load", text='{"end": "hang"}')
    page = await page_once(someone, url, 'name="cancel"', "working")
    [task] = re.findall(r'name="cancel" value="([^"]*)"', page)
    assert 'http-equiv="refresh"' in page
    assert await send(someone, "load", cancel=task, context=field(page, "context")) == url
    page = await page_once(someone, url, "canceled")
    assert 'name="cancel"' not in page and 'http-equiv="refresh"' not in page


async def test_the_script_speaks_json_rpc_as_the_user_that_is_signed_in(
    someone: AsyncClient,
) -> None:
    body = envelope("SendStreamingMessage", {"message": message("hello there")})
    response = await someone.post(SCRIPT, body, content_type="application/json")
    events = await events_of(response)
    task = events[0]["result"]["task"]
    assert events[-1]["result"]["statusUpdate"]["status"]["state"] == "TASK_STATE_COMPLETED"
    get = envelope("GetTask", {"id": task["id"]})
    mine = body_of(await someone.post(SCRIPT, get, content_type="application/json"))
    assert mine["result"]["id"] == task["id"]
    another = await user("another")
    theirs = body_of(await another.post(SCRIPT, get, content_type="application/json"))
    assert theirs["error"]["code"] == -32001
    # Nor is it that of the callers without credentials.
    public = await AsyncClient().post("/a2a/echo/", get, content_type="application/json")
    assert body_of(public)["error"]["code"] == -32001


@pytest.mark.slow
async def test_a_stream_ends_once_its_user_has_signed_out(
    runtime: None, a2a: ChangeSettings
) -> None:
    a2a(ACCESS_SECONDS=0.1)
    client = await user()
    body = envelope("SendStreamingMessage", {"message": load_message(end="hang")})
    path = "/a2a/load/console.json"
    response = await client.post(path, body, content_type="application/json")
    await client.alogout()
    events = await events_of(response)
    assert "no longer valid" in events[-1]["error"]["message"]


async def test_only_users_with_the_permission_get_in(runtime: None, a2a: ChangeSettings) -> None:
    nobody, ordinary = AsyncClient(), await user(may=False)
    for url in ("/a2a/console.html", CONSOLE):
        response = await nobody.get(url)
        assert response["Location"] == f"/admin/login/?next={url}"
        assert (await ordinary.get(url)).status_code == 403
    for client in (nobody, ordinary):
        assert (await client.post(CONSOLE, {"text": "x"})).status_code == 403
        body = envelope("SendMessage", {"message": message()})
        response = await client.post(SCRIPT, body, content_type="application/json")
        assert response.status_code == 403
    boss = await user("boss")
    assert (await boss.get("/a2a/console.html")).status_code == 200
    a2a(CONSOLE=None)
    for url in ("/a2a/console.html", CONSOLE):
        assert (await boss.get(url)).status_code == 404


@pytest.mark.parametrize(
    ("wanted", "prefix", "led_to"),
    [
        ("https://sso.example/in", "/", "https://sso.example/in?next=http%3A//testserver/a2a/"),
        ("admin:login", "/", "/admin/login/?next=/a2a/"),
        ("/a2a/?sign=in", "/", "/a2a/?sign=in&next=/a2a/"),
        ("/nowhere/", "/", "/admin/login/?next=/a2a/"),
        ("a2a:catalogue", "/site/", "/site/a2a/?next=/site/a2a/"),
    ],
)
def test_whoever_is_not_signed_in_is_led_to_the_login_of_the_project(
    rf: RequestFactory, settings: Any, wanted: str, prefix: str, led_to: str
) -> None:
    settings.LOGIN_URL = wanted
    set_script_prefix(prefix)
    try:
        assert login_url(rf.get("/a2a/", SCRIPT_NAME=prefix[:-1])) == led_to
    finally:
        set_script_prefix("/")


async def test_debug_switches_the_console_on(
    someone: AsyncClient, a2a: ChangeSettings, settings: Any
) -> None:
    a2a(CONSOLE=None)
    settings.DEBUG = True
    assert (await someone.get(CONSOLE)).status_code == 200


async def test_a_page_of_another_site_can_say_nothing(runtime: None) -> None:
    client = await user()
    client.handler.enforce_csrf_checks = True
    assert (await client.post(CONSOLE, {"text": "x"})).status_code == 403
    body = envelope("SendMessage", {"message": message()})
    assert (await client.post(SCRIPT, body, content_type="application/json")).status_code == 403
    page = (await client.get(CONSOLE)).content.decode()
    [token, *_] = re.findall(r'name="csrfmiddlewaretoken" value="([^"]*)"', page)
    headers = {"X-CSRFTOKEN": token}
    response = await client.post(SCRIPT, body, content_type="application/json", headers=headers)
    assert "result" in body_of(response)


@pytest.mark.django_db
def test_numbers_in_links_and_for_the_script_are_not_written_for_people(settings: Any) -> None:
    settings.USE_THOUSAND_SEPARATOR = True
    task = models.Task.objects.get(pk=begin(scope=Scope("echo", "")).head.task_id)
    task.seq = 2345
    chat = Chat("echo", "one", [Block(task.created_at, [], task, is_over=False)])
    shown = render_to_string("a2a_app/console/chat.html", {"chat": chat, "draft": Draft()})
    assert 'data-seq="2345"' in shown
    shown = render_to_string("a2a_app/console/log.html", {"step": Step(task, 1234, text="{}")})
    assert 'max="2345" value="1234"' in shown
    assert "?number=1233" in shown and "?number=1235" in shown


async def test_an_agent_is_chosen_and_read_before_it_is_talked_to(someone: AsyncClient) -> None:
    page = (await someone.get("/a2a/console.html")).content.decode()
    assert 'href="/a2a/travel-desk/console.html"' in page
    page = (await someone.get("/a2a/travel-desk/console.html")).content.decode()
    assert "Asks where you go and for how long" in page
    assert 'data-example="Plan a trip to Lisbon"' in page
    # Without a script an example is a link that fills the field.
    page = (await someone.get("/a2a/travel-desk/console.html?text=Plan+a+trip")).content.decode()
    assert "Plan a trip</textarea>" in page
    assert (await someone.get("/a2a/nobody/console.html")).status_code == 404
    # What no database stores names no conversation.
    assert (await someone.get(f"{CONSOLE}?context=a%00b")).status_code == 200
    assert (await someone.post(CONSOLE, {"text": "x", "context": "a\0b"})).status_code == 400


async def test_what_is_wrong_with_a_card_is_said_above_the_chat(
    someone: AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "Its card has faults" not in (await someone.get(CONSOLE)).content.decode()
    needed = SecurityRequirement(schemes={"<b>": StringList()})
    skill = AgentSkill(
        id="one", name="One", description="One", tags=[], security_requirements=[needed]
    )
    monkeypatch.setattr(registry.get("echo"), "skills", [skill])
    page = (await someone.get(CONSOLE)).content.decode()
    assert "Its card has faults" in page
    assert "requires the security scheme &#x27;&lt;b&gt;&#x27;" in page


def test_a_project_has_the_chat_on_a_page_of_its_own(
    rf: RequestFactory, db: None, a2a: ChangeSettings
) -> None:
    template = engines["django"].from_string('{% load a2a %}{% a2a_chat "echo" %}')

    def shown(user: Any) -> str:
        request = rf.get("/help/?x=1")
        request.user = user
        return template.render({}, request)

    someone = User.objects.create(username="someone")
    assert 'href="/admin/login/?next=/help/%3Fx%3D1"' in shown(AnonymousUser())
    assert "You may not talk to Echo here." in shown(someone)
    someone.user_permissions.add(Permission.objects.get(codename="use_console"))
    page = shown(User.objects.get(pk=someone.pk))
    assert 'data-script="/a2a/echo/console.json"' not in page  # the request came by WSGI
    assert 'action="/a2a/echo/console.html"' in page
    assert re.search(r'name="csrfmiddlewaretoken" value="\w+"', page)
    a2a(CONSOLE=False)
    assert "<form" not in shown(User.objects.get(pk=someone.pk))
