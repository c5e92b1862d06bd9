"""Access that ends on one process: the streams on others end soon (section 7)."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
from django.urls import reverse

from tests.clients.sockets import SocketClient
from tests.conftest import Serve
from tests.servers import Process, fresh_database, managed
from tests.wire import envelope, load_message

SECONDS = 30
ISSUE = """
from django.contrib.auth import SESSION_KEY, BACKEND_SESSION_KEY, HASH_SESSION_KEY
from django.contrib.auth.models import User
from django.contrib.sessions.backends.db import SessionStore
from a2a_app.models import ApiKey
boss = User.objects.create_superuser("boss", password="x")
session = SessionStore()
session[SESSION_KEY] = str(boss.pk)
session[BACKEND_SESSION_KEY] = "django.contrib.auth.backends.ModelBackend"
session[HASH_SESSION_KEY] = boss.get_session_auth_hash()
session.save()
print(session.session_key)
for name in ("ann", "bob"):
    row = ApiKey(user=User.objects.create(username=name), name=name)
    print(row.issue())
    row.save()
    print(row.pk)
"""
# In a process that has no event loop.
DELETE = "from django.contrib.auth.models import User; User.objects.get(username='bob').delete()"


def in_shell(server: Process, code: str) -> list[str]:
    """Run code where a server has its database; return what it prints, by lines."""
    return managed(server.env, "shell", "-v", "0", "-c", code).splitlines()


@asynccontextmanager
async def streaming(client: SocketClient) -> AsyncIterator[AsyncIterator[str]]:
    """Open a stream whose task says no more; yield the lines that come after that."""
    body = envelope("SendStreamingMessage", {"message": load_message(end="hang")})
    async with client.http.stream("POST", client.url, json=body, headers=client.headers) as stream:
        lines = stream.aiter_lines()
        async for line in lines:
            if "lastChunk" in line:
                break
        yield lines


async def error_in(lines: AsyncIterator[str]) -> dict[str, Any]:
    """Read to the end; return the error there."""
    events = [line.removeprefix("data: ") async for line in lines if line.startswith("data: ")]
    error: dict[str, Any] = json.loads(events[-1])["error"]
    return error


async def revoke_in_admin(server: Process, session: str, key: str) -> None:
    """Revoke a key as staff does, on one server."""
    form = {
        "action": "revoke",
        "confirmed": "1",
        "_selected_action": key,
        "csrfmiddlewaretoken": "c" * 32,
    }
    cookies = {"sessionid": session, "csrftoken": "c" * 32}
    async with httpx.AsyncClient(cookies=cookies, timeout=SECONDS) as http:
        url = server.url + reverse("admin:a2a_app_apikey_changelist")
        assert (await http.post(url, data=form)).status_code == 302


async def test_a_stream_ends_soon_after_its_key_is_revoked_on_another_process(
    serve: Serve,
) -> None:
    with fresh_database("postgresql") as url:
        # So long that only the channel layer can have brought what is seen.
        options: Any = {
            "database_url": url,
            "layer": "postgresql",
            "ACCESS_SECONDS": 600,
            "ANONYMOUS": "refuse",
            "AUTHENTICATION": ["a2a_app.authentication.ApiKeyAuth"],
        }
        one, other = serve(**options), serve(**options)
        session, ann, row, bob, _ = in_shell(one, ISSUE)
        async with (
            asyncio.timeout(SECONDS),
            SocketClient(other.url, Authorization=f"Bearer {ann}") as anns,
            SocketClient(other.url, Authorization=f"Bearer {bob}") as bobs,
            streaming(anns) as ann_hears,
            streaming(bobs) as bob_hears,
        ):
            await revoke_in_admin(one, session, row)
            assert (await error_in(ann_hears))["code"] == -32050
            await asyncio.to_thread(in_shell, one, DELETE)
            assert (await error_in(bob_hears))["code"] == -32050
        for process in (one, other):
            process.kill()  # before its database goes
