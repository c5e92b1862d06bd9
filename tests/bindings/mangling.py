"""Mangling: requests that name real tasks, changed at random, and what must not change by them."""

import base64
import copy
from typing import Any
from uuid import UUID

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

from a2a_app import database, models
from tests.wire import UNKNOWN_TASK, message

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
    _token(f"0001-01-01T00:00:00+23:59 {UNKNOWN_TASK}"),
    _token(f"9999-12-31T23:59:59-23:59 {UNKNOWN_TASK}"),
    _token(f"2026-01-01T00:00:00 {UNKNOWN_TASK}"), _token("\x00 \x00"),
    ENDED, ANOTHERS, UNKNOWN_TASK,
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
        "pageToken": _token(f"2026-01-01T00:00:00+00:00 {UNKNOWN_TASK}"),
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

SAID_03 = {
    "kind": "message",
    "messageId": "1",
    "role": "user",
    "contextId": "context",
    "metadata": {"key": {"deep": [1, "two", None]}},
    "referenceTaskIds": [ENDED],
    "parts": [
        {"kind": "text", "text": "{}", "metadata": {"a": 1}},
        {"kind": "file", "file": {"bytes": "aGVsbG8=", "name": "a.txt", "mimeType": "text/plain"}},
        {"kind": "file", "file": {"uri": "https://example.com/a"}},
        {"kind": "data", "data": {"a": [1, 2]}},
    ],
}
HOOK_03 = {
    "id": "1",
    "url": "https://example.com/hook",
    "token": "t",
    "authentication": {"schemes": ["Bearer"], "credentials": "c"},
}
SEND_03 = {
    "message": SAID_03,
    "configuration": {"acceptedOutputModes": ["a/b"], "historyLength": 3, "blocking": True},
    "metadata": {"key": "value"},
}
PUSH_03 = {"id": ENDED, "pushNotificationConfigId": "1", "metadata": {}}
PARAMS_03: dict[str, dict[str, Any]] = {
    "message/send": SEND_03,
    "message/stream": SEND_03,
    "tasks/get": {"id": ENDED, "historyLength": 2, "metadata": {"a": 1}},
    "tasks/cancel": {"id": ENDED, "metadata": {"a": 1}},
    "tasks/resubscribe": {"id": ANOTHERS, "metadata": {"a": 1}},
    "tasks/pushNotificationConfig/set": {"taskId": ENDED, "pushNotificationConfig": HOOK_03},
    "tasks/pushNotificationConfig/get": PUSH_03,
    "tasks/pushNotificationConfig/list": PUSH_03,
    "tasks/pushNotificationConfig/delete": PUSH_03,
    "agent/getAuthenticatedExtendedCard": {},
}


def _places(value: Any, at: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Return the path of every member, except of those that are too deep to follow."""
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
        self._last: tuple[list[Any], int] = ([], 0)

    def fill_in(self, body: bytes) -> bytes:
        """Put the tasks' ids where the request names them."""
        for name, task_id in self.names.items():
            body = body.replace(name.encode(), task_id.encode())
        return body

    async def look(self) -> tuple[bool, bool]:
        """Tell whether the two tasks, and the number of all, are as they were at the last look."""
        before, self._last = self._last, await database.run(self._now)
        return before[0] == self._last[0], before[1] == self._last[1]

    def _now(self) -> tuple[list[Any], int]:
        return self._rows(), models.Task.objects.count()

    def _rows(self) -> list[Any]:
        keys = [UUID(task_id) for task_id in self.names.values()]
        found: list[Any] = list(models.Task.objects.filter(pk__in=keys).order_by("pk").values())
        assert len(found) == len(keys)
        for model in (models.Message, models.Event, models.Artifact, models.Run):
            rows = model._default_manager.filter(task__in=keys)
            found += rows.order_by("pk").values()
        contexts = models.Context.objects.filter(tasks__in=keys)
        return found + list(contexts.order_by("pk").values())
