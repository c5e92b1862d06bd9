"""The parameters of 0.3, converted to those of 1.0.

Field names may have both spellings, and may be those of the proto. A value of the wrong type is
passed on under the new name of its field. The models of 1.0 refuse it, and the dialect restores the
old name in the error.
"""

from typing import Any, TypeAlias

from pydantic.alias_generators import to_camel

from a2a_app.protocol import InvalidParamsError
from a2a_app.protocol.scalars import MAX_ITEMS

Json: TypeAlias = dict[str, Any]

_ROLES = {"user": "ROLE_USER", "agent": "ROLE_AGENT"}
# The fields of a file, in the JSON schema and in the proto.
_FILE = {
    "bytes": "raw", "fileWithBytes": "raw", "uri": "url", "fileWithUri": "url",
    "name": "filename", "mimeType": "mediaType",
}  # fmt: skip  # pairs


def send(given: Json) -> Json:
    """Convert MessageSendParams, in which `kind` says what a part is (section 6.5 of 0.3).

    A message without any `kind` is one of 1.0, which FastA2A sends under the methods of 0.3.
    """
    return _send(given, has_kinds=True)


def plain_send(given: Json) -> Json:
    """Convert SendMessageRequest of the proto, where a missing field is false or 0.

    The proto has no `kind`. A body that is spelt as in JSON-RPC may have it, or leave it out.
    """
    params = _send(given, has_kinds=False)
    configuration = params.get("configuration")
    if isinstance(configuration, dict):
        configuration.setdefault("returnImmediately", True)
        if configuration.get("historyLength") == 0:  # "if 0, the history will be unlimited"
            del configuration["historyLength"]
        webhook = configuration.get("taskPushNotificationConfig")
        if isinstance(webhook, dict):
            configuration["taskPushNotificationConfig"] = _without_empty_authentication(webhook)
    return params


def unchanged(given: Json) -> Json:
    """Return TaskQueryParams, TaskIdParams and the like as they are; 1.0 has the same fields."""
    return given


def create_push(given: Json) -> Json:
    """Convert TaskPushNotificationConfig, which the proto wraps in a request of its own.

    A configuration without an id gets that of its task, so that it is found by the task alone.
    """
    params = _camel(given)
    wrapper = params.get("config", params)
    wrapper = _camel(wrapper) if isinstance(wrapper, dict) else {}
    task = {"taskId": params["taskId"]} if "taskId" in params else {}
    config = wrapper.get("pushNotificationConfig")
    if not isinstance(config, dict):
        raise InvalidParamsError.of("pushNotificationConfig", "must be an object")
    default_id = {"id": params.get("configId") or params.get("taskId", "")}
    return {**default_id, **_push(config), **task}


def plain_create_push(given: Json) -> Json:
    """Convert CreateTaskPushNotificationConfigRequest of the proto."""
    return _without_empty_authentication(create_push(given))


def of_task(given: Json) -> Json:
    """Convert parameters that name a task by `id` and a configuration by a longer name.

    If they name no configuration, they mean the one that was created without an id.
    """
    params = _camel(given)
    names = (("id", "taskId"), ("id", "id"), ("pushNotificationConfigId", "id"))
    return {new: params[old] for old, new in names if params.get(old) is not None}


def _send(given: Json, *, has_kinds: bool) -> Json:
    params = _camel(given)
    if "request" in params:
        params.setdefault("message", params.pop("request"))  # the name in the proto
    if isinstance(params.get("message"), dict):
        params["message"] = _message(_camel(params["message"]), has_kinds)
    if isinstance(params.get("configuration"), dict):
        params["configuration"] = _configuration(_camel(params["configuration"]))
    return params


