"""The operations on push notification configurations, as the wire shows them (section 3.1.7 on)."""

import json
import socket
import threading
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from a2a_app import database, models
from a2a_app.agents import Turn
from tests.clients.http_json import HttpJsonClient, refusal_of
from tests.clients.json_rpc import JsonRpcClient, bad_fields, error_of
from tests.clients.operations import client_of
from tests.clients.ways import WAYS, Way, answers_of, code_of
from tests.conftest import ChangeSettings
from tests.resolver import resolve_by
from tests.wire import load_message

URL = "https://192.0.43.10/hook"
CREATE = "CreateTaskPushNotificationConfig"
GET = "GetTaskPushNotificationConfig"
LIST = "ListTaskPushNotificationConfigs"
DELETE = "DeleteTaskPushNotificationConfig"


async def test_a_configuration_is_created_given_listed_and_deleted(rpc: JsonRpcClient) -> None:
    task = await rpc.task(end="input-required")
    secret = {"scheme": "Bearer", "credentials": "sesame"}
    made = await rpc.result(CREATE, taskId=task["id"], url=URL, token="tick", authentication=secret)
    shown = {"taskId": task["id"], "url": URL, "authentication": {"scheme": "Bearer"}}
    assert made == {**shown, "id": made["id"]} and made["id"]
    assert await rpc.result(GET, taskId=task["id"], id=made["id"]) == made
    assert await rpc.result(LIST, taskId=task["id"]) == {"configs": [made]}
    for _ in range(2):
        assert await rpc.result(DELETE, taskId=task["id"], id=made["id"]) == {}
    assert await rpc.result(LIST, taskId=task["id"]) == {}
    gone = await rpc.call(GET, {"taskId": task["id"], "id": made["id"]})
    assert error_of(gone) == (-32001, "TASK_NOT_FOUND")


async def test_a_configuration_takes_the_place_of_the_one_with_its_id(rpc: JsonRpcClient) -> None:
    task = await rpc.task(end="input-required")
    for url in (URL, f"{URL}/other"):
        await rpc.result(CREATE, taskId=task["id"], id="mine", url=url)
    [config] = (await rpc.result(LIST, taskId=task["id"]))["configs"]
    assert config["url"] == f"{URL}/other"


async def test_configurations_come_in_pages(rpc: JsonRpcClient) -> None:
    task = await rpc.task(end="input-required")
    for name in "abc":
        await rpc.result(CREATE, taskId=task["id"], id=name, url=URL)
    first = await rpc.result(LIST, taskId=task["id"], pageSize=2)
    rest = await rpc.result(LIST, taskId=task["id"], pageSize=2, pageToken=first["nextPageToken"])
    assert [each["id"] for each in first["configs"] + rest["configs"]] == ["a", "b", "c"]
    assert "nextPageToken" not in rest
    bad = await rpc.call(LIST, {"taskId": task["id"], "pageToken": "made up"})
    assert bad_fields(bad) == ["pageToken"]


async def test_a_task_has_no_more_configurations_than_the_setting_says(
    a2a: ChangeSettings, rpc: JsonRpcClient
) -> None:
    a2a(PUSH_CONFIGS_PER_TASK=2)
    task = await rpc.task(end="input-required")
    for name in "abab":
        await rpc.result(CREATE, taskId=task["id"], id=name, url=URL)
    refused = await rpc.call(CREATE, {"taskId": task["id"], "id": "c", "url": URL})
    assert refused["error"]["code"] == -32053
    assert len((await rpc.result(LIST, taskId=task["id"]))["configs"]) == 2


