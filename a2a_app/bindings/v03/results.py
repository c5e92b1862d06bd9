"""The results of 1.0, converted to those of 0.3.

`Schema` writes them as the JSON schema has them, and `Proto` as the proto has them.
"""

from typing import Any, TypeAlias

Json: TypeAlias = dict[str, Any]

# The states that end a stream of 0.3: "the server closes the connection after the final:true
# event".
_FINAL = {
    "TASK_STATE_COMPLETED", "TASK_STATE_FAILED", "TASK_STATE_CANCELED", "TASK_STATE_REJECTED",
    "TASK_STATE_INPUT_REQUIRED", "TASK_STATE_AUTH_REQUIRED",
}  # fmt: skip  # names only


class Schema:
    """The results of JSON-RPC, in which each object has a `kind`."""

    def event(self, response: Json) -> Any:
        """Convert a StreamResponse or a SendMessageResponse to the object in it."""
        [(member, value)] = response.items()
        match member:
            case "task":
                return self.task(value)
            case "message":
                return self.message(value)
            case "statusUpdate":
                status = self._status(value["status"])
                return {**value, "status": status, "final": is_final(response), **_kind(member)}
            case _:
                return {**value, "artifact": self._artifact(value["artifact"]), **_kind(member)}

    def task(self, task: Json) -> Json:
        """Convert a Task."""
        return {"contextId": "", **self._task(task), **_kind("task")}

    def message(self, message: Json) -> Json:
        """Convert a Message."""
        role = message["role"].removeprefix("ROLE_").lower()
        return {**message, "role": role, "parts": self._parts(message["parts"]), **_kind("message")}

    def push(self, config: Json) -> Json:
        """Convert a TaskPushNotificationConfig."""
        return {"taskId": config.get("taskId", ""), "pushNotificationConfig": _push(config)}

    def pushes(self, response: Json) -> Any:
        """Convert a list of TaskPushNotificationConfig."""
        return [self.push(config) for config in response.get("configs", [])]

    def nothing(self, response: Json) -> Any:
        """Convert an empty result."""
        return None

    def _task(self, task: Json) -> Json:
        written = {**task, "status": self._status(task["status"])}
        if "artifacts" in task:
            written["artifacts"] = [self._artifact(artifact) for artifact in task["artifacts"]]
        if "history" in task:
            written["history"] = [self.message(message) for message in task["history"]]
        return written

    def _status(self, status: Json) -> Json:
        written = {**status, "state": self._state(status["state"])}
        if "message" in status:
            written["message"] = self.message(status["message"])
        return written

    def _artifact(self, artifact: Json) -> Json:
        return {**artifact, "parts": self._parts(artifact["parts"])}

    def _parts(self, parts: list[Json]) -> list[Json]:
        return [self._part(part) for part in parts]

    def _part(self, part: Json) -> Json:
        metadata = {"metadata": part["metadata"]} if "metadata" in part else {}
        if "text" in part:
            return {"kind": "text", "text": part["text"], **metadata}
        if "data" in part:
            return {"kind": "data", "data": _object(part["data"]), **metadata}
        return {"kind": "file", "file": _file(part, "bytes", "uri"), **metadata}

    def _state(self, state: str) -> str:
        name = state.removeprefix("TASK_STATE_").lower().replace("_", "-")
        return "unknown" if name == "unspecified" else name


class Proto(Schema):
    """The results of HTTP+JSON, in which the name of a member is the type of the object in it."""

    def event(self, response: Json) -> Any:
        """Convert a StreamResponse or a SendMessageResponse, which keeps its one member."""
        written = super().event(response)
        written.pop("kind", None)
        return dict.fromkeys(response, written)

    def task(self, task: Json) -> Json:
        """Convert a Task."""
        return self._task(task)

    def tasks(self, response: Json) -> Any:
        """Convert a page of tasks to an array; 0.3 has no place for the page's other members."""
        return [self.task(task) for task in response["tasks"]]

    def message(self, message: Json) -> Json:
        """Convert a Message, whose parts are called `content` in the proto."""
        written = {**message, "content": self._parts(message["parts"])}
        del written["parts"]
        written.pop("referenceTaskIds", None)  # the proto of 0.3 does not have it
        return written

    def push(self, config: Json) -> Json:
        """Convert a TaskPushNotificationConfig, which has the name of a resource in the proto."""
        name = f"tasks/{config.get('taskId', '')}/pushNotificationConfigs/{config.get('id', '')}"
        return {"name": name, "pushNotificationConfig": _push(config)}

    def pushes(self, response: Json) -> Any:
        """Convert a ListTaskPushNotificationConfigResponse."""
        return {**response, "configs": super().pushes(response)}

    def nothing(self, response: Json) -> Any:
        """Convert an empty result."""
        return {}

    def _part(self, part: Json) -> Json:
        metadata = {"metadata": part["metadata"]} if "metadata" in part else {}
        if "text" in part:
            return {"text": part["text"], **metadata}
        if "data" in part:
            return {"data": {"data": _object(part["data"])}, **metadata}
        return {"file": _file(part, "fileWithBytes", "fileWithUri"), **metadata}

    def _state(self, state: str) -> str:
        return "TASK_STATE_CANCELLED" if state == "TASK_STATE_CANCELED" else state


def is_final(response: Json) -> bool:
    """Tell whether a StreamResponse of 1.0 is the last one of a stream of 0.3."""
    return response.get("statusUpdate", {}).get("status", {}).get("state") in _FINAL


def final_update(response: Json) -> Json | None:
    """Return the status of a task that has ended or waits as the update that would be final.

    Returns:
        A StreamResponse of 1.0; None if `response` has no task, or its task goes on.
    """
    task = response.get("task")
    if task is None or task["status"]["state"] not in _FINAL:
        return None
    ids = {"taskId": task["id"], "contextId": task.get("contextId", "")}
    return {"statusUpdate": {**ids, "status": task["status"]}}


_KINDS = {
    "task": "task", "message": "message",
    "statusUpdate": "status-update", "artifactUpdate": "artifact-update",
}  # fmt: skip  # pairs


def _kind(member: str) -> Json:
    return {"kind": _KINDS[member]}


def _object(data: Any) -> Json:
    """Return data as an object, since 0.3 allows nothing else."""
    return data if isinstance(data, dict) else {"value": data}


def _file(part: Json, raw: str, url: str) -> Json:
    names = (("raw", raw), ("url", url), ("filename", "name"), ("mediaType", "mimeType"))
    return {new: part[old] for old, new in names if old in part}


def _push(config: Json) -> Json:
    written: Json = {key: config[key] for key in ("id", "url", "token") if key in config}
    if "authentication" in config:
        authentication = config["authentication"]
        written["authentication"] = {"schemes": [authentication["scheme"]]}
        if "credentials" in authentication:
            written["authentication"]["credentials"] = authentication["credentials"]
    return written
