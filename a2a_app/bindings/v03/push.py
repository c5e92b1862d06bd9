"""The format for webhooks of 0.3, which get the task as it is (section 9.5 of 0.3)."""

from collections.abc import Sequence
from typing import Any

from pydantic_core import from_json, to_json

from a2a_app import protocol
from a2a_app.bindings.v03.dialect import Dialect03
from a2a_app.bindings.v03.results import Schema
from a2a_app.operations.generations import URI
from a2a_app.push.payloads import (
    PAYLOADS,
    Notification,
    Payload,
    rewritten,
    snapshots,
    whole_tasks,
)


def _write(task: dict[str, Any]) -> str:
    return to_json(Schema().task(task)).decode()


async def _numbered(notifications: Sequence[Notification]) -> list[str]:
    bodies = []
    for each in notifications:
        task = from_json(each.body)
        task.setdefault("metadata", {})[URI] = {"generation": each.seq}
        bodies.append(to_json(task).decode())
    return bodies


# Registered on import, so that a worker, which serves no URL, can deliver them too.
_snapshot = snapshots(_write, media_type="application/json")
PAYLOADS[protocol.VERSION_03] = task_now = Payload(whole_tasks(_snapshot), _snapshot)
PAYLOADS[Dialect03.numbered_push_payload] = rewritten(task_now, _numbered)