@pytest.mark.parametrize(
    ("given", "field"),
    [
        ({"url": ""}, "url"),
        ({"url": "http://example.com/"}, "url"),
        ({"url": "https://127.0.0.1/"}, "url"),
        ({"url": "https://[::1]/"}, "url"),
        ({"url": "https://169.254.169.254/latest/meta-data"}, "url"),
        ({"url": "https://m\u00fcnchen.example/"}, "url"),
        ({"url": URL + "x" * 8_000}, "url"),
        ({"url": URL, "token": "a\r\nX-Evil: 1"}, "token"),
        ({"url": URL, "token": "blank "}, "token"),
        ({"url": URL, "token": "\tblank"}, "token"),
        ({"url": URL, "token": "\x7f"}, "token"),
        ({"url": URL, "token": "x" * 8_001}, "token"),
        ({"url": "https://192.0.43.10:22/"}, "url"),
        ({"url": URL, "id": "x" * 256}, "id"),
        ({"url": URL, "authentication": {"scheme": "a\nb"}}, "authentication.scheme"),
        ({"url": URL, "authentication": {}}, "authentication.scheme"),
        ({"url": URL, "authentication": {"scheme": "two words"}}, "authentication.scheme"),
        ({"url": URL, "authentication": {"scheme": "x" * 256}}, "authentication.scheme"),
        (
            {"url": URL, "authentication": {"scheme": "Bearer", "credentials": "blank "}},
            "authentication.credentials",
        ),
        (
            {"url": URL, "authentication": {"scheme": "Bearer", "credentials": "x" * 8_001}},
            "authentication.credentials",
        ),
        (
            {"url": URL, "authentication": {"scheme": "Bearer", "credentials": "ü"}},
            "authentication.credentials",
        ),
    ],
)
async def test_a_configuration_that_cannot_be_is_refused_naming_the_field(
    rpc: JsonRpcClient, given: dict[str, Any], field: str
) -> None:
    task = await rpc.task(end="input-required")
    assert bad_fields(await rpc.call(CREATE, {"taskId": task["id"], **given})) == [field]
    sent = {"message": load_message(), "configuration": {"taskPushNotificationConfig": given}}
    named = bad_fields(await rpc.call("SendMessage", sent))
    assert named == [f"configuration.taskPushNotificationConfig.{field}"]
    assert len((await rpc.result("ListTasks"))["tasks"]) == 1


async def test_an_agent_without_push_notifications_refuses_every_use_of_them(
    rpc: JsonRpcClient,
) -> None:
    async def quiet(turn: Turn) -> None:
        return

    with client_of(quiet, push_notifications=False):
        calls: dict[str, dict[str, Any]] = {
            CREATE: {"taskId": "x", "url": URL},
            GET: {"taskId": "x", "id": "y"},
            LIST: {"taskId": "x"},
            DELETE: {"taskId": "x", "id": "y"},
            "SendMessage": {
                "message": load_message(),
                "configuration": {"taskPushNotificationConfig": {"url": URL}},
            },
        }
        for method, params in calls.items():
            refused = await rpc.call(method, params, agent="quiet")
            assert error_of(refused) == (-32003, "PUSH_NOTIFICATION_NOT_SUPPORTED"), method
        card = await rpc.http.get("/a2a/quiet/.well-known/agent-card.json")
        assert json.loads(card.content)["capabilities"]["pushNotifications"] is False


def no_answer(host: str) -> list[str]:
    raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")


def no_name(host: str) -> list[str]:
    raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")


@pytest.fixture
def silence() -> Iterator[Callable[[str], list[str]]]:
    """Make a resolver that says nothing until the test ends."""
    end = threading.Event()

    def wait(host: str) -> list[str]:
        assert end.wait(60)
        return no_answer(host)

    yield wait
    end.set()


@pytest.mark.parametrize("answers", [True, False])
@pytest.mark.parametrize("way", [way for way in WAYS if way.version == "1.0"], ids=str)
async def test_a_resolver_that_does_not_answer_is_no_fault_of_the_client(
    a2a: ChangeSettings,
    rpc: JsonRpcClient,
    monkeypatch: pytest.MonkeyPatch,
    silence: Callable[[str], list[str]],
    answers: bool,
    way: Way,
) -> None:
    a2a(PUSH_TIMEOUT_SECONDS=0.1)
    resolve_by(monkeypatch, no_answer if answers else silence)
    hook = {"url": "https://hooks.example.com/"}
    params = {"message": load_message(), "configuration": {"taskPushNotificationConfig": hook}}
    [refused] = await answers_of(await way.send(rpc, params, agent="load"))
    code, said = code_of(refused)
    assert code in (-32052, "UNAVAILABLE") and "Try again later" in said
    assert (await rpc.result("ListTasks"))["tasks"] == []


