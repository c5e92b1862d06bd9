"""The reference project: its first page, the login that `make run` makes, and an agent of it."""

import re
from io import StringIO

import pytest
from django.contrib.auth.models import User
from django.core.management import call_command
from django.test import Client
from pytest_django import Settings

from a2a_app.agents import registry
from a2a_app.protocol import TaskState
from tests.clients.operations import OperationsClient
from tests.conftest import ChangeSettings
from tests.tasks import new_message

pytestmark = pytest.mark.django_db


def welcome() -> str:
    out = StringIO()
    call_command("welcome", stdout=out)
    return out.getvalue()


def test_the_first_page_shows_each_agent_and_loads_nothing_from_elsewhere() -> None:
    page = Client().get("/").content.decode()
    assert all(f"<h2>{agent.name}</h2>" in page for agent in registry)
    loaded = re.findall(r'<link rel="stylesheet" href="([^"]+)"', page)
    assert loaded and all(each.startswith("/static/") for each in loaded)


def test_the_first_page_is_in_the_language_of_whoever_reads_it() -> None:
    page = Client().get("/", headers={"Accept-Language": "de-AT,de;q=0.9"}).content.decode()
    assert '<html lang="de">' in page
    assert "Diese Agenten stehen in <code>project/agents.py</code>" in page
    assert "<h1>Agenten dieser Website</h1>" in page and "Von einem Terminal aus" in page
    assert "<h1>Agents of this site</h1>" in Client().get("/").content.decode()


def test_the_first_page_leads_to_the_console_where_that_is_on(a2a: ChangeSettings) -> None:
    assert "console.html" not in Client().get("/").content.decode() + welcome()
    a2a(CONSOLE=True)
    assert "http://127.0.0.1:8000/a2a/console.html\n" in welcome()
    page = Client().get("/").content.decode()
    assert all(f'href="/a2a/{agent.slug}/console.html"' in page for agent in registry)
    assert 'href="/a2a/travel-desk/console.html?text=Plan%20a%20trip%20to%20Lisbon"' in page


def test_the_page_about_the_api_loads_nothing_from_elsewhere() -> None:
    page = Client().get("/a2a/openapi.html").content.decode()
    loaded = re.findall(r'(?:<script src|<link[^>]*href)="([^"]+)"', page)
    assert loaded and not [each for each in loaded if "//" in each]


def test_a_login_is_made_once_in_development_and_never_elsewhere(settings: Settings) -> None:
    settings.DEBUG = False
    assert "password" not in welcome()
    assert not User.objects.exists()
    settings.DEBUG = True
    printed = welcome()
    assert "http://127.0.0.1:8000/\n" in printed
    found = re.search(r"user 'admin', password '([^']+)'", printed)
    assert found and User.objects.get().check_password(found[1])
    assert "password" not in welcome()


@pytest.mark.usefixtures("runtime")
@pytest.mark.parametrize("said", ["soon", "-1", "²"])
async def test_the_travel_desk_asks_again_where_no_number_was_said(said: str) -> None:
    client = OperationsClient(registry.get("travel-desk"))
    asked = await client.send("Plan a trip to Lisbon")
    again = await client.send(new_message(said, task_id=asked.id))
    assert again.status.state is TaskState.INPUT_REQUIRED
    assert again.status.message is not None
    assert again.status.message.text == "How many days in Lisbon?"
