"""The deliverer: sends events that are due to their webhooks, whichever process wrote them."""

import asyncio
import logging
import random
from contextlib import suppress
from datetime import timedelta
from typing import Any
from uuid import UUID

from a2a_app import broadcast, conf, database, logs, models, signals, telemetry
from a2a_app.concurrency.shares import Shares
from a2a_app.models import owners
from a2a_app.push.payloads import PAYLOADS, NoMemoryError, rooms
from a2a_app.push.sender import NotDeliveredError, Sender
from a2a_app.store import deliveries
from a2a_app.store.deliveries import HOST_LIMIT, Claimed, Delivery, Room
from a2a_app.sweeper import Sweeper

logger = logging.getLogger(__name__)

# The least pause between two searches for due events, however many messages come.
PAUSE_SECONDS = 0.05
# The longest pause after a failure.
LONGEST_PAUSE = timedelta(minutes=5)
# A worker's lease on a configuration is longer by this than the time that one request may take.
LEASE_MARGIN = timedelta(seconds=15)
# How often a delivery of many events asks whether their owner is still there.
OWNER_SECONDS = 1.0
GONE = "Its owner is not active any more."


class OwnerGoneError(Exception):
    """The owner of a webhook is not active any more, and gets nothing."""


class Deliverer(Sweeper):
    """Delivers on one event loop. Any number of processes may deliver, but one webhook only one."""

    group = broadcast.PUSH_GROUP
    least_pause_seconds = PAUSE_SECONDS

    def __init__(self, worker: str) -> None:
        """Make a deliverer with the name of a worker."""
        super().__init__()
        self._worker = worker
        self._deliveries: dict[UUID, asyncio.Task[None]] = {}
        # Of which no look has heard yet.
        self._claiming: asyncio.Task[Claimed] | None = None
        self._room = Room(Shares(conf.current().push_concurrency))
        # The queue after which the next search in turn begins.
        self._after = -1

    async def close(self) -> None:
        """Stop, and let other processes at once deliver what is left."""
        under_way: list[asyncio.Task[Any]] = list(self._deliveries.values())
        for task in under_way:
            task.cancel()
        if self._claiming is not None:
            under_way.append(self._claiming)
        await asyncio.gather(*under_way, return_exceptions=True)
        if under_way:
            with suppress(database.AwayError):  # The leases run out.
                await database.run(deliveries.release, self._worker)

    async def look(self) -> None:
        """Begin the deliveries that are due, as many as there is room for."""
        while (free := self._room.resize(conf.current().push_concurrency)) > 0:
            claimed = await self._claim(min(free, HOST_LIMIT))
            self._after = claimed.after
            for delivery in claimed.deliveries:
                self._start(delivery)
            if not claimed.deliveries:
                if claimed.has_more_to_see:
                    self.ring()
                return

    async def _claim(self, limit: int) -> Claimed:
        """Claim what is due. If the caller is cancelled meanwhile, `close` releases it."""
        work = database.run(
            deliveries.claim_due,
            self._worker,
            limit=limit,
            lease=delivery_lease(),
            room=self._room.copy(),
            after=self._after,
            under_way=frozenset(self._deliveries),
        )
        self._claiming = asyncio.create_task(work)
        claimed = await asyncio.shield(self._claiming)
        self._claiming = None
        return claimed

    def report(self) -> None:
        """Log that a look failed."""
        logger.warning("Could not look for notifications that are due.", exc_info=True)

    def _start(self, delivery: Delivery) -> None:
        self._room.take(delivery.queue, delivery.host)
        task = asyncio.create_task(self._deliver(delivery))
        self._deliveries[delivery.id] = task
        task.add_done_callback(lambda _: self._finished(delivery))

    def _finished(self, delivery: Delivery) -> None:
        self._deliveries.pop(delivery.id, None)
        self._room.give_back(delivery.queue, delivery.host)
        self.ring()

    async def _deliver(self, delivery: Delivery) -> None:
        owner = delivery.scope.owner
        about = logs.Subject(str(delivery.task_id), "", delivery.scope.agent, owner)
        logs.subject.set(about._replace(tenant=owners.tenant_of(owner)))
        try:
            await self._try(delivery)
        except database.AwayError:
            pass  # The lease runs out, and another process tries.
        except Exception:  # the other deliveries must go on
            logger.exception("Webhook %s of task %s failed.", delivery.id, delivery.task_id)

    async def _try(self, delivery: Delivery) -> None:
        """Send all that is due, and record a failure."""
        try:
            await _check_owner(delivery)
            async with Sender(delivery) as sender:
                await self._send_all(delivery, sender)
        except (NotDeliveredError, NoMemoryError) as failure:
            await self._postpone(delivery, str(failure))
        except OwnerGoneError:
            if await database.run(deliveries.give_up, delivery, GONE):
                await _report_given_up(delivery, GONE)
        except database.AwayError:
            raise
        except Exception as error:
            logger.exception("Webhook %s of task %s failed.", delivery.id, delivery.task_id)
            # As any failure it counts, so that it is given up one day.
            await self._postpone(delivery, f"Internal error: {type(error).__name__}.")

    async def _send_all(self, delivery: Delivery, sender: Sender) -> None:
        """Send all events after the last delivered one, in order, until there are none."""
        seq = delivery.delivered
        now = asyncio.get_running_loop().time
        asked = now()
        traced = telemetry.active is not None
        trace = await database.read(deliveries.trace_of, delivery.task_id) if traced else {}
        payload = PAYLOADS[delivery.payload]
        make = payload.snapshot if delivery.begins_with_task else payload.later
        while True:
            with rooms() as held:
                batch = await make(delivery, seq, held)
                make = payload.later
                for notification in batch.notifications:
                    if now() >= asked + OWNER_SECONDS:
                        await _check_owner(delivery)
                        asked = now()
                    if telemetry.active is None:
                        await sender.send(notification)
                    else:
                        with telemetry.active.notification(delivery.host, trace):
                            await sender.send(notification)
                    # Recorded one by one, so that after a crash at most one is sent a second time.
                    if not await self._advance(delivery, notification.seq):
                        return
            if batch.seq > seq:
                seq = batch.seq
            elif await database.run(deliveries.settle, delivery, seq):
                return

    @staticmethod
    async def _advance(delivery: Delivery, seq: int) -> bool:
        return await database.run(deliveries.advance, delivery, seq, lease=delivery_lease())

    async def _postpone(self, delivery: Delivery, error: str) -> None:
        current = conf.current()
        longest = min(
            LONGEST_PAUSE.total_seconds(),
            current.push_retry_seconds * 2 ** min(delivery.failures, 30),
        )
        # Random, so that a receiver that is back does not get all deliveries at the same moment.
        pause = timedelta(seconds=longest * random.uniform(0.5, 1))  # noqa: S311  # no secret
        patience = timedelta(seconds=current.push_patience_seconds)
        try:
            given_up = await database.run(
                deliveries.postpone, delivery, error, pause=pause, patience=patience
            )
        except database.AwayError:
            return  # As in `_deliver`.
        if given_up:
            await _report_given_up(delivery, error)
        else:
            _log_failure(delivery, f"is tried again in {pause.total_seconds():.1f} s", error)
            asyncio.get_running_loop().call_later(pause.total_seconds(), self.ring)


