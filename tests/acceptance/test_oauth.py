"""OAuth 2.0 as the page on authentication shows it, with a token of a real authorization server."""

from pathlib import Path

import httpx

from tests.clients.sockets import SocketClient
from tests.sites import Site, named_blocks
from tests.wire import message

SECRET = "a-secret-of-a-test"
CLIENT = ("a-program", SECRET)


def site(folder: Path) -> Site:
    files = named_blocks("docs/quick-start.md")
    for name, blocks in named_blocks("docs/authentication.md").items():
        files.setdefault(name, []).extend(blocks)
    return Site(folder, files)


async def token(http: httpx.AsyncClient, url: str, scope: str) -> str:
    asked = {"grant_type": "client_credentials", "scope": scope}
    answer = await http.post(f"{url}/o/token/", data=asked, auth=CLIENT)
    return str(answer.json()["access_token"])


async def test_a_token_with_the_scope_lets_its_application_in(tmp_path: Path) -> None:
    made = site(tmp_path)
    with (tmp_path / "mysite" / "settings.py").open("a") as settings:
        settings.write('OAUTH2_PROVIDER["SCOPES"]["other"] = "Something else"\n')
    made.run("manage.py", "migrate", "--verbosity", "0")
    made.run(
        "manage.py", "createapplication", "confidential", "client-credentials",
        "--client-id", CLIENT[0], "--client-secret", SECRET,
    )  # fmt: skip  # a command line
    with made.served():
        url = made.server.url
        async with SocketClient(url, "countdown") as client:
            card = (await client.http.get(f"{url}/.well-known/agent-card.json")).json()
            assert card["securityRequirements"] == [{"schemes": {"OAuth": {"list": ["a2a"]}}}]
            flow = card["securitySchemes"]["OAuth"]["oauth2SecurityScheme"]["flows"]
            assert flow["clientCredentials"]["scopes"] == {"a2a": "Use the agents"}
            for bearer in ("nonsense", await token(client.http, url, "other")):
                client.headers["Authorization"] = f"Bearer {bearer}"
                error = await client.error("SendMessage", message=message("2"))
                assert error["data"][0]["reason"] == "UNAUTHENTICATED"
            good = await token(client.http, url, "a2a")
            client.headers["Authorization"] = f"Bearer {good}"
            task = await client.send("1")
            assert task["status"]["state"] == "TASK_STATE_COMPLETED"
            assert (await client.result("ListTasks"))["totalSize"] == 1
