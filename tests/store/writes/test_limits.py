"""Limits: places of turns, and bytes of an owner, in the transaction that stores a message."""

from datetime import timedelta
from functools import partial
from typing import Any

import pytest
from django.utils import timezone

from a2a_app import models
from a2a_app.database import atomic
from a2a_app.models.owners import Scope
from a2a_app.protocol import (
    ResourceExhaustedError,
    Role,
    StorageExhaustedError,
    TaskPushNotificationConfig,
)
from a2a_app.store import runs
from a2a_app.store.claims import WorkerSlot
from a2a_app.store.prune import Age
from a2a_app.store.quota import stored_by, usage_of
from a2a_app.store.removal import remove_contexts, remove_tasks
from a2a_app.store.updates import MessageReceived, Returned, TurnLimits, Webhook
from a2a_app.store.webhooks import put_webhook
from a2a_app.store.writes import limits
from a2a_app.store.writes.append import append
from a2a_app.store.writes.contexts import record
from tests.conftest import ChangeSettings
from tests.tasks import LEASE, SCOPE, begin, chunk, claim_of, new_message

pytestmark = pytest.mark.usefixtures("runtime")

OTHER = Scope(SCOPE.agent, "name:other")
HELD = WorkerSlot("one", LEASE)


def received(text: str = "hello", **most: Any) -> MessageReceived:
    return MessageReceived(new_message(text), limits=TurnLimits(**most))


def test_a_message_too_many_is_refused_until_a_turn_that_waits_is_begun() -> None:
    heads = [begin(received=received(waiting=3)).head for _ in range(3)]
    with pytest.raises(ResourceExhaustedError) as refused:
        begin(received=received(waiting=3))
    assert refused.value.limit == "WAITING_TURNS_PER_OWNER"
    assert models.Task.objects.count() == 3
    begin(received=received(waiting=3), scope=OTHER)
    assert claim_of(heads[0].task_id) is not None
    begin(received=received(waiting=3))


def test_a_turn_too_many_waits_until_one_that_is_worked_on_is_over() -> None:
    begun = [begin(received=received(running=2), worker_slot=HELD) for _ in range(3)]
    assert [appended.claim is not None for appended in begun] == [True, True, False]
    take = partial(
        runs.claim, begun[2].head.task_id, HELD, agents=[SCOPE.agent], most_of=lambda agent: 2
    )
    assert take() is None
    claim = begun[0].claim
    assert claim is not None
    append(claim.head, [Returned()], run=claim.run)
    assert take() is not None


@pytest.mark.parametrize("end", ["put back", "lost"])
def test_a_turn_that_nobody_works_on_any_more_has_no_place(end: str) -> None:
    claim = begin(received=received(running=1), worker_slot=HELD).claim
    assert claim is not None
    if end == "put back":
        runs.put_back(claim)
    else:
        models.Run.objects.update(lease_until=timezone.now() - timedelta(hours=1))
        [lost] = runs.lost(limit=10)
        assert runs.retry(lost)
    assert begin(received=received(running=1), worker_slot=HELD).claim is not None


def test_agents_with_numbers_of_their_own_count_apart() -> None:
    def named(queue: str) -> MessageReceived:
        return MessageReceived(new_message(), limits=TurnLimits(waiting=1, queue=queue))

    begin(received=named(""))
    begin(received=named("careful"))
    with pytest.raises(ResourceExhaustedError):
        begin(received=named("careful"))


def test_what_is_stored_counts_until_it_is_deleted(a2a: ChangeSettings) -> None:
    claim = begin("x" * 1000, worker_slot=HELD).claim
    assert claim is not None
    append(claim.head, [chunk("y" * 2000, append=False, last=True), Returned()], run=claim.run)
    record(SCOPE, "answered", new_message("z" * 500), new_message("yes", Role.AGENT))
    [(counted, stored)] = models.Task.objects.values_list("counted", "stored")
    [answered] = models.Context.objects.filter(tasks=None).values_list("stored", flat=True)
    assert stored == counted > 3000 and answered > 500
    assert stored_by([SCOPE.owner]) == {SCOPE.owner: stored + answered}
    remove_tasks(models.Task.objects.all())
    assert usage_of(SCOPE.owner).stored == answered
    remove_contexts(Age(timezone.now() + timedelta(days=1)).contexts())
    assert usage_of(SCOPE.owner).stored == 0


def test_an_owner_with_too_much_stored_sends_no_more_until_some_is_deleted(
    a2a: ChangeSettings,
) -> None:
    a2a(STORED_BYTES_PER_OWNER=4000)
    task = begin("x" * 1000).head.task_id
    kept = begin("x" * 1000).head
    for send in (
        lambda: begin("x" * 1000),
        lambda: append(kept, [received("x" * 1000)]),
        lambda: record(SCOPE, "new", new_message("x" * 1000), new_message("yes", Role.AGENT)),
    ):
        before = models.Message.objects.count(), usage_of(SCOPE.owner)
        with pytest.raises(StorageExhaustedError) as refused:
            send()
        assert refused.value.limit == "STORED_BYTES_PER_OWNER"
        assert (models.Message.objects.count(), usage_of(SCOPE.owner)) == before
    begin("x" * 1000, scope=OTHER)
    remove_tasks(models.Task.objects.filter(pk=task))
    append(kept, [received("x" * 500)])


def test_what_an_agent_says_counts_and_is_never_refused(a2a: ChangeSettings) -> None:
    a2a(STORED_BYTES_PER_OWNER=3000)
    claim = begin(worker_slot=HELD).claim
    assert claim is not None
    head = append(claim.head, [chunk("y" * 5000, append=False)], run=claim.run).head
    begin()  # a turn under way is counted when it is over
    append(head, [Returned()], run=claim.run)
    with pytest.raises(StorageExhaustedError):
        begin()


def test_messages_of_an_owner_who_has_nothing_stored_are_stored_one_after_the_other() -> None:
    with atomic():
        limits.wait_for_others("name:new")
        # This is what the others wait for.
        assert models.StoredBytes.objects.filter(owner="name:new", stored=0).exists()


def test_webhooks_of_turns_under_way_count_like_those_that_wait(a2a: ChangeSettings) -> None:
    a2a(PUSH_BACKLOG_PER_OWNER=2)
    hook = Webhook(TaskPushNotificationConfig(id="hook", url="https://example.com/"), "example.com")
    pushed = MessageReceived(new_message(), webhook=hook)
    claim = begin(received=pushed, worker_slot=HELD).claim
    assert claim is not None
    begin(received=pushed)
    begin(received=pushed, scope=OTHER)
    with pytest.raises(ResourceExhaustedError) as refused:
        begin(received=pushed)
    assert refused.value.limit == "PUSH_BACKLOG_PER_OWNER"
    # One that takes the place of another is not one more.
    put_webhook(claim.head.task_id, hook, owner=SCOPE.owner, after=claim.head.seq)
    append(claim.head, [Returned()], run=claim.run)
    models.PushNotificationConfig.objects.update(due_at=None)
    begin(received=pushed)
    with pytest.raises(ResourceExhaustedError):
        begin(received=pushed)


def test_far_below_the_limit_nobody_waits_for_anybody(
    a2a: ChangeSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(owner: str) -> None:
        raise AssertionError("Others were waited for.")

    monkeypatch.setattr(limits, "wait_for_others", refuse)
    head = begin("x" * 1000).head
    append(head, [received()])
