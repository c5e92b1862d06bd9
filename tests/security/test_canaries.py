"""Canaries: secrets are planted wherever one can come in, and nothing repeats them anywhere."""

import asyncio
import json
import logging
import secrets
from base64 import b64encode
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from typing import Any

import dj_database_url
import pytest
from asgiref.sync import sync_to_async
from django.apps import apps
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import User
from django.db import OperationalError, connection, connections
from django.db.models import Model
from django.http import HttpRequest
from django.test import AsyncClient as AsyncBrowser
from django.test import Client as Browser
from django.test import RequestFactory, override_settings
from django.urls import reverse
from django.views.debug import ExceptionReporter

from a2a_app import database, health, models, runners
from a2a_app.agents import Turn, registry
from a2a_app.agents.registry import make_agent
from a2a_app.authentication.tokens import TokenAuth
from a2a_app.management.doctor import project as doctor
from tests.bindings.conftest import BYPASS
from tests.clients.json_rpc import JsonRpcClient
from tests.conftest import ChangeSettings
from tests.receiver import receiving
from tests.test_authentication import issue
from tests.test_tokens import token
from tests.threads import in_thread
from tests.wire import message

HERE = __name__
SECONDS = 20
NAMES = (
    "bearer", "password", "cookie", "token", "credentials", "path", "query", "userinfo", "body",
    "bad token", "agent", "project",
)  # fmt: skip  # as one list
# The client's own URL is stored for the deliveries, and may be read by the client and nobody else.
# The words of a failure belong to the agent's run, and to the log for whoever mends the agent.
MAY_BE_IN = {
    # Django looks for them among its sessions.
    "cookie": {"statements"},
    "session": {"statements"},
    "path": {"rows", "statements"},
    "query": {"rows", "statements"},
    "agent": {"rows", "statements", "admin", "logs", "tracebacks"},
    # The project's own words, by which it says what is wrong in its own code.
    "project": {"logs", "tracebacks"},
}


class Company(TokenAuth):
    """A provider that does not answer."""

    issuer, audience, jwks_url = "https://login.example.com/", "agents", "http://127.0.0.1:9/keys"


def fails(request: HttpRequest) -> None:
    """Fail as a project's own authenticator may."""
    if request.headers.get("X-Fails"):
        raise RuntimeError(f"no directory {request.headers['X-Fails']}")


class Canaries:
    """The planted values, and where they were found."""

    def __init__(self) -> None:
        self.values = {name: f"canary{secrets.token_hex(12)}" for name in NAMES}
        self.found: set[tuple[str, str]] = set()

    def __getitem__(self, name: str) -> str:
        return self.values[name]

    def look(self, place: str, text: str) -> None:
        """Note which canaries are in a text, as they are or in base 64."""
        for name, value in self.values.items():
            if value in text and place not in MAY_BE_IN.get(name, ()):
                self.found.add((name, place))


