"""Whatever comes in: an answer of JSON-RPC goes out, soon, and no stored task is touched (R12)."""

import base64
import copy
import json
from typing import Any
from uuid import UUID

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from a2a_app import models
from a2a_app.operations import OPERATIONS
from a2a_app.store import database
from tests.bindings.conftest import Rpc, body_of, events_of, strict_json
from tests.rpc import HEADERS, envelope, message, told

STREAM = "text/event-stream"
INTERNAL = -32603
NOBODY = "00000000-0000-7000-8000-000000000000"
# The ids that requests name are put in here, once the tasks are there.
ENDED, ANOTHERS = "<ended>", "<another's>"

# Every example has the same database; each waits for its answer, and no longer than rpc allows.
lasting = settings(
    deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)


def _token(text: str) -> str:
    return base64.urlsafe_b64encode(text.encode()).decode()


def _nested(depth: int) -> Any:
    value: Any = 1
    for level in range(depth):
        value = [value] if level % 2 else {"a": value}
    return value


NASTY = [
    None, True, False, 0, -1, 2**31, 2**63, 2**64, -(2**63) - 1, 10**400, 1.5, -0.0, 1e308, 5e-324,
    "", " ", "\x00", "a\x00b", "\ud800", "\udfff\ud800", "\u202e", "🚀", "x" * 300, "1", "-1",
    "A" * 5, "TASK_STATE_WORKING", "ROLE_AGENT", "0001-01-01T00:00:00Z", "9999-12-31T23:59:59.999Z",
    "0001-01-01T00:00:00+23:59", "2026-02-30T00:00:00Z", "%00", "'; DROP TABLE a2a_app_task; --",
    _token(f"0001-01-01T00:00:00+23:59 {NOBODY}"), _token(f"9999-12-31T23:59:59-23:59 {NOBODY}"),
    _token(f"2026-01-01T00:00:00 {NOBODY}"), _token("\x00 \x00"), ENDED, ANOTHERS, NOBODY,
    [], {}, [None], {"": None}, {"\x00": "\ud800"}, _nested(99), _nested(103), _nested(190),
]  # fmt: skip  # a heap of small things

JSON: st.SearchStrategy[Any] = st.recursive(
    st.sampled_from(NASTY)
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=[]), max_size=20),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.text(st.characters(exclude_categories=[]), max_size=8), inner, max_size=4
        )
    ),
    max_leaves=8,
)

HEADER = st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=40)
PUSH = {"taskId": ENDED, "id": "1", "url": "https://example.com/hook", "token": "t", "tenant": "t"}
SAID = message(
    "{}",
    contextId="context",
    metadata={"key": {"deep": [1, "two", None]}},
    extensions=["https://example.com/extension"],
    referenceTaskIds=[ENDED],
    parts=[
        {"text": "{}", "mediaType": "text/plain", "metadata": {"a": 1}},
        {"raw": "aGVsbG8=", "filename": "a.txt"},
        {"url": "https://example.com/a"},
        {"data": {"a": [1, 2]}},
    ],
)
SEND = {
    "tenant": "t",
    "message": SAID,
    "configuration": {"acceptedOutputModes": ["text/plain"], "historyLength": 3},
    "metadata": {"key": "value"},
}
PARAMS: dict[str, dict[str, Any]] = {
    "SendMessage": SEND,
    "SendStreamingMessage": SEND,
    "GetTask": {"id": ENDED, "historyLength": 2, "tenant": "t"},
    "ListTasks": {
        "contextId": "context",
        "status": "TASK_STATE_COMPLETED",
        "pageSize": 3,
        "pageToken": _token(f"2026-01-01T00:00:00+00:00 {NOBODY}"),
        "historyLength": 2,
        "statusTimestampAfter": "2026-01-01T00:00:00Z",
        "includeArtifacts": True,
        "tenant": "t",
    },
    "CancelTask": {"id": ENDED, "metadata": {"a": 1}, "tenant": "t"},
    "SubscribeToTask": {"id": ANOTHERS, "tenant": "t"},
    "CreateTaskPushNotificationConfig": PUSH,
    "GetTaskPushNotificationConfig": PUSH,
    "ListTaskPushNotificationConfigs": PUSH,
    "DeleteTaskPushNotificationConfig": PUSH,
    "GetExtendedAgentCard": {"tenant": "t"},
}


