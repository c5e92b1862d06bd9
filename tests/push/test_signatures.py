"""What a webhook gets besides its events: a snapshot, signatures, and the question if it agrees."""

import asyncio
import hashlib
import json
import re
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jwt
import pytest
from joserfc.jwk import ECKey

from a2a_app import database, models, runners
from a2a_app.agents import Turn, signing
from a2a_app.operations import push
from a2a_app.protocol import (
    AuthenticationInfo,
    InvalidParamsError,
    Task,
    TaskPushNotificationConfig,
)
from a2a_app.push import validation
from tests.clients.operations import OperationsClient, client_of
from tests.conftest import ChangeSettings
from tests.receiver import Received, Receiver, receiving
from tests.resolver import resolve_by
from tests.servers import ROOT, free_port
from tests.tasks import new_message
from tests.wire import state

pytestmark = pytest.mark.usefixtures("runtime")

PUBLIC = "https://agents.example.com"
PEM = ECKey.generate_key("P-256").as_pem(private=True).decode()
PAGE = Path(ROOT, "docs", "push-notifications.md").read_text()
TOKEN = "tick tack"


@pytest.fixture(autouse=True)
def _open_to_loopback(a2a: ChangeSettings) -> None:
    # So rare that nothing comes in time by a look that was due in any case.
    a2a(PUSH_HOSTS=["127.0.0.1"], PUSH_ALLOW_HTTP=True, SWEEP_SECONDS=300.0)


async def asker(turn: Turn) -> None:
    if turn.number == 1:
        await turn.artifact("All that there is.")
        await turn.input_required("Go on?")


@pytest.fixture
def client() -> Iterator[OperationsClient]:
    with client_of(asker) as made:
        yield made


async def waiting_task(client: OperationsClient, **more: Any) -> Task:
    await runners.current().begin()
    return await client.send("hello", **more)


async def register(
    client: OperationsClient, task: Task, receiver: Receiver, **more: Any
) -> TaskPushNotificationConfig:
    config = TaskPushNotificationConfig(url=receiver.url, task_id=task.id, **more)
    return await push.create_push_config(client.call, config)


async def go_on(client: OperationsClient, task: Task) -> None:
    answer = new_message("yes", task_id=task.id, context_id=task.context_id)
    await client.send(answer)


@pytest.mark.slow
async def test_a_webhook_that_is_registered_late_gets_the_task_first_and_then_what_comes(
    client: OperationsClient, a2a: ChangeSettings
) -> None:
    a2a(PUSH_SNAPSHOT=True)
    task = await waiting_task(client)
    async with receiving() as receiver:
        for number in (1, 2):  # the second replaces the first, and so begins anew
            await register(client, task, receiver, id="mine")
            await receiver.gets(number)
        await go_on(client, task)
        await receiver.gets(4)
    shown = task.to_dict()
    assert [body.get("task") for body in receiver.bodies] == [shown, shown, None, None]
    assert [state(body) for body in receiver.bodies[2:]] == ["SUBMITTED", "COMPLETED"]


async def test_a_webhook_that_comes_with_a_message_gets_the_task_first_and_each_event_once(
    client: OperationsClient, a2a: ChangeSettings
) -> None:
    a2a(PUSH_SNAPSHOT=True)
    async with receiving(lambda number: 500 if number == 1 else 204) as receiver:
        a2a(PUSH_RETRY_SECONDS=0.01)
        config = TaskPushNotificationConfig(url=receiver.url)
        await waiting_task(client, task_push_notification_config=config)
        while "INPUT_REQUIRED" not in {state(body) for body in receiver.bodies[1:]}:
            await receiver.gets(len(receiver.bodies) + 1)
    tried, first, *later = receiver.bodies
    assert "task" in tried and "task" in first
    assert all("task" not in body for body in later)
    seen = [each["artifact"] for body in later if (each := body.get("artifactUpdate"))]
    assert len(seen) + len(first["task"].get("artifacts", [])) == 1


def sample(name: str) -> dict[str, Any]:
    """Return the module that a receiver's code on the page on push notifications makes."""
    [code] = [each for each in re.findall(r"```python\n(.*?)```", PAGE, re.S) if name in each]
    module: dict[str, Any] = {}
    exec(compile(code, name, "exec"), module)  # it is our own page
    return module


async def one_notification(client: OperationsClient, **more: Any) -> tuple[Received, str]:
    """Return one notification of a webhook, which gets it at its second try, and its URL."""
    task = await waiting_task(client)
    async with receiving(lambda number: 500 if number == 1 else 204) as receiver:
        await register(client, task, receiver, **more)
        await go_on(client, task)
        await receiver.gets(2)
    tried, got, *_ = receiver.requests
    assert (tried.raw, tried.headers.get("webhook-id")) == (got.raw, got.headers.get("webhook-id"))
    return got, receiver.url


