"""The format for webhooks of 0.3, which get the task as it is (section 9.5 of 0.3)."""

from typing import Any

from pydantic_core import to_json

from a2a_app import protocol
from a2a_app.bindings.v03.results import Schema
from a2a_app.push.payloads import PAYLOADS, Payload, snapshots, whole_tasks


def _write(task: dict[str, Any]) -> str:
    return to_json(Schema().task(task)).decode()


# Registered on import, so that a worker, which serves no URL, can deliver them too.
_snapshot = snapshots(_write, media_type="application/json")
PAYLOADS[protocol.VERSION_03] = task_now = Payload(whole_tasks(_snapshot), _snapshot)
