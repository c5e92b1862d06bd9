"""The names of resources, by which the proto of 0.3 names tasks and push configurations."""

import re
from typing import Any, TypeAlias

from a2a_app.protocol import InvalidParamsError

Json: TypeAlias = dict[str, Any]

# The proto has `task/…` in one place, and a parent that is the collection in another.
_TASK = re.compile(r"tasks?/([^/]+)")
_PARENT = re.compile(r"tasks?/([^/]+)(?:/pushNotificationConfigs)?")
_CONFIG = re.compile(r"tasks?/([^/]+)/pushNotificationConfigs/([^/]+)")


def task_named(given: Json) -> Json:
    """Replace the name of a task by its id; raise InvalidParamsError where it is no name."""
    [task_id] = _ids(given, "name", _TASK, "tasks/{id}")
    return {**_without(given, "name"), "id": task_id}


def parent_named(given: Json) -> Json:
    """Replace the name of the task that has the push configurations by its id.

    Raises:
        InvalidParamsError: It is no name.
    """
    [task_id] = _ids(given, "parent", _PARENT, "tasks/{id}")
    return {**_without(given, "parent"), "taskId": task_id}


def config_named(given: Json) -> Json:
    """Replace the name of a push configuration by its id and that of its task.

    Raises:
        InvalidParamsError: It is no name.
    """
    task_id, config_id = _ids(given, "name", _CONFIG, "tasks/{id}/pushNotificationConfigs/{id}")
    return {**_without(given, "name"), "taskId": task_id, "id": config_id}


def _ids(given: Json, key: str, pattern: re.Pattern[str], form: str) -> tuple[str, ...]:
    found = pattern.fullmatch(given.get(key, ""))
    if found is None:
        raise InvalidParamsError.of(key, f"must be {form}")
    return found.groups()


def _without(given: Json, key: str) -> Json:
    return {name: value for name, value in given.items() if name != key}