@pytest.mark.slow
async def test_the_code_of_the_documentation_believes_the_token_and_nothing_that_was_changed(
    client: OperationsClient, a2a: ChangeSettings
) -> None:
    a2a(PUSH_SIGNATURES=True, PUSH_RETRY_SECONDS=0.01)
    got, _ = await one_notification(client, token=TOKEN)
    is_genuine = sample("is_genuine")["is_genuine"]
    assert is_genuine(got.headers, got.raw, TOKEN)
    assert not is_genuine(got.headers, got.raw + b" ", TOKEN)
    assert not is_genuine(got.headers, got.raw, "another")
    for header in ("webhook-id", "webhook-timestamp"):
        changed = {**got.headers, header: str(int(got.headers["webhook-timestamp"]) - 1)}
        assert not is_genuine(changed, got.raw, TOKEN)
    old = {**got.headers, "webhook-timestamp": "1700000000"}
    assert not is_genuine(old, got.raw, TOKEN)
    assert got.headers["x-a2a-notification-token"] == TOKEN
    assert "x-a2a-notification-signature" not in got.headers


@pytest.mark.slow
async def test_the_code_of_the_documentation_believes_the_key_of_the_site(
    client: OperationsClient, a2a: ChangeSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    a2a(PUSH_SIGNATURES=True, PUSH_RETRY_SECONDS=0.01, SIGNING_KEY=PEM, PUBLIC_URL=PUBLIC)
    got, url = await one_notification(client, authentication=AuthenticationInfo(scheme="Bearer"))
    keys = {"keys": [signing.signing_key().public]}
    monkeypatch.setattr(jwt.PyJWKClient, "fetch_data", lambda self: keys)
    claims_of = sample("claims_of")["claims_of"]
    claims = claims_of(got.headers, got.raw, url)
    assert claims["taskId"] == json.loads(got.raw)["statusUpdate"]["taskId"]
    assert claims["request_body_sha256"] == hashlib.sha256(got.raw).hexdigest()
    assert claims["exp"] - claims["iat"] == 300
    assert got.headers["authorization"] == f"Bearer {got.headers['x-a2a-notification-signature']}"
    assert "webhook-signature" not in got.headers
    for body, to in ((got.raw + b" ", url), (got.raw, "https://elsewhere.example.com")):
        with pytest.raises(jwt.PyJWTError):
            claims_of(got.headers, body, to)


@pytest.mark.slow
async def test_without_the_setting_nothing_is_signed(
    client: OperationsClient, a2a: ChangeSettings
) -> None:
    a2a(PUSH_RETRY_SECONDS=0.01, SIGNING_KEY=PEM, PUBLIC_URL=PUBLIC)
    got, _ = await one_notification(client, token=TOKEN)
    assert not {"webhook-id", "webhook-signature", "x-a2a-notification-signature"} & set(
        got.headers
    )


@pytest.mark.parametrize(
    ("answer", "agrees"),
    [(lambda token: token, True), (lambda token: f"{token}\n", True), (lambda token: "yes", False)],
)
async def test_a_webhook_is_registered_only_if_its_receiver_agrees(
    client: OperationsClient, a2a: ChangeSettings, answer: Any, agrees: bool
) -> None:
    a2a(PUSH_VALIDATION=True)
    async with receiving() as receiver:
        receiver.confirmation = answer
        task = await waiting_task(client)
        if agrees:
            await register(client, task, receiver)
        else:
            with pytest.raises(InvalidParamsError, match="validationToken"):
                await register(client, task, receiver)
            config = TaskPushNotificationConfig(url=receiver.url)
            with pytest.raises(InvalidParamsError, match=r"taskPushNotificationConfig\.url"):
                await client.send("hello", task_push_notification_config=config)
    assert await database.run(models.PushNotificationConfig.objects.count) == int(agrees)
    assert await database.run(models.Task.objects.count) == 1


async def test_a_webhook_where_nobody_answers_is_not_registered(
    client: OperationsClient, a2a: ChangeSettings
) -> None:
    a2a(PUSH_VALIDATION=True, PUSH_TIMEOUT_SECONDS=0.2)
    task = await waiting_task(client)
    with pytest.raises(InvalidParamsError, match="validationToken"):
        await register(client, task, Receiver(port=free_port()))


@pytest.mark.slow
async def test_a_receiver_has_no_more_time_where_its_name_is_slow_to_look_up(
    a2a: ChangeSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    a2a(PUSH_TIMEOUT_SECONDS=20, PUSH_HOSTS=["slow.example"])
    monkeypatch.setattr(validation, "SECONDS", 0.1)
    confirmed = threading.Event()

    def after_it(name: str) -> list[str]:
        confirmed.wait(20)
        return ["127.0.0.1"]

    resolve_by(monkeypatch, after_it)
    try:
        async with asyncio.timeout(10):
            with pytest.raises(validation.UnconfirmedError):
                await validation.confirm("https://slow.example/", owner="")
    finally:
        confirmed.set()