async def test_a_resolver_that_does_not_answer_is_503_over_http_json(
    rpc: JsonRpcClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    task = await rpc.task(end="input-required")
    resolve_by(monkeypatch, no_answer)
    config = {"url": "https://hooks.example.com/"}
    url = f"tasks/{task['id']}/pushNotificationConfigs"
    response = await HttpJsonClient().post(f"/{url}", config)
    assert refusal_of(response) == (503, "UNAVAILABLE")


async def test_whatever_is_not_allowed_is_refused_with_one_answer(
    a2a: ChangeSettings, rpc: JsonRpcClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    addresses = {"intranet.example": ["10.0.0.1"], "both.example": ["192.0.43.10", "10.0.0.1"]}
    resolve_by(monkeypatch, lambda host: addresses.get(host) or no_name(host))
    task = await rpc.task(end="input-required")
    urls = [
        "https://127.0.0.1/", "https://[::1]/", "https://10.0.0.1/", "https://intranet.example/",
        "https://both.example/", "https://unknown.example/", "https://192.0.43.10:22/",
    ]  # fmt: skip  # as one list
    answers = [await rpc.call(CREATE, {"taskId": task["id"], "url": url}) for url in urls]
    a2a(PUSH_HOSTS=["192.0.43.9"])
    answers.append(await rpc.call(CREATE, {"taskId": task["id"], "url": URL}))
    first, *others = (answer["error"] for answer in answers)
    assert others == [first] * len(urls)
    assert first["code"] == -32602 and "public" not in first["message"]


async def test_the_name_in_a_url_is_looked_up_for_those_who_may_use_the_task(
    rpc: JsonRpcClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    def look_up(host: str) -> list[str]:
        raise AssertionError("It was looked up.")

    resolve_by(monkeypatch, look_up)
    hook = {"url": "https://hooks.example.com/"}
    unknown = "0198c0de-0000-7000-8000-000000000000"
    refused = await rpc.call(CREATE, {"taskId": unknown, **hook})
    assert error_of(refused) == (-32001, "TASK_NOT_FOUND")
    message = {**load_message(), "taskId": unknown}
    sent = {"message": message, "configuration": {"taskPushNotificationConfig": hook}}
    assert error_of(await rpc.call("SendMessage", sent)) == (-32001, "TASK_NOT_FOUND")


async def test_an_owner_with_too_many_webhooks_that_wait_configures_no_more(
    a2a: ChangeSettings, rpc: JsonRpcClient
) -> None:
    a2a(PUSH_BACKLOG_PER_OWNER=2)
    task = await rpc.task(end="input-required")
    for name in "abc":
        await rpc.result(CREATE, taskId=task["id"], id=name, url=URL)
    waiting = models.PushNotificationConfig.objects.filter(config_id__in=["a", "b"])
    await database.run(lambda: waiting.update(due_at=timezone.now() + timedelta(hours=1)))
    refused = await rpc.call(CREATE, {"taskId": task["id"], "id": "d", "url": URL})
    assert refused["error"]["code"] == -32053
    await rpc.result(DELETE, taskId=task["id"], id="a")
    await rpc.result(CREATE, taskId=task["id"], id="d", url=URL)


async def test_a_project_may_register_webhooks_while_no_resolver_answers(
    a2a: ChangeSettings, rpc: JsonRpcClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    a2a(PUSH_ALLOW_UNRESOLVED=True)
    task = await rpc.task(end="input-required")
    resolve_by(monkeypatch, no_answer)
    await rpc.result(CREATE, taskId=task["id"], url="https://hooks.example.com/")
    refused = await rpc.call(CREATE, {"taskId": task["id"], "url": "https://127.0.0.1/x y"})
    assert bad_fields(refused) == ["url"]
    assert len((await rpc.result(LIST, taskId=task["id"]))["configs"]) == 1
