"""Exchanges: one request of each operation, in each version and by each binding."""

import json
from dataclasses import dataclass
from typing import Any

from tests.wire import envelope
from tests.wire_v03 import FILES, PLAIN_FILES

BASE = "/a2a/golden"
# Put in once there is such a task.
TASK = "<task>"

_SAID: dict[str, Any] = {"messageId": "message-1", "metadata": {"of": "the message"}}
_PARTS = [
    {"text": "see these", "metadata": {"a": 1}},
    {"raw": "aGVsbG8=", "filename": "a.txt", "mediaType": "text/plain"},
    {"url": "https://example.com/a", "metadata": {"b": 2}},
    {"data": {"deep": [1, None, {"x": True}]}},
]
MESSAGE = {**_SAID, "role": "ROLE_USER", "parts": _PARTS}
MESSAGE_03 = {**_SAID, "kind": "message", "role": "user", "parts": FILES}
BAD_03 = {"kind": "file", "file": {"bytes": "*"}}
PLAIN_03 = {**_SAID, "role": "ROLE_USER", "content": PLAIN_FILES}
# An address, which needs no resolver.
_CONFIG = {
    "url": "https://192.0.43.10/hook",
    "token": "t",
    "authentication": {"schemes": ["Bearer"], "scheme": "Bearer", "credentials": "secret"},
}
_CONFIGS = f"/tasks/{TASK}/pushNotificationConfigs"


@dataclass(frozen=True, slots=True)
class Request:
    """What is sent."""

    verb: str
    path: str
    version: str
    body: Any = None

    @property
    def is_plain(self) -> bool:
        """Whether it is HTTP+JSON."""
        return self.path != f"{BASE}/"

    @property
    def media_type(self) -> str:
        """Of the body."""
        return "application/a2a+json" if self.is_plain and self.version else "application/json"

    def for_task(self, task_id: str) -> "Request":
        """Name a task."""
        body = json.loads(json.dumps(self.body).replace(TASK, task_id))
        return Request(self.verb, self.path.replace(TASK, task_id), self.version, body)


def _rpc(method: str, params: dict[str, Any]) -> Request:
    version = "" if "/" in method else "1.0"
    return Request("POST", f"{BASE}/", version, envelope(method, params))


def _plain(verb: str, path: str, body: Any = None) -> Request:
    return Request(verb, BASE + path, "" if path.startswith("/v1/") else "1.0", body)


def _all(rpc: Request, plain: Request, *old: Request) -> dict[str, Request]:
    names = ("jsonrpc-1.0", "http-json-1.0", "jsonrpc-0.3", "http-json-0.3")
    return dict(zip(names, (rpc, plain, *old), strict=False))