def test_every_operation_is_mangled() -> None:
    assert set(PARAMS) == set(OPERATIONS)


def _places(value: Any, at: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Give the path of every member, however deep; those that are not too deep to follow."""
    if len(at) > 20 or not isinstance(value, dict | list):
        return [at]
    inside = value.items() if isinstance(value, dict) else enumerate(value)
    return [at, *(place for key, inner in inside for place in _places(inner, (*at, key)))]


@st.composite
def mangled(draw: st.DrawFn, request: dict[str, Any]) -> Any:
    """Change, drop or wrap up to three members of a request."""
    holder = {"request": copy.deepcopy(request)}
    for _ in range(draw(st.integers(1, 3))):
        *path, last = draw(st.sampled_from([place for place in _places(holder) if place]))
        inside: Any = holder
        for step in path:
            inside = inside[step]
        match draw(st.sampled_from(["change", "change", "drop", "wrap", "repeat"])):
            case "change":
                # A copy: the next change may be inside it, and NASTY is for every example.
                inside[last] = copy.deepcopy(draw(JSON))
            case "drop" if inside is not holder:
                del inside[last]
            case "wrap":
                inside[last] = [inside[last]]
            case _:
                inside[last] = {"x": inside[last], "y": inside[last]}
    return holder["request"]


class Stored:
    """What must stay as it is: an ended task, and one that waits for a client of another agent."""

    def __init__(self, ended: str, anothers: str) -> None:
        self.names = {ENDED: ended, ANOTHERS: anothers}

    def fill_in(self, body: bytes) -> bytes:
        """Put the tasks' ids where the request names them."""
        for name, task_id in self.names.items():
            body = body.replace(name.encode(), task_id.encode())
        return body

    async def rows(self) -> list[Any]:
        """Read every row of the two tasks."""
        return await database.run(self._rows)

    async def count(self) -> int:
        """Count all tasks there are."""
        return await database.run(models.Task.objects.count)

    def _rows(self) -> list[Any]:
        keys = [UUID(task_id) for task_id in self.names.values()]
        found: list[Any] = list(models.Task.objects.filter(pk__in=keys).order_by("pk").values())
        assert len(found) == len(keys)
        for model in (models.Message, models.Event, models.Artifact, models.Run):
            rows = model._default_manager.filter(task__in=keys)
            found += rows.order_by("pk").values()
        contexts = models.Context.objects.filter(tasks__in=keys)
        return found + list(contexts.order_by("pk").values())


@pytest.fixture
async def stored(rpc: Rpc) -> Stored:
    ended = await rpc.task(chunks=3)
    # By a stream, which ends when the run is over: nothing is still being written.
    said = {"message": told(chunks=2, end="input-required")}
    request = envelope("SendStreamingMessage", said)
    first, *_ = await events_of(await rpc.post(request, path="/a2a/load-retry/"))
    return Stored(ended["id"], first["result"]["task"]["id"])


async def _check(rpc: Rpc, stored: Stored, body: bytes, **headers: str) -> None:
    rows, count = await stored.rows(), await stored.count()
    response = await rpc.post(stored.fill_in(body), **headers)
    assert response.status_code in (200, 413), response
    stream = response["Content-Type"] == STREAM
    answers = await events_of(response) if stream else [body_of(response)]
    assert answers
    for answer in answers:
        _check_answer(answer)
        if "error" in answer:
            assert await stored.count() == count
    assert await stored.rows() == rows


def _check_answer(answer: dict[str, Any]) -> None:
    kind = "error" if "error" in answer else "result"
    assert set(answer) == {"jsonrpc", "id", kind}, answer
    assert answer["jsonrpc"] == "2.0"
    assert answer["id"] is None or isinstance(answer["id"], str | int | float)
    assert not isinstance(answer["id"], bool)
    if kind == "error":
        error = answer["error"]
        assert isinstance(error["code"], int)
        assert error["code"] != INTERNAL, error
        assert isinstance(error["message"], str) and error["message"]
        assert all("@type" in detail for detail in error["data"])
        assert len(json.dumps(answer)) < 100_000


@pytest.mark.parametrize("method", PARAMS)
async def test_a_request_that_is_not_mangled_touches_neither_task(
    rpc: Rpc, stored: Stored, method: str
) -> None:
    body = json.dumps(envelope(method, PARAMS[method])).encode()
    await _check(rpc, stored, body, **{"A2A_Version": HEADERS["A2A-Version"]})


@pytest.mark.parametrize("method", PARAMS)
@given(data=st.data())
@settings(lasting, max_examples=40)
async def test_a_mangled_request_gets_an_answer_and_touches_no_task(
    rpc: Rpc, stored: Stored, method: str, data: st.DataObject
) -> None:
    request = data.draw(mangled(envelope(method, PARAMS[method])))
    await _check(rpc, stored, json.dumps(request).encode())


@pytest.mark.parametrize("method", ["ListTasks", "CancelTask"])
async def test_nothing_nasty_in_any_field_touches_a_task(
    rpc: Rpc, stored: Stored, method: str
) -> None:
    for field in PARAMS[method]:
        for value in NASTY:
            request = envelope(method, {**PARAMS[method], field: value})
            await _check(rpc, stored, json.dumps(request).encode())


@given(
    method=st.sampled_from(sorted(PARAMS)), version=HEADER, extensions=HEADER, last_event_id=HEADER
)
@settings(lasting, max_examples=40)
async def test_mangled_headers_get_an_answer_and_touch_no_task(
    rpc: Rpc, stored: Stored, method: str, version: str, extensions: str, last_event_id: str
) -> None:
    body = json.dumps(envelope(method, PARAMS[method])).encode()
    headers = {
        "A2A_Version": version,
        "A2A_Extensions": extensions,
        "Last_Event_ID": last_event_id,
    }
    await _check(rpc, stored, body, **headers)


@given(body=st.binary(max_size=200))
@settings(lasting, max_examples=40)
async def test_random_bytes_get_an_answer(rpc: Rpc, stored: Stored, body: bytes) -> None:
    await _check(rpc, stored, body)


@given(data=st.data())
@settings(lasting, max_examples=60)
async def test_a_request_with_broken_bytes_gets_an_answer(
    rpc: Rpc, stored: Stored, data: st.DataObject
) -> None:
    method = data.draw(st.sampled_from(sorted(PARAMS)))
    body = json.dumps(envelope(method, PARAMS[method])).encode()
    start = data.draw(st.integers(0, len(body)))
    end = data.draw(st.integers(start, min(start + 8, len(body))))
    broken = body[:start] + data.draw(st.binary(max_size=8)) + body[end:]
    await _check(rpc, stored, broken)


@pytest.mark.parametrize(
    "member",
    ['"parts":[{}]', '"x":{}', '"metadata":{"x":{}}', '"parts":[{"text":"a"},{"data":{}}]'],
)
@pytest.mark.parametrize(
    "value",
    ["[" * 90_000 + "]" * 90_000, '{"a":' * 90_000 + "1" + "}" * 90_000, "9" * 90_000, "1e99999"],
    ids=["arrays", "objects", "digits", "exponent"],
)
async def test_values_without_measure_get_an_answer(
    rpc: Rpc, stored: Stored, member: str, value: str
) -> None:
    inside = member.replace("{}", value)
    said = f'{{"messageId":"1","role":"ROLE_USER","parts":[{{"text":"{{}}"}}],{inside}}}'
    params = f'{{"message":{said}}}'
    body = f'{{"jsonrpc":"2.0","id":1,"method":"SendMessage","params":{params}}}'
    await _check(rpc, stored, body.encode())


async def test_a_strict_reader_reads_the_answers() -> None:
    with pytest.raises(ValueError, match="Infinity"):
        strict_json('{"id": Infinity}')
