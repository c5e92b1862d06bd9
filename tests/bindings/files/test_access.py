"""Links are for their owner only, for a while, and safe (R11)."""

import json

import pytest
from asgiref.sync import sync_to_async
from django.contrib.auth.models import User
from django.core.files.storage import storages
from django.http import HttpRequest

from a2a_app import models
from a2a_app.agents import Turn, registry
from a2a_app.agents.registry import make_agent
from a2a_app.authentication import Grant
from tests.bindings.files.conftest import (
    LARGE,
    FilesClient,
    content_of,
    file_of,
    found_links,
    made,
    said_with,
)
from tests.clients.json_rpc import JsonRpcClient
from tests.conftest import ChangeSettings
from tests.storages import stored_names
from tests.wire import message


async def test_a_link_is_for_its_owner_only(
    ann: FilesClient, bob: FilesClient, rpc: JsonRpcClient
) -> None:
    [link] = found_links(await ann.send(made(100_000)))
    foreign = await bob.get(link)
    assert foreign.status_code == 404
    assert b"There is no such file, or it is not yours" in content_of(foreign)
    refused = await FilesClient("").get(link)
    assert refused.status_code == 401
    assert refused["WWW-Authenticate"]
    assert len(await ann.bytes_of(link)) == 100_000


async def test_a_link_is_of_no_use_to_an_owner_who_has_no_access_any_more(
    a2a: ChangeSettings, ann: FilesClient
) -> None:
    [link] = found_links(await ann.send(made(100_000)))
    with registry.registered(
        make_agent(registry.get("courier").run, slug="courier", permission="auth.view_group")
    ):
        refused = await ann.get(link)
        assert refused.status_code == 403
        assert b"You have no permission" in content_of(refused)
    a2a(AUTHENTICATION=[f"{__name__}.by_weak_key"])
    lacking = await ann.get(link)
    assert lacking.status_code == 403
    assert b"lack the scope 'read'" in content_of(lacking)
    a2a(AUTHENTICATION=["a2a_app.authentication.ApiKeyAuth"])
    assert (await ann.get(link)).status_code == 401


def by_weak_key(request: HttpRequest) -> Grant:
    """Know Ann by credentials that let her send and no more."""
    return Grant(User.objects.get(username="ann"), scopes=frozenset({"send"}))


async def test_a_link_expires_and_its_owner_is_told_so(
    a2a: ChangeSettings, ann: FilesClient, bob: FilesClient
) -> None:
    [link] = found_links(await ann.send(made(100_000)))
    a2a(LINK_SECONDS=1e-9)
    late = await ann.get(link)
    assert late.status_code == 403
    assert b"The link is too old" in content_of(late)
    assert (await bob.get(link)).status_code == 404


@pytest.mark.parametrize("place", [20, 34, -1], ids=["the file", "the time", "the signature"])
async def test_a_link_that_was_changed_leads_nowhere(ann: FilesClient, place: int) -> None:
    [link] = found_links(await ann.send(made(100_000)))
    start = link.index("/files/") + len("/files/") if place >= 0 else len(link)
    at = start + place
    forged = link[:at] + ("1" if link[at] != "1" else "2") + link[at + 1 :]
    assert (await ann.get(forged)).status_code == 404


async def test_callers_without_credentials_share_their_files_and_nobody_elses(
    a2a: ChangeSettings, rpc: JsonRpcClient, ann: FilesClient
) -> None:
    a2a(ANONYMOUS="share")
    nobody = FilesClient("")
    [theirs] = found_links(await nobody.send(made(100_000)))
    [hers] = found_links(await ann.send(made(100_000)))
    assert len(await nobody.bytes_of(theirs)) == 100_000
    assert (await nobody.get(hers)).status_code == 404
    assert (await ann.get(theirs)).status_code == 404


async def test_with_its_task_the_file_is_gone(ann: FilesClient) -> None:
    task = await ann.send(made(100_000))
    await sync_to_async(lambda: models.Task.objects.get(pk=task["id"]).delete())()
    assert stored_names() == []
    [link] = found_links(task)
    assert (await ann.get(link)).status_code == 404


async def test_a_file_that_the_storage_has_lost_is_not_found(
    ann: FilesClient, caplog: pytest.LogCaptureFixture
) -> None:
    [link] = found_links(await ann.send(made(100_000)))
    storages["memory"].delete(stored_names()[0])
    assert (await ann.get(link)).status_code == 404
    assert "has no file" in caplog.text


async def test_a_download_is_safe_in_a_browser(ann: FilesClient) -> None:
    hostile = {"filename": 'a/b\r\n".html', "mediaType": "text/html\r\nX-Bad: 1"}
    page = {"mediaType": "text/html"}
    task = await ann.send(said_with(file_of(about=hostile), file_of(about=page)))
    bad, html, *_ = [await ann.get(link) for link in found_links(task["history"])]
    assert bad["Content-Type"] == "application/octet-stream"
    assert bad["Content-Disposition"] == 'attachment; filename="a_b__\\".html"'
    assert html["Content-Type"] == "text/html"
    assert html["Content-Disposition"] == "attachment"
    for response in (bad, html):
        assert response["X-Content-Type-Options"] == "nosniff"
        assert response["Content-Security-Policy"] == "default-src 'none'; sandbox"
        assert response["Cache-Control"] == "private, no-store"
        assert response["Content-Length"] == str(len(LARGE))
        response.close()


async def test_head_gives_the_headers_and_nothing_else(ann: FilesClient) -> None:
    [link] = found_links(await ann.send(made(100_000)))
    response = await ann.get(link, "HEAD")
    assert response.status_code == 200
    assert response["Content-Length"] == "100000"
    assert content_of(response) == b""


async def test_an_agent_may_be_called_files_and_is_reached(ann: FilesClient) -> None:
    async def echo(turn: Turn) -> str:
        """Say the same."""
        return turn.text

    with registry.registered(make_agent(echo, slug="files")):
        task = await ann.send(message("hello"), agent="files")
        for path in (f"/a2a/files/tasks/{task['id']}", "/a2a/files/.well-known/agent-card.json"):
            assert (await ann.get(path)).status_code == 200
    assert (await ann.get("/a2a/files/nothing")).status_code == 404


async def test_the_description_of_the_api_has_the_links(ann: FilesClient) -> None:
    described = json.loads(content_of(await ann.get("/a2a/openapi.json")))
    found = described["paths"]["/a2a/files/{token}"]["get"]
    assert found["responses"]["200"]["content"] == {
        "*/*": {"schema": {"type": "string", "format": "binary"}}
    }
