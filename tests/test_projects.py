"""Projects of the shapes that people have: checks find what fails, and the page mends it."""

import json
import subprocess
import sys
import zlib
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from asgiref.testing import ApplicationCommunicator
from corsheaders.defaults import default_headers
from django.core import checks
from django.db import connection
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.http.response import HttpResponseBase
from django.urls import include, path, re_path
from pytest_django import Settings

from a2a_app import runners
from a2a_app.agents import registry
from a2a_app.checks.serving import check_websocket
from tests.bindings import customers
from tests.bindings.conftest import BYPASS
from tests.clients.json_rpc import JsonRpcClient
from tests.conftest import ChangeSettings
from tests.projects import asgi, written
from tests.servers import ROOT
from tests.wire import HEADERS, envelope, load_message

GZIP = "django.middleware.gzip.GZipMiddleware"
CORS = "corsheaders.middleware.CorsMiddleware"
ORIGIN = "https://app.example.com"
SECONDS = 30
communicator: Any = ApplicationCommunicator


def found(*, deploy: bool = False) -> dict[str, str]:
    """Return what our checks find, as the hints by their ids."""
    findings = checks.run_checks(tags=["a2a"], include_deployment_checks=deploy)
    return {str(each.id): str(each.hint) for each in findings}


@pytest.fixture(autouse=True)
def _sound(settings: Settings) -> None:
    settings.CHANNEL_LAYERS = {"default": {"BACKEND": "tests.channel_layers.Silent"}}
    settings.A2A = {**settings.A2A, "PUBLIC_URL": "https://example.com"}
    settings.ASGI_APPLICATION = f"{asgi.__name__}.ours"


def page(request: HttpRequest, *args: str) -> HttpResponse:
    return HttpResponse("<html>A page of the site</html>")


US = path("", include("a2a_app.urls"))
# As wagtail.urls has it: segments that end with a slash.
OF_WAGTAIL = re_path(r"^((?:[\w\-]+/)*)$", page)
OF_ONE_PAGE = re_path(r"^(?!admin/).*$", page)


async def _answers(rpc: JsonRpcClient) -> int:
    """Send a message as a stranger's program, and return the status of the answer."""
    rpc.http.handler.enforce_csrf_checks = True
    request = envelope("SendMessage", {"message": load_message()})
    response = await rpc.post(request, **{k.replace("-", "_"): v for k, v in HEADERS.items()})
    if response["Content-Type"] == "application/json":
        assert isinstance(response, HttpResponse)
        assert "result" in json.loads(response.content)
    return response.status_code


@pytest.mark.parametrize("everything", [OF_WAGTAIL, OF_ONE_PAGE], ids=["wagtail", "one page"])
async def test_a_pattern_that_takes_everything_stands_above_the_agents(
    settings: Settings, rpc: JsonRpcClient, monkeypatch: pytest.MonkeyPatch, everything: Any
) -> None:
    settings.MIDDLEWARE = [each for each in settings.MIDDLEWARE if each != BYPASS]
    settings.ROOT_URLCONF = (everything, US)
    assert await _answers(rpc) == 403
    [(ident, hint)] = found().items()
    assert (ident, "above that pattern" in hint) == ("a2a.E024", True)
    wagtail = SimpleNamespace(urls=([everything], "wagtail"))
    monkeypatch.setitem(sys.modules, "wagtail", wagtail)
    settings.ROOT_URLCONF = tuple(written("urls.py", "wagtail")["urlpatterns"])
    assert found() == {}
    assert await _answers(rpc) == 200
    assert (await rpc.http.get("/about/us/")).status_code == 200


async def test_the_agents_have_a_language_in_their_path(
    settings: Settings, rpc: JsonRpcClient
) -> None:
    settings.MIDDLEWARE = [
        *(each for each in settings.MIDDLEWARE if each != BYPASS),
        "django.middleware.locale.LocaleMiddleware",
    ]
    names = written("urls.py", "i18n_patterns")
    settings.ROOT_URLCONF = tuple(names["i18n_patterns"](US))
    assert await _answers(rpc) == 302
    [(ident, hint)] = found().items()
    assert (ident, "outside of i18n_patterns" in hint) == ("a2a.E025", True)
    settings.ROOT_URLCONF = tuple(names["urlpatterns"])
    assert found() == {}
    assert await _answers(rpc) == 200
    assert (await rpc.http.get("/admin/"))["Location"].startswith("/en/admin/")


def test_the_urls_of_the_app_are_not_where_clients_look(settings: Settings) -> None:
    settings.ROOT_URLCONF = (path("", page),)
    assert found().keys() == {"a2a.W031"}
    settings.ROOT_URLCONF = (path("agents/", include("a2a_app.urls")),)
    assert found().keys() == {"a2a.W032"}
    settings.ROOT_URLCONF = customers.__name__
    assert found() == {}
    settings.ROOT_URLCONF = "tests.no.such.module"
    assert found() == {}


