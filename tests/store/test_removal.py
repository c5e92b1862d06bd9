"""Removal: what is deleted is no longer counted, and what comes meanwhile begins anew."""

from typing import Any
from uuid import UUID

import pytest

from a2a_app import models
from a2a_app.models.owners import Scope
from a2a_app.protocol import Role
from a2a_app.store.quota import stored_by
from a2a_app.store.removal import remove_contexts
from a2a_app.store.task_head import new_task_head
from a2a_app.store.updates import MessageReceived
from a2a_app.store.writes import contexts
from a2a_app.store.writes.append import append
from a2a_app.store.writes.contexts import open_context, record
from tests.tasks import SCOPE, begin, new_message

pytestmark = pytest.mark.usefixtures("runtime")


@pytest.mark.parametrize("model", [models.Task, models.WaitingTask, models.Context])
def test_what_plain_django_deletes_is_no_longer_counted_as_stored(model: Any) -> None:
    kept = begin().head.task_id
    stored = stored_by([SCOPE.owner])[SCOPE.owner]
    gone = begin().head.task_id
    record(SCOPE, "answers", new_message(), new_message("yes", Role.AGENT))
    rows = models.Context.objects.exclude(tasks=kept)
    if model is not models.Context:
        rows = model.objects.filter(pk=gone).only("pk")
        stored += models.Context.objects.get(context_id="answers").stored
    if model is models.WaitingTask:
        models.Task.objects.filter(pk=gone).update(state="TASK_STATE_INPUT_REQUIRED")
    assert rows.delete()[0]
    assert stored_by([SCOPE.owner]) == {SCOPE.owner: stored}


def test_a_message_for_a_conversation_that_is_deleted_meanwhile_begins_it_anew() -> None:
    key = open_context(SCOPE, "quiet")
    head = new_task_head(agent=SCOPE.agent, owner=SCOPE.owner, context_id="quiet", context_key=key)
    assert remove_contexts(models.Context.objects.filter(pk=key)) == 1
    late = append(head, [MessageReceived(new_message("late"))]).head
    context = models.Context.objects.get()
    assert (context.context_id, late.context_key) == ("quiet", context.pk)
    assert context.tasks.get().pk == late.task_id


def test_so_does_an_answer_without_a_task(monkeypatch: pytest.MonkeyPatch) -> None:
    def open_and_delete(scope: Scope, context_id: str) -> UUID:
        key = open_context(scope, context_id)
        if not deleted:
            deleted.append(remove_contexts(models.Context.objects.filter(pk=key)))
        return key

    deleted: list[int] = []
    monkeypatch.setattr(contexts, "open_context", open_and_delete)
    record(SCOPE, "quiet", new_message(), new_message("yes", Role.AGENT))
    context = models.Context.objects.get()
    assert deleted == [1] and context.stored > 0
    assert context.messages.count() == 2