class Everything(logging.Handler):
    """Keeps the records of every logger."""

    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self.records: list[logging.LogRecord] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Keep a record."""
        self.records.append(record)


@pytest.fixture
def log() -> Iterator[Everything]:
    handler, root = Everything(), logging.getLogger()
    named = [root, *(logging.getLogger(name) for name in list(logging.root.manager.loggerDict))]
    before = [(each, each.level) for each in named]
    ends = [each for each in named if each is root or not each.propagate]
    for each in named:
        each.setLevel(logging.DEBUG)
    for each in ends:
        each.addHandler(handler)
    yield handler
    for each in ends:
        each.removeHandler(handler)
    for each, level in before:
        each.setLevel(level)


@pytest.fixture
async def project(a2a: ChangeSettings, settings: Any, rpc: JsonRpcClient) -> AsyncIterator[None]:
    # It stands above what knows the sessions.
    settings.MIDDLEWARE = [path for path in settings.MIDDLEWARE if path != BYPASS]
    rpc.http = AsyncBrowser()
    a2a(
        ANONYMOUS="refuse",
        AUTHENTICATION=[
            f"{HERE}.fails", "a2a_app.authentication.ApiKeyAuth", f"{HERE}.Company",
            "a2a_app.authentication.BasicAuth", "tests.bindings.authenticators.Cookie",
            "ninja.security.django_auth",
        ],
        PUSH_HOSTS=["127.0.0.1"],
        PUSH_ALLOW_HTTP=True,
        PUSH_RETRY_SECONDS=600,
    )  # fmt: skip  # the list as one
    yield


@asynccontextmanager
async def without(model: type[Model], column: str) -> AsyncIterator[None]:
    """Take a column away, as a deploy without its migration does."""
    table = model._meta.db_table

    def rename(old: str, new: str) -> None:
        with connection.cursor() as cursor:
            cursor.execute(f'ALTER TABLE "{table}" RENAME COLUMN "{old}" TO "{new}"')

    await sync_to_async(rename)(column, f"{column}_away")
    yield
    await sync_to_async(rename)(f"{column}_away", column)


def begin_session(planted: Canaries) -> dict[str, str]:
    """Sign somebody in as browsers do, and return the headers that a browser sends then."""
    browser = Browser()
    browser.force_login(User.objects.create(username="cara"))
    planted.values["session"] = browser.cookies["sessionid"].value
    planted.values["csrf"] = token = secrets.token_hex(16)
    cookies = f"sessionid={planted['session']}; csrftoken={token}"
    return {"Cookie": cookies, "X_CSRFToken": token}


async def sign_in(rpc: JsonRpcClient, planted: Canaries, key: str) -> AsyncIterator[Any]:
    """Ask with credentials of all kinds, and yield the answers."""
    basic = b64encode(f"ann:{planted['password']}".encode()).decode()
    planted.values["basic"] = basic
    for given in (
        {"Authorization": f"Bearer {planted['bearer']}"},
        {"Authorization": f"Bearer {key[:-1]}"},
        {"Authorization": f"Basic {basic}"},
        {"Authorization": f"Bearer {token(sub=planted['bearer'])}"},
        {"Cookie": f"sessionid={planted['cookie']}; key={planted['cookie']}"},
        {"X_Fails": planted["project"], "Authorization": f"Bearer {planted['bearer']}"},
    ):
        yield await rpc.call("ListTasks", {}, **given)
    of_browser = await sync_to_async(begin_session)(planted)
    seen = await rpc.call("ListTasks", {}, **of_browser)
    assert "result" in seen
    yield seen
    sent = {"message": message("hello")}
    yield await rpc.call("SendMessage", sent, agent="fails", **of_browser)
    yield await rpc.call("SendMessage", sent, X_Fails=planted["project"], **of_browser)
    async with without(models.ApiKey, "digest"):
        yield await rpc.call("ListTasks", {}, Authorization=f"Bearer {key}")
    sent = {"message": message(planted["body"])}
    yield await rpc.call("SendMessage", sent, X_Fails=planted["project"])


async def configure(
    rpc: JsonRpcClient, planted: Canaries, port: int, sender: str
) -> AsyncIterator[Any]:
    """Have webhooks configured that fail in all ways, and yield the answers."""
    url = f"http://127.0.0.1:{port}/{planted['path']}?key={planted['query']}"
    secret = {"scheme": "Bearer", "credentials": planted["credentials"]}
    good = {"url": url, "token": planted["token"], "authentication": secret}
    sent = {"message": message("hello"), "configuration": {"taskPushNotificationConfig": good}}
    for _ in range(2):
        answer = await rpc.call("SendMessage", sent, agent="fails", Authorization=sender)
        yield answer
    task = {"taskId": answer["result"]["task"]["id"]}
    call = "CreateTaskPushNotificationConfig"
    host = f"{planted['userinfo']}:{planted['userinfo']}@127.0.0.1"
    for bad in (
        {**good, "token": planted["bad token"] + "\n"},
        {**good, "url": f"http://{host}:{port}/"},
        {**good, "url": f"https://10.0.0.1/{planted['path']}?{planted['query']}"},
        {**good, "id": {"planted": planted["body"]}},
    ):
        refused = await rpc.call(call, {**task, **bad}, agent="fails", Authorization=sender)
        assert "error" in refused
        yield refused
    body = f'{{"jsonrpc":"2.0","token":"{planted["body"]}",'.encode()
    yield await rpc.answer(body, path="/a2a/fails/", Authorization=sender)
    # Django's own code shows the values of a statement that fails, and those of a claim are URLs.
    async with asyncio.timeout(SECONDS):
        while await models.PushNotificationConfig.objects.filter(failing_since=None).aexists():
            pass
    async with without(models.PushNotificationConfig, "secrets"):
        yield await rpc.call(call, {**task, **good}, agent="fails", Authorization=sender)


def see_the_admin() -> Iterator[str]:
    """Yield each list of the app's in the admin, and the page of each row."""
    browser = Browser()
    browser.force_login(User.objects.create(username="boss", is_staff=True, is_superuser=True))
    for model in apps.get_app_config("a2a_app").get_models():
        name = f"admin:a2a_app_{model._meta.model_name}"
        try:
            pages = [reverse(f"{name}_changelist")]
        except Exception:  # a model without pages of its own
            continue
        pages += [reverse(f"{name}_change", args=[row.pk]) for row in model._default_manager.all()]
        for page in pages:
            response = browser.get(page)
            # The parts of a quota that no limit has refused have none.
            is_hidden = model is models.StoredBytes and response.status_code == 302
            assert response.status_code == 200 or is_hidden, page
            yield response.content.decode()