async def _first_events(rpc: JsonRpcClient) -> tuple[str, int]:
    """Stream as a client that unpacks one piece, and return what it reads and how many came."""
    request = envelope("SendStreamingMessage", {"message": load_message(chunks=3)})
    response = await rpc.post(request, A2A_Version="1.0", Accept_Encoding="gzip")
    assert isinstance(response, StreamingHttpResponse)
    pieces = [piece async for piece in response]
    if response.get("Content-Encoding") != "gzip":
        return b"".join(pieces).decode(), len(pieces)
    unpacking = zlib.decompressobj(zlib.MAX_WBITS + 16)
    return b"".join(map(unpacking.decompress, pieces)).decode(), len(pieces)


async def test_middleware_compresses_streams(settings: Settings, rpc: JsonRpcClient) -> None:
    others = [each for each in settings.MIDDLEWARE if each != BYPASS]
    settings.MIDDLEWARE = [GZIP, *others]
    rpc.http.handler.load_middleware(is_async=True)
    text, pieces = await _first_events(rpc)
    assert pieces > 1 and "COMPLETED" not in text
    assert found().keys() == {"a2a.W033"}
    settings.MIDDLEWARE = written("settings.py", GZIP, MIDDLEWARE=others)["MIDDLEWARE"]
    assert found() == {}
    rpc.http.handler.load_middleware(is_async=True)
    assert "COMPLETED" in (await _first_events(rpc))[0]
    settings.MIDDLEWARE = ["compression_middleware.middleware.CompressionMiddleware", *others]
    assert found().keys() == {"a2a.W033"}


async def _preflight(rpc: JsonRpcClient) -> HttpResponseBase:
    rpc.http.handler.load_middleware(is_async=True)
    headers = {
        "Origin": ORIGIN,
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "a2a-version,authorization,content-type",
    }
    return await rpc.http.options("/a2a/load/", headers=headers)


def _allowed(response: HttpResponseBase) -> set[str]:
    listed = response.get("Access-Control-Allow-Headers", "")
    return {name.strip().lower() for name in listed.split(",")}


async def test_clients_in_browsers_ask_first(settings: Settings, rpc: JsonRpcClient) -> None:
    others = [each for each in settings.MIDDLEWARE if each != BYPASS]
    wanted = {"a2a-version", "authorization", "content-type"}
    settings.CORS_ALLOWED_ORIGINS, settings.CORS_URLS_REGEX = [ORIGIN], "^/"
    settings.CORS_ALLOW_HEADERS, settings.CORS_EXPOSE_HEADERS = default_headers, ()
    settings.MIDDLEWARE = [CORS, *others]
    assert not wanted <= _allowed(await _preflight(rpc))
    assert found()["a2a.W034"] == "Add a2a_app.cors.EXPOSE_HEADERS to it."
    settings.CORS_URLS_REGEX = "^/api/"
    assert found() == {}
    settings.CORS_URLS_REGEX = "^/"
    settings.MIDDLEWARE = [BYPASS, CORS, *others]
    assert "below it" in found()["a2a.W034"]
    for name, value in written("settings.py", "cors", MIDDLEWARE=others).items():
        if name.isupper():
            setattr(settings, name, value)
    assert found() == {}
    allowing = await _preflight(rpc)
    assert wanted <= _allowed(allowing)
    assert allowing["Access-Control-Allow-Origin"] == ORIGIN
    assert "WWW-Authenticate" in allowing["Access-Control-Expose-Headers"]


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("of_django", "a2a_app.asgi"),
        ("routed_to_django", "a2a_app.asgi"),
        ("without_lifespan", '"lifespan"'),
        ("no_such_name", "None"),
    ],
)
def test_an_application_does_not_tell_the_app_when_the_server_ends(
    settings: Settings, name: str, hint: str
) -> None:
    settings.ASGI_APPLICATION = f"{asgi.__name__}.{name}"
    assert hint in found(deploy=True)["a2a.W036"]
    assert "a2a.W036" not in found()


@pytest.mark.parametrize(
    ("name", "finding"),
    [
        ("of_django", "is Django's own"),
        ("without_lifespan", 'without "websocket"'),
        ("chat_only", "no route for WebSockets to a2a/"),
        ("chat_takes_all", "sends WebSockets to Chat"),
        ("chat_and_ours", ""),
        ("nested", ""),
        ("ours", ""),
    ],
)
def test_the_routing_of_a_project_lets_websockets_through_or_a_check_says_so(
    settings: Settings, a2a: ChangeSettings, name: str, finding: str
) -> None:
    settings.ASGI_APPLICATION = f"{asgi.__name__}.{name}"
    assert "a2a.W041" not in found(deploy=True), "WEBSOCKET is off"
    a2a(WEBSOCKET=True)
    said = [each.msg for each in check_websocket()]
    assert len(said) == bool(finding) and all(finding in each for each in said)
    assert ("a2a.W041" in found(deploy=True)) == bool(finding)
    assert "a2a.W041" not in found()


