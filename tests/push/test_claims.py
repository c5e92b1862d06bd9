"""Claims of webhooks: what happens between the look at one and its claim."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest

from a2a_app.concurrency.shares import Shares
from a2a_app.protocol import TaskPushNotificationConfig
from a2a_app.store.deliveries import Delivery, Room, advance, claim_due, settle
from a2a_app.store.updates import Webhook
from a2a_app.store.webhooks import announce, put_webhook
from tests.tasks import begin

pytestmark = pytest.mark.django_db

LEASE = timedelta(seconds=30)


class BusyRoom(Room):
    """The room of a search in which something happens after its look, and before its claim."""

    def __init__(self, happens: Callable[[], None]) -> None:
        super().__init__(Shares(10))
        self._happens = [happens]

    def is_for(self, queue: int, host: str) -> bool:
        while self._happens:
            self._happens.pop()()
        return super().is_for(queue, host)


def claimed(worker: str, room: Room, **more: Any) -> list[Delivery]:
    return claim_due(worker, limit=10, lease=LEASE, room=room, after=-1, **more).deliveries


def put(task_id: UUID, url: str, *, after: int) -> None:
    config = TaskPushNotificationConfig(id="one", url=url)
    put_webhook(task_id, Webhook(config, "example.com"), owner="", after=after)


def delivered_by_another(task_id: UUID) -> None:
    [delivery] = claimed("another", Room(Shares(10)))
    assert advance(delivery, 1, lease=LEASE) and settle(delivery, 1)


def replaced(task_id: UUID) -> None:
    put(task_id, "https://example.com/new", after=1)


@pytest.mark.parametrize("happens", [delivered_by_another, replaced])
def test_what_has_changed_since_the_look_is_delivered_as_it_is_now(
    happens: Callable[[UUID], None],
) -> None:
    task_id = begin().head.task_id
    put(task_id, "https://example.com/old", after=0)
    announce(task_id, 1)

    def change() -> None:
        happens(task_id)
        announce(task_id, 2)

    assert claimed("one", BusyRoom(change)) == []
    [delivery] = claimed("one", Room(Shares(10)))
    assert delivery.delivered == 1
    assert delivery.url.endswith("new" if happens is replaced else "old")


def test_a_replaced_webhook_is_claimed_once_its_worker_has_ended_what_it_sends_to_the_old_one() -> (
    None
):
    task_id = begin().head.task_id
    put(task_id, "https://example.com/old", after=0)
    announce(task_id, 1)
    [old] = claimed("one", Room(Shares(10)))
    replaced(task_id)
    announce(task_id, 2)
    assert claimed("one", Room(Shares(10)), under_way={old.id}) == []
    assert not advance(old, 1, lease=LEASE)
    [new] = claimed("one", Room(Shares(10)))
    assert new.url.endswith("new") and new.delivered == 1
    assert advance(new, 2, lease=LEASE) and settle(new, 2)