def stored() -> Iterator[str]:
    """Yield each row of the app's models, and of what the admin logs."""
    stores: list[type[Model]] = [*apps.get_app_config("a2a_app").get_models(), LogEntry]
    for model in stores:
        for row in model._default_manager.values():
            yield str(row)


@override_settings(DEBUG=False)
def report(record: logging.LogRecord) -> str:
    """Return the report that Django sends its ADMINS of an error, with all variables."""
    assert record.exc_info
    kind, error, trace = record.exc_info
    reporter = ExceptionReporter(RequestFactory().get("/"), kind, error, trace)
    return str(reporter.get_traceback_html())


def look_into(log: Everything, planted: Canaries) -> None:
    # The pages and reports log thousands of lines of Django's templates.
    logging.disable()
    for record in log.records:
        place = "statements" if record.name == "django.db.backends" else "logs"
        planted.look(place, f"{record.getMessage()} {vars(record)}")
        # django-ninja logs, with DEBUG only, that it cannot read another scheme than Basic.
        if record.exc_info and record.name != "django":
            planted.look("tracebacks", report(record))
    for page in see_the_admin():
        planted.look("admin", page)
    logging.disable(logging.NOTSET)
    for row in stored():
        planted.look("rows", row)


def breaks(planted: Canaries) -> Any:
    async def fails_with_a_secret(turn: Turn) -> None:
        raise RuntimeError(planted["agent"])

    return make_agent(fails_with_a_secret, slug="fails")


@pytest.mark.slow
async def test_no_secret_is_repeated_in_a_log_a_report_an_answer_a_page_or_a_row(
    project: None, rpc: JsonRpcClient, log: Everything, settings: Any
) -> None:
    settings.DEBUG = True  # Django logs each statement then
    planted = Canaries()
    key = await sync_to_async(issue)()
    planted.values["key"] = key.rpartition("_")[2]
    with registry.registered(breaks(planted)):
        answers = [answer async for answer in sign_in(rpc, planted, key)]
        async with receiving(lambda number: 500) as receiver:
            await runners.current().begin()
            port, sender = receiver.port, f"Bearer {key}"
            answers += [answer async for answer in configure(rpc, planted, port, sender)]
            await receiver.gets(1)
            sent = receiver.requests[0].headers
            assert sent["authorization"] == f"Bearer {planted['credentials']}"
        await runners.current().close()
    assert sum("error" in answer for answer in answers) >= 12
    for answer in answers:
        planted.look("answers", json.dumps(answer))
    await sync_to_async(look_into)(log, planted)
    names = {record.name for record in log.records}
    assert {"a2a_app.runners.execute", "a2a_app.bindings.responders", "a2a_app.security"} <= names
    assert {"django.db.backends", "httpcore.connection"} <= names
    assert planted.found == set()


async def test_the_password_of_a_database_that_does_not_answer_is_repeated_nowhere(
    project: None, rpc: JsonRpcClient, log: Everything, monkeypatch: pytest.MonkeyPatch
) -> None:
    planted = Canaries()
    url = f"postgresql://app:{planted['password']}@127.0.0.1:9/site"
    away = connections.configure_settings({"default": dj_database_url.parse(url)})
    with monkeypatch.context() as broken:
        broken.setitem(connections.settings, "default", away["default"])
        database.close()
        basic = b64encode(b"ann:secret").decode()
        for given in ({"Authorization": f"Basic {basic}"}, {"X_Fails": planted["project"]}):
            answer = await rpc.call("SendMessage", {"message": message("hello")}, **given)
            assert "error" in answer
            planted.look("answers", json.dumps(answer))
        with suppress(OperationalError):
            await database.run(models.Task.objects.first)
        planted.look("answers", repr(health.current()))
        assert health.current().database > 0
        # In a thread of its own, which has no connection yet.
        found = await in_thread(lambda: list(doctor.findings()))
        assert "does not answer" in str(found)
        planted.look("answers", str(found))
        database.close()
    for record in log.records:
        planted.look("logs", f"{record.getMessage()} {vars(record)}")
        if record.exc_info and record.name.startswith("a2a_app"):
            planted.look("tracebacks", report(record))
    assert any(record.name == "a2a_app.database.away" for record in log.records)
    assert planted.found == set()
