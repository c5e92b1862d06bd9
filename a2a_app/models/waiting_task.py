"""WaitingTask: the tasks that wait for somebody, which the admin lists apart."""

from typing import ClassVar

from django.db import models

from a2a_app.database.statements import Literal
from a2a_app.models.task import Task
from a2a_app.protocol.states import INTERRUPTED_STATES


class WaitingTasks(models.Manager["WaitingTask"]):
    """Finds the tasks that wait for somebody."""

    def get_queryset(self) -> "models.QuerySet[WaitingTask]":
        """Return those tasks, in a query that their index has the rows for."""
        states = [Literal(value) for value in sorted(INTERRUPTED_STATES)]
        return super().get_queryset().filter(state__in=states)


class WaitingTask(Task):
    """A task that waits for its client, for staff, or for a decision."""

    objects: ClassVar[WaitingTasks] = WaitingTasks()

    class Meta:
        proxy = True
        default_permissions = ()
        verbose_name = "waiting task"

    def __str__(self) -> str:
        return str(self.pk)