def _log_failure(delivery: Delivery, after: str, error: str) -> None:
    logger.warning("Webhook %s of task %s %s: %s", delivery.id, delivery.task_id, after, error)


async def _report_given_up(delivery: Delivery, reason: str) -> None:
    _log_failure(delivery, "is given up", reason)
    if not signals.webhook_given_up.receivers:
        return
    agent, owner = delivery.scope.agent, delivery.scope.owner
    arguments = {
        "webhook_id": delivery.id,
        "task_id": delivery.task_id,
        "agent": agent,
        "owner": owner,
        "tenant": owners.tenant_of(owner),
        "url": delivery.url,
        "reason": reason,
    }
    sends = [(signals.webhook_given_up, arguments)]
    await signals.wait_for_receivers(signals.begin_sending(models.PushNotificationConfig, sends))


async def send_test(webhook_id: UUID) -> None:
    """Send the task of a webhook as it is now, once, beside all that is delivered to it.

    Raises:
        NotDeliveredError: The webhook did not accept it, or must not be sent to.
    """
    delivery = await database.read(deliveries.delivery_to, webhook_id)
    if delivery is None:
        raise NotDeliveredError("There is no such webhook any more.")
    try:
        await _check_owner(delivery)
    except OwnerGoneError:
        raise NotDeliveredError(GONE) from None
    with rooms() as held:
        try:
            batch = await PAYLOADS[delivery.payload].snapshot(delivery, 0, held)
        except NoMemoryError as error:
            raise NotDeliveredError(str(error)) from None
        async with Sender(delivery) as sender:
            await sender.send(batch.notifications[0])


async def _check_owner(delivery: Delivery) -> None:
    """Raise OwnerGoneError unless the owner of a webhook is still active."""
    if not await database.read(owners.is_active, delivery.scope.owner):
        raise OwnerGoneError


def delivery_lease() -> timedelta:
    """Return the time for which a configuration belongs to the worker that delivers to it."""
    return timedelta(seconds=conf.current().push_timeout_seconds) + LEASE_MARGIN