async def test_channels_and_agents_have_one_application(
    settings: Settings, runtime: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    application = written("asgi.py", "ProtocolTypeRouter")["application"]
    monkeypatch.setattr(asgi, "routed", application, raising=False)
    settings.ASGI_APPLICATION = f"{asgi.__name__}.routed"
    assert "a2a.W036" not in found(deploy=True)
    server = communicator(application, {"type": "lifespan"})
    for step in ("startup", "shutdown"):
        await server.send_input({"type": f"lifespan.{step}"})
        assert await server.receive_output(SECONDS) == {"type": f"lifespan.{step}.complete"}
    await server.wait(SECONDS)


def test_a_project_has_no_asgi_application(settings: Settings) -> None:
    settings.ASGI_APPLICATION = None
    assert found().keys() == {"a2a.W035"}
    names = written("settings.py", "ASGI_APPLICATION", INSTALLED_APPS=[])
    settings.ASGI_APPLICATION = names["ASGI_APPLICATION"]
    assert found() == {}


class Routing:
    """A router as a test wants it."""

    def __init__(self, **aliases: Any) -> None:
        self.aliases = aliases

    def db_for_read(self, model: Any, **hints: Any) -> str | None:
        alias: str | None = self.aliases.get("read", self.db_for_write(model))
        return alias

    def db_for_write(self, model: Any, **hints: Any) -> str | None:
        alias: str | None = self.aliases.get(model._meta.object_name)
        return alias or self.aliases.get(model._meta.app_label)


@pytest.mark.parametrize(
    ("router", "ident"),
    [
        (Routing(a2a_app="agents"), "a2a.E021"),
        (Routing(auth="people"), "a2a.E021"),
        (Routing(Event="logs"), "a2a.E022"),
        (Routing(read="replica"), "a2a.E023"),
    ],
)
def test_a_router_takes_the_tables_apart(settings: Settings, router: Routing, ident: str) -> None:
    settings.DATABASE_ROUTERS = [router]
    assert found().keys() == {ident}
    settings.DATABASE_ROUTERS = [Routing(a2a_app="all", auth="all")]
    assert found() == {}


@pytest.mark.parametrize(("vendor", "driver"), [("mysql", "MySQLdb"), ("postgresql", "psycopg2")])
def test_a_database_is_none_that_the_app_works_on(
    vendor: str, driver: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "a2a.E026" not in found()
    monkeypatch.setattr(connection, "vendor", vendor)
    monkeypatch.setattr(connection, "Database", SimpleNamespace(__name__=driver))
    assert "PostgreSQL with psycopg 3" in found()["a2a.E026"]


async def test_a_server_begins_on_a_database_that_the_app_does_not_work_on(
    runtime: None, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    with monkeypatch.context() as other:
        other.setattr(connection, "vendor", "mysql")
        await runners.current().begin()
    assert "The database cannot serve the app: The app does not work on" in caplog.text


def test_workers_have_a_channel_layer_that_stays_in_one_process(
    settings: Settings, a2a: ChangeSettings
) -> None:
    settings.DEBUG = True
    settings.CHANNEL_LAYERS = {"default": {"BACKEND": "channels.layers.InMemoryChannelLayer"}}
    assert found() == {}
    a2a(RUNNER="tasks")
    assert found().keys() == {"a2a.W003"}


def test_a_project_is_at_its_beginning(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    settings.A2A = {}
    monkeypatch.setattr(registry, "_agents", {})
    hints = found()
    assert hints.keys() == {"a2a.W001", "a2a.W010"}
    assert "agents.py" in hints["a2a.W001"] and "AUTHENTICATION" in hints["a2a.W010"]
    settings.A2A = {"DEFAULT_AGENT": "echo", "ANONYMOUS": "share"}
    assert "an app in INSTALLED_APPS" in found()["a2a.E002"]


def test_the_name_of_the_agent_is_misspelt(a2a: ChangeSettings) -> None:
    a2a(DEFAULT_AGENT="ecko")
    assert found() == {"a2a.E002": "Did you mean 'echo'?"}
    a2a(DEFAULT_AGENT="parrot")
    assert found() == {"a2a.E002": "None"}


def _run(*command: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, *command], cwd=ROOT, capture_output=True, text=True, timeout=SECONDS
    )


def test_an_app_is_not_installed_that_ours_needs() -> None:
    bare = "INSTALLED_APPS=['channels', 'a2a_app']"
    setup = f"import django; from django.conf import settings; settings.configure({bare})"
    ended = _run("-c", f"{setup}; django.setup()")
    assert "ImproperlyConfigured: a2a_app needs django.contrib.auth" in ended.stderr


@pytest.fixture
def members(tmp_path: Any) -> Iterator[dict[str, Any]]:
    """Run a project with users of its own, languages and a replica, and without the admin."""
    ended = _run("-m", "tests.projects.members", str(tmp_path))
    assert ended.returncode == 0, ended.stdout + ended.stderr
    yield json.loads(ended.stdout)


def test_a_project_has_its_own_users_languages_and_a_replica(members: dict[str, Any]) -> None:
    assert members["before"] == ["a2a.E023", "a2a.E025"]
    assert members["after"] == []
    assert members["statuses"] == [401, 200]
    assert members["task"]["status"]["state"] == "TASK_STATE_COMPLETED"
    assert members["task"]["artifacts"][0]["parts"] == [{"text": "Hello ann@example.com"}]