def _message(message: Json, has_kinds: bool) -> Json:
    # It may be missing, as it is in all examples of the specification.
    if has_kinds and message.get("kind") not in (None, "message"):
        raise InvalidParamsError.of("message.kind", "must be message")
    role = message.get("role")
    if isinstance(role, str):
        message["role"] = _ROLES.get(role, role)
    # The proto calls the parts of a message `content`, and those of an artifact `parts`.
    name = "parts" if "parts" in message else "content"
    parts = message.pop(name, None)
    if isinstance(parts, list) and len(parts) <= MAX_ITEMS:
        paths = [f"message.{name}[{index}]" for index in range(len(parts))]
        if has_kinds and any(
            "kind" in each for each in (message, *parts) if isinstance(each, dict)
        ):
            for part, path in zip(parts, paths, strict=True):
                _check_kind(part, path)
        # The proto has a message of its own around the data of a part.
        is_proto = name == "content"
        parts = [_part(part, path, is_proto) for part, path in zip(parts, paths, strict=True)]
    if parts is not None:
        message["parts"] = parts
    return message


def _check_kind(part: Any, path: str) -> None:
    kind = _kind(part, path)
    if part.get("kind") is None:
        raise InvalidParamsError.of(f"{path}.kind", "is required")
    if part["kind"] != kind:
        raise InvalidParamsError.of(f"{path}.kind", f"must be {kind}, as the part has a {kind}")


def _kind(part: Any, path: str) -> str:
    """Return which of the three kinds of parts a part is, by the member that it has."""
    if not isinstance(part, dict):
        raise InvalidParamsError.of(path, "must be an object")
    kinds = [key for key in ("text", "file", "data") if part.get(key) is not None]
    if len(kinds) != 1:
        has = " and ".join(kinds) or "none of them"
        problem = f"must have exactly one of text, file and data; it has {has}"
        raise InvalidParamsError.of(path, problem)
    return kinds[0]


def _part(part: Any, path: str, is_proto: bool) -> Any:
    kind = _kind(part, path)
    members = {key: value for key, value in part.items() if value is not None}
    content = members[kind]
    if kind == "file":
        converted = _file(content, f"{path}.file")
    elif kind == "data":
        converted = {"data": _data(content, f"{path}.data", is_proto)}
    else:
        converted = {"text": content}
    return {**converted, **({"metadata": members["metadata"]} if "metadata" in members else {})}


def _file(file: Any, path: str) -> Json:
    if not isinstance(file, dict):
        raise InvalidParamsError.of(path, "must be an object")
    converted = {
        _FILE[key]: value
        for key, value in _camel(file).items()
        if key in _FILE and value is not None
    }
    if ("raw" in converted) == ("url" in converted):
        raise InvalidParamsError.of(path, "must have exactly one of bytes and uri")
    return converted


def _data(data: Any, path: str, is_proto: bool) -> Any:
    if isinstance(data, dict) and is_proto:
        data, path = data.get("data", {}), f"{path}.data"  # a DataPart of the proto
    if not isinstance(data, dict):
        raise InvalidParamsError.of(path, "must be an object")
    return data


def _configuration(given: Json) -> Json:
    names = ("acceptedOutputModes", "historyLength")
    configuration = {name: given[name] for name in names if name in given}
    blocking = given.get("blocking")
    if blocking is not None:
        opposite = not blocking if isinstance(blocking, bool) else blocking
        configuration["returnImmediately"] = opposite
    push = given.get("pushNotificationConfig", given.get("pushNotification"))
    if push is not None:
        converted = _push(push) if isinstance(push, dict) else push
        configuration["taskPushNotificationConfig"] = converted
    return configuration


def _push(config: Json) -> Json:
    config = _camel(config)
    authentication = config.get("authentication")
    if isinstance(authentication, dict):
        # Only the first of several schemes, since 1.0 has one.
        schemes = authentication.get("schemes")
        scheme = schemes[0] if isinstance(schemes, list) and schemes else schemes or None
        config["authentication"] = {**authentication, "scheme": scheme}
    return config


def _without_empty_authentication(config: Json) -> Json:
    """Leave out an authentication whose members are all empty, which the proto has for none."""
    authentication = config.get("authentication")
    if not isinstance(authentication, dict):
        return config
    if any(value not in (None, "", []) for value in authentication.values()):
        return config
    return {key: value for key, value in config.items() if key != "authentication"}


def _camel(given: Json) -> Json:
    """Spell the keys in camelCase; JSON of the proto may have either spelling."""
    return {to_camel(key) if "_" in key else key: value for key, value in given.items()}
