"""The URL of an agent, at which a browser finds a page and a program what it found before."""

import pytest
from django.test import AsyncClient

from a2a_app.agents import registry
from tests.conftest import ChangeSettings

BROWSER = {"Accept": "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"}

pytestmark = pytest.mark.usefixtures("runtime")


@pytest.mark.parametrize("path", ["/a2a/travel-desk/", "/a2a/travel-desk"])
async def test_a_browser_gets_the_card_to_read_and_the_way_to_the_console(
    path: str, a2a: ChangeSettings
) -> None:
    response = await AsyncClient().get(path, headers=BROWSER)
    page = response.content.decode()
    assert response.status_code == 200
    assert response["Content-Type"].startswith("text/html")
    assert "Accept" in response["Vary"]
    assert "Asks where you go and for how long" in page
    assert "console.html" not in page
    a2a(CONSOLE=True)
    page = (await AsyncClient().get(path, headers=BROWSER)).content.decode()
    assert 'href="/a2a/travel-desk/console.html"' in page
    head = await AsyncClient().head(path, headers=BROWSER)
    assert (head.status_code, head.content) == (200, b"")


async def test_a_browser_is_told_in_words_that_there_is_no_such_agent() -> None:
    response = await AsyncClient().get("/a2a/<nobody>/", headers=BROWSER)
    assert response.status_code == 404
    assert "This site has no agent <code>&lt;nobody&gt;</code>." in response.content.decode()


async def test_a_program_that_gets_instead_of_posting_is_refused_as_before() -> None:
    for headers in ({}, {"Accept": "*/*"}, {"Accept": "application/json"}):
        response = await AsyncClient().get("/a2a/echo/", headers=headers)
        assert response.status_code == 405
        assert response["Allow"] == "OPTIONS, POST"
        assert response["Content-Type"].endswith("json")
        missing = await AsyncClient().get("/a2a/nobody/", headers=headers)
        assert missing.status_code == 404


async def test_a_hidden_agent_has_no_page_for_those_who_do_not_see_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    agent = registry.get("echo")
    monkeypatch.setattr(agent, "hidden", True)
    monkeypatch.setattr(agent, "permission", "a2a_app.nobody_has_it")
    assert (await AsyncClient().get("/a2a/echo/", headers=BROWSER)).status_code == 404
