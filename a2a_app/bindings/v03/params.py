"""What 0.3 takes, as 1.0 writes it. Fields of both spellings, and of the proto too, are read.

What has the wrong type is passed on under its new name: the models of 1.0 refuse it, and the
dialect gives the field its old name again.
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
    """Read MessageSendParams."""
    params = _camel(given)
    if "request" in params:
        params.setdefault("message", params.pop("request"))  # the proto's own name for it
    if isinstance(params.get("message"), dict):
        params["message"] = _message(_camel(params["message"]))
    if isinstance(params.get("configuration"), dict):
        params["configuration"] = _configuration(_camel(params["configuration"]))
    return params


def plain_send(given: Json) -> Json:
    """Read SendMessageRequest of the proto, in which what is not given is false or 0."""
    params = send(given)
    configuration = params.get("configuration")
    if isinstance(configuration, dict):
        configuration.setdefault("returnImmediately", True)
        if configuration.get("historyLength") == 0:  # "if 0, the history will be unlimited"
            del configuration["historyLength"]
    return params


def same(given: Json) -> Json:
    """Read TaskQueryParams, TaskIdParams and the like, which are as in 1.0."""
    return given


def create_push(given: Json) -> Json:
    """Read TaskPushNotificationConfig, as it is or as the proto's request wraps it.

    One without an id has its task's, so that who asks for a task's configuration finds it.
    """
    params = _camel(given)
    inner = params.get("config", params)
    inner = _camel(inner) if isinstance(inner, dict) else {}
    task = {"taskId": params["taskId"]} if "taskId" in params else {}
    config = inner.get("pushNotificationConfig")
    if not isinstance(config, dict):
        raise InvalidParamsError.of("pushNotificationConfig", "must be an object")
    named = {"id": params.get("configId") or params.get("taskId", "")}
    return {**named, **_push(config), **task}


def of_task(given: Json) -> Json:
    """Read the parameters that name a task by `id`, and a configuration by a longer name.

    Where no configuration is named, it is the one that was made without an id.
    """
    params = _camel(given)
    names = (("id", "taskId"), ("id", "id"), ("pushNotificationConfigId", "id"))
    return {new: params[old] for old, new in names if params.get(old) is not None}


def _message(message: Json) -> Json:
    role = message.get("role")
    if isinstance(role, str):
        message["role"] = _ROLES.get(role, role)
    # The proto's name; it calls only the parts of an artifact parts.
    name = "parts" if "parts" in message else "content"
    parts = message.pop(name, None)
    if isinstance(parts, list) and len(parts) <= MAX_ITEMS:
        by_kind = name == "parts"
        parts = [_part(part, f"message.{name}[{n}]", by_kind) for n, part in enumerate(parts)]
    if parts is not None:
        message["parts"] = parts
    return message


def _part(part: Any, path: str, by_kind: bool) -> Any:
    if not isinstance(part, dict):
        raise InvalidParamsError.of(path, "must be an object")
    given = {key: value for key, value in part.items() if value is not None}
    contents = [key for key in ("text", "file", "data") if key in given]
    if len(contents) != 1:
        found = " and ".join(contents) or "none of them"
        problem = f"must have exactly one of text, file and data; it has {found}"
        raise InvalidParamsError.of(path, problem)
    [kind] = contents
    content = given[kind]
    if kind == "file":
        lifted = _file(content, f"{path}.file")
    elif kind == "data":
        lifted = {"data": _data(content, f"{path}.data", by_kind)}
    else:
        lifted = {"text": content}
    return {**lifted, **({"metadata": given["metadata"]} if "metadata" in given else {})}


def _file(file: Any, path: str) -> Json:
    if not isinstance(file, dict):
        raise InvalidParamsError.of(path, "must be an object")
    lifted = {
        _FILE[key]: value
        for key, value in _camel(file).items()
        if key in _FILE and value is not None
    }
    if ("raw" in lifted) == ("url" in lifted):
        raise InvalidParamsError.of(path, "must have exactly one of bytes and uri")
    return lifted


def _data(data: Any, path: str, by_kind: bool) -> Any:
    if isinstance(data, dict) and not by_kind:
        data, path = data.get("data", {}), f"{path}.data"  # a DataPart of the proto
    if not isinstance(data, dict):
        raise InvalidParamsError.of(path, "must be an object")
    return data


def _configuration(given: Json) -> Json:
    same = ("acceptedOutputModes", "historyLength")
    configuration = {key: given[key] for key in same if key in given}
    blocking = given.get("blocking")
    if blocking is not None:
        flag = not blocking if isinstance(blocking, bool) else blocking
        configuration["returnImmediately"] = flag
    push = given.get("pushNotificationConfig", given.get("pushNotification"))
    if push is not None:
        lifted = _push(push) if isinstance(push, dict) else push
        configuration["taskPushNotificationConfig"] = lifted
    return configuration


def _push(config: Json) -> Json:
    config = _camel(config)
    authentication = config.get("authentication")
    if isinstance(authentication, dict):
        # Of several schemes the first: 1.0 has one.
        schemes = authentication.get("schemes")
        scheme = schemes[0] if isinstance(schemes, list) and schemes else schemes or None
        config["authentication"] = {**authentication, "scheme": scheme}
    return config


def _camel(given: Json) -> Json:
    """Spell the keys as JSON does; both spellings of the proto's fields are allowed."""
    return {to_camel(key) if "_" in key else key: value for key, value in given.items()}
