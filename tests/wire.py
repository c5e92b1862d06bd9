"""The JSON of A2A 1.0, as clients write it and read it."""

import json
import re
from typing import Any
from uuid import uuid4

HEADERS = {"A2A-Version": "1.0"}
# The id of no task.
UNKNOWN_TASK = "00000000-0000-7000-8000-000000000000"
# A public address, which needs no resolver.
WEBHOOK = "https://192.0.43.10/hook"


def message(text: str = "hello", **more: Any) -> dict[str, Any]:
    """Make a client's message."""
    return {"messageId": str(uuid4()), "role": "ROLE_USER", "parts": [{"text": text}], **more}


def load_message(**load: Any) -> dict[str, Any]:
    """Make a message that says to the load agent what to do."""
    return message(json.dumps(load))


def envelope(method: str, params: dict[str, Any]) -> dict[str, Any]:
    """Make a JSON-RPC request."""
    return {"jsonrpc": "2.0", "id": "test", "method": method, "params": params}


def calls_about(task_id: str) -> list[tuple[str, dict[str, Any]]]:
    """Make a call of each operation that names a task: its method and its parameters."""
    return [
        ("GetTask", {"id": task_id}),
        ("CancelTask", {"id": task_id}),
        ("SubscribeToTask", {"id": task_id}),
        ("CreateTaskPushNotificationConfig", {"taskId": task_id, "url": WEBHOOK}),
        ("GetTaskPushNotificationConfig", {"taskId": task_id, "id": "x"}),
        ("ListTaskPushNotificationConfigs", {"taskId": task_id}),
        ("DeleteTaskPushNotificationConfig", {"taskId": task_id, "id": "x"}),
        ("SendMessage", {"message": load_message() | {"taskId": task_id}}),
        ("SendStreamingMessage", {"message": load_message() | {"taskId": task_id}}),
    ]


def state(item: dict[str, Any]) -> str:
    """Return the state that a StreamResponse tells of; empty for a chunk."""
    status = item.get("statusUpdate", item.get("task", {})).get("status", {})
    return str(status.get("state", "")).removeprefix("TASK_STATE_")


def text(item: dict[str, Any]) -> str:
    """Return the text of a chunk; empty for anything else."""
    parts = item.get("artifactUpdate", {}).get("artifact", {}).get("parts", [])
    return "".join(part.get("text", "") for part in parts)


def chunk_numbers(artifact: dict[str, Any]) -> list[int]:
    """Return the numbers of the chunks of an artifact of the load agent, in their order."""
    [part] = artifact["parts"]
    return numbers_in(part["text"])


def numbers_in(text: str) -> list[int]:
    """Return the numbers of the load agent's chunks in a text of one or several."""
    return [int(number) for number in re.findall(r"(\d+) \d+\.\d{6} ", text)]


def strict_json(content: str | bytes) -> Any:
    """Read JSON as other languages do, which know neither NaN nor Infinity."""
    return json.loads(content, parse_constant=_refuse)


def _refuse(constant: str) -> Any:
    raise ValueError(f"{constant} is no JSON")