_ID = {"id": TASK}
_NAMED = {"id": TASK, "pushNotificationConfigId": "1"}
REQUESTS = {
    "SendMessage": _all(
        _rpc("SendMessage", {"message": MESSAGE, "metadata": {"of": "the request"}}),
        _plain("POST", "/message:send", {"message": MESSAGE, "metadata": {"of": "the request"}}),
        _rpc("message/send", {"message": MESSAGE_03, "metadata": {"of": "the request"}}),
        _plain("POST", "/v1/message:send", {"message": PLAIN_03}),
    ),
    "SendStreamingMessage": _all(
        _rpc("SendStreamingMessage", {"message": MESSAGE}),
        _plain("POST", "/message:stream", {"message": MESSAGE}),
        _rpc("message/stream", {"message": MESSAGE_03}),
        _plain("POST", "/v1/message:stream", {"message": PLAIN_03}),
    ),
    "GetTask": _all(
        _rpc("GetTask", {"id": TASK, "historyLength": 1}),
        _plain("GET", f"/tasks/{TASK}?historyLength=1"),
        _rpc("tasks/get", {"id": TASK, "historyLength": 1}),
        _plain("GET", f"/v1/tasks/{TASK}?historyLength=1"),
    ),
    "ListTasks": _all(
        _rpc("ListTasks", {"pageSize": 5, "includeArtifacts": True}),
        _plain("GET", "/tasks?pageSize=5&includeArtifacts=true"),
    )
    | {"http-json-0.3": _plain("GET", "/v1/tasks?pageSize=5&includeArtifacts=true")},
    "CancelTask": _all(
        _rpc("CancelTask", {**_ID, "metadata": {"why": "no need"}}),
        _plain("POST", f"/tasks/{TASK}:cancel", {"metadata": {"why": "no need"}}),
        _rpc("tasks/cancel", {**_ID, "metadata": {"why": "no need"}}),
        _plain("POST", f"/v1/tasks/{TASK}:cancel", {"name": f"tasks/{TASK}"}),
    ),
    "SubscribeToTask": _all(
        _rpc("SubscribeToTask", _ID),
        _plain("POST", f"/tasks/{TASK}:subscribe"),
        _rpc("tasks/resubscribe", _ID),
        _plain("GET", f"/v1/tasks/{TASK}:subscribe"),
    ),
    "CreateTaskPushNotificationConfig": _all(
        _rpc("CreateTaskPushNotificationConfig", {"taskId": TASK, "id": "1", **_CONFIG}),
        _plain("POST", _CONFIGS, {"id": "1", **_CONFIG}),
        _rpc(
            "tasks/pushNotificationConfig/set",
            {"taskId": TASK, "pushNotificationConfig": {"id": "1", **_CONFIG}},
        ),
        _plain("POST", f"/v1{_CONFIGS}", {"pushNotificationConfig": {"id": "1", **_CONFIG}}),
    ),
    "GetTaskPushNotificationConfig": _all(
        _rpc("GetTaskPushNotificationConfig", {"taskId": TASK, "id": "1"}),
        _plain("GET", f"{_CONFIGS}/1"),
        _rpc("tasks/pushNotificationConfig/get", _NAMED),
        _plain("GET", f"/v1{_CONFIGS}/1"),
    ),
    "ListTaskPushNotificationConfigs": _all(
        _rpc("ListTaskPushNotificationConfigs", {"taskId": TASK}),
        _plain("GET", _CONFIGS),
        _rpc("tasks/pushNotificationConfig/list", _ID),
        _plain("GET", f"/v1{_CONFIGS}"),
    ),
    "DeleteTaskPushNotificationConfig": _all(
        _rpc("DeleteTaskPushNotificationConfig", {"taskId": TASK, "id": "1"}),
        _plain("DELETE", f"{_CONFIGS}/1"),
        _rpc("tasks/pushNotificationConfig/delete", _NAMED),
        _plain("DELETE", f"/v1{_CONFIGS}/1"),
    ),
    "GetExtendedAgentCard": _all(
        _rpc("GetExtendedAgentCard", {}),
        _plain("GET", "/extendedAgentCard"),
        _rpc("agent/getAuthenticatedExtendedCard", {}),
        _plain("GET", "/v1/card"),
    ),
    "task not found": _all(
        _rpc("GetTask", {"id": "nobody's"}),
        _plain("GET", "/tasks/nobody's"),
        _rpc("tasks/get", {"id": "nobody's"}),
        _plain("GET", "/v1/tasks/nobody's"),
    ),
    "bad parameters": _all(
        _rpc("SendMessage", {"message": {**MESSAGE, "parts": [{"raw": "*"}]}}),
        _plain("POST", "/message:send", {"message": {**MESSAGE, "parts": [{"raw": "*"}]}}),
        _rpc("message/send", {"message": {**MESSAGE_03, "parts": [BAD_03]}}),
        _plain(
            "POST",
            "/v1/message:send",
            {"message": {**PLAIN_03, "content": [{"file": {"fileWithBytes": "*"}}]}},
        ),
    ),
    "card": {
        "1.0": Request("GET", f"{BASE}/.well-known/agent-card.json", "1.0"),
        "both": Request("GET", f"{BASE}/.well-known/agent-card.json", ""),
    },
    # For callers whom each of the app's authenticators may know.
    "card with security": {
        "1.0": Request("GET", f"{BASE}/.well-known/agent-card.json", "1.0"),
        "both": Request("GET", f"{BASE}/.well-known/agent-card.json", ""),
    },
}
