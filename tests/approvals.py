"""Questions of the tests: what a task asks, who may decide it, and what signals tell of it."""

import asyncio
from typing import Any

from django.contrib.auth.models import Permission, User
from django.contrib.contenttypes.models import ContentType
from django.dispatch import Signal

from a2a_app import models, signals
from a2a_app.protocol import Message, Part, Role, Task
from tests.clients.operations import OperationsClient

SECONDS = 20
PERMISSION = "auth.delete_group"


def said(task: Task) -> str:
    assert task.status.message is not None
    return task.status.message.text


def question(task: Task) -> dict[str, Any]:
    assert task.status.message is not None
    data = task.status.message.parts[1].data
    assert isinstance(data, dict)
    return data


def answer(task: Task, *parts: Part) -> Message:
    return Message(message_id="m", role=Role.USER, task_id=task.id, parts=list(parts))


def of_staff(name: str = "ann", *, permitted: bool = True) -> User:
    user = User.objects.create(username=name, is_staff=True)
    if permitted:
        _, _, codename = PERMISSION.partition(".")
        kind = ContentType.objects.get(app_label="auth", model="group")
        user.user_permissions.add(Permission.objects.get(content_type=kind, codename=codename))
    return user


def approvals() -> list[models.Approval]:
    return list(models.Approval.objects.order_by("pk"))


class Heard:
    """What was told by signals, of each kind in order."""

    def __init__(self) -> None:
        heard = (signals.approval_requested, signals.approval_decided, signals.task_ended)
        self.by_signal = {signal: asyncio.Queue[dict[str, Any]]() for signal in heard}

    async def hear(self, sender: type, signal: Signal, **arguments: Any) -> None:
        self.by_signal[signal].put_nowait(arguments)

    async def next(self, signal: Signal) -> dict[str, Any]:
        """Wait for the next of a kind, and return its arguments."""
        return await asyncio.wait_for(self.by_signal[signal].get(), SECONDS)

    async def ended(self, client: OperationsClient, task: Task) -> Task:
        """Wait until a task has ended, and return it."""
        await self.next(signals.task_ended)
        return await client.get(task.id)
