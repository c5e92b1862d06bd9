"""The worker: it claims turns, runs them on one event loop, and renews their leases."""

import asyncio
import contextvars
import logging
import os
import re
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from functools import partial
from typing import Any
from uuid import UUID, uuid4

from asgiref.sync import sync_to_async
from django.db import close_old_connections

from a2a_app import broadcast, conf, database
from a2a_app.agents import registry
from a2a_app.runners.execute import Execution
from a2a_app.store import runs
from a2a_app.store.claims import Claim, WorkerSlot
from a2a_app.store.notify import stopped_run

# How long the closing of old connections is put off, so that it is done once for many runs.
PAUSE_SECONDS = 1.0


class ConnectionCloser:
    """Closes old database connections after runs, as Django does after each request.

    It does so once for all runs that end within a second. To close them after each run, in the
    thread that has them, would be a large part of the cost of a short run.
    """

    def __init__(self) -> None:
        self._due: asyncio.Task[None] | None = None

    def close_soon(self) -> None:
        """Close old connections within a second, because a run has ended."""
        if self._due is None:
            self._due = asyncio.create_task(self._close_later())

    async def close(self) -> None:
        """Close old connections now if that is due, but do not wait for a blocked thread."""
        due, self._due = self._due, None
        if due is not None:
            due.cancel()
            await asyncio.wait([asyncio.create_task(_close_connections())], timeout=PAUSE_SECONDS)

    async def _close_later(self) -> None:
        await asyncio.sleep(PAUSE_SECONDS)
        # Reset before, since a run that ends during the closing needs another one.
        self._due = None
        await _close_connections()


async def _close_connections() -> None:
    # asgiref's thread takes no more work where the process ends already, and with it they end.
    with suppress(RuntimeError):
        await sync_to_async(close_old_connections)()


logger = logging.getLogger(__name__)

# How many turns wait here for a slot. More of them wait only in the database.
MAX_WAITING = 1000
# The pause before leases are renewed again when the database was away.
RETRY_SECONDS = 1.0


class Worker:
    """Claims turns and runs them on one event loop, at most MAX_RUNS at once.

    A thread renews all leases in one statement, so that an agent which blocks the event loop does
    not lose its run.
    """

    def __init__(self) -> None:
        # The name of a host may have characters that the name of a group in Channels may not.
        host = re.sub(r"[^A-Za-z0-9-]", "-", socket.gethostname())[:40]
        self.name = f"{host}-{os.getpid()}-{uuid4().hex[:8]}"
        self._loop = asyncio.get_running_loop()
        self._executions: dict[UUID, Execution] = {}
        self._waiting: dict[UUID, None] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._connection_closer = ConnectionCloser()
        self._reserved = 0
        self._slot_released = asyncio.Event()
        self._listening = False
        self._heartbeat: threading.Thread | None = None
        self.is_closing = False
        """Whether the worker takes no more turns."""
        self._heartbeat_stopped = threading.Event()
        # Not the thread's own `join`, which would need one more thread that waits for it. Where the
        # process ends already, there are no new ones.
        self._heartbeat_ended = asyncio.Event()

    @property
    def free_slots(self) -> int:
        """How many more turns the worker can take now."""
        return conf.current().max_runs - len(self._tasks) - self._reserved

    @property
    def run_ids(self) -> list[UUID]:
        """The runs that the worker works on."""
        return list(self._executions)

    @contextmanager
    def reserve_slot(self) -> Iterator[WorkerSlot | None]:
        """Reserve a slot for a turn that is about to be stored as claimed; None if none is free."""
        if self.is_closing or self.free_slots <= 0:
            yield None
            return
        self._reserved += 1
        try:
            yield WorkerSlot(self.name, lease_time())
        finally:
            self._reserved -= 1
            self._slot_released.set()

    async def start_claimed(self, claim: Claim) -> None:
        """Start a turn that was stored as claimed for a reserved slot.

        Call it inside `reserve_slot`, so that a worker that closes meanwhile waits until the turn
        is put back.
        """
        if self.is_closing:
            await database.run(runs.put_back, claim)
        else:
            self._start_task(claim.head.task_id, claim)

    def start(self, task_id: UUID) -> None:
        """Start the task's next turn now, or once a slot is free. A second call does no harm."""
        if self.is_closing:
            return
        if self.free_slots > 0:
            self._start_task(task_id)
        elif len(self._waiting) < MAX_WAITING:
            self._waiting[task_id] = None

    async def work_on(self, task_id: UUID) -> None:
        """Run the task's turns until there are none, for a queue that limits its jobs itself.

        A caller that waits may be cancelled. The turns go on, and only `close` gives them up.
        """
        if not self.is_closing:
            await asyncio.wait([self._start_task(task_id)])

    def recover(self, task_id: UUID, missed: WorkerSlot) -> None:
        """Start the task's next turn, even if it is stored as claimed for a reserved slot.

        That is so if the connection broke after the commit, before the caller got the claim.

        Args:
            task_id: The task, which may or may not be stored.
            missed: The slot.
        """
        if not self.is_closing:
            self._start_task(task_id, missed=missed)

    def _start_task(
        self, task_id: UUID, claim: Claim | None = None, missed: WorkerSlot | None = None
    ) -> "asyncio.Task[None]":
        work = self._run_turns(task_id, claim, missed)
        # In a new context: that of the request would tie the agent to its thread and its user.
        task = self._loop.create_task(work, context=contextvars.Context())
        self._tasks.add(task)
        task.add_done_callback(self._finished)
        return task

    async def close(self) -> None:
        """Take no more turns, give those under way SHUTDOWN_SECONDS, and give up the others."""
        self.is_closing = True
        self._waiting.clear()
        while self._reserved:
            # A turn that is being stored as claimed must be put back before leases are ended below.
            self._slot_released.clear()
            await self._slot_released.wait()
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=conf.current().shutdown_seconds)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._listening:
            await broadcast.leave(broadcast.worker_group(self.name), self._receive)
        if self._heartbeat is not None:
            self._heartbeat_stopped.set()
            with suppress(TimeoutError):
                async with asyncio.timeout(RETRY_SECONDS):
                    await self._heartbeat_ended.wait()
            await self._end_leases()
        await self._connection_closer.close()

    async def _end_leases(self) -> None:
        # After the heartbeat has ended, since it would renew them.
        given_up = await database.run(runs.give_back, self.name)
        if given_up:
            logger.warning("%d turns are given up for another process.", given_up)

    def _finished(self, task: "asyncio.Task[None]") -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            # The lease runs out, and the next sweep finds the run.
            logger.error("A run was not brought to an end.", exc_info=error)
        if self._waiting and self.free_slots > 0:
            oldest = next(iter(self._waiting))
            del self._waiting[oldest]
            self.start(oldest)

    async def _run_turns(
        self, task_id: UUID, claim: Claim | None, missed: WorkerSlot | None
    ) -> None:
        """Run the task's turns, one after the other, until there are none."""
        await self._listen()
        while claim is not None or not self.is_closing:
            claim = claim or await self._claim(task_id, missed)
            if claim is None:
                return
            execution = self._executions[claim.run.id] = Execution(claim)
            self._start_heartbeat()
            try:
                await execution.perform()
            finally:
                del self._executions[claim.run.id]
                self._connection_closer.close_soon()
            # It keeps the slot until then, or there might be any number of such threads.
            await execution.thread_ended()
            if not execution.has_next_turn:
                return
            claim = missed = None

    async def _claim(self, task_id: UUID, missed: WorkerSlot | None) -> Claim | None:
        """Claim the task's next turn, which an earlier try whose answer was lost may have claimed.

        Returns:
            The claim. None: there is no turn, or the database was away for a lease. Then the sweep
            finds the turn.
        """
        slots = [] if missed is None else [missed]

        def claim(**_: bool) -> Claim | None:
            earlier = tuple(slots)
            slots.append(WorkerSlot(self.name, lease_time()))
            return runs.claim(task_id, slots[-1], agents=registry.slugs(), earlier=earlier)

        try:
            return await database.run_until_answered(claim, give_up=lambda: self.is_closing)
        except database.AwayError:  # which is logged
            return None

    async def _listen(self) -> None:
        if not self._listening:
            self._listening = True
            await broadcast.listen(broadcast.worker_group(self.name), self._receive)

    def _receive(self, message: dict[str, Any]) -> None:
        self._stop(stopped_run(message))

    def _stop(self, run_id: UUID) -> None:
        execution = self._executions.get(run_id)
        if execution is not None and not execution.is_over:
            logger.info("Run %s is stopped: its task is another's, or has ended.", run_id)
            execution.stop()

    def _stop_lost(self, run_id: UUID) -> None:
        """Stop a run whose lease could not be renewed, unless it is writing, which may be its end.

        If it is not its end, the write is refused, or the next renewal calls this again.
        """
        execution = self._executions.get(run_id)
        if execution is not None and not execution.is_writing:
            self._stop(run_id)

    def _start_heartbeat(self) -> None:
        if self._heartbeat is None:
            self._heartbeat = threading.Thread(
                target=self._renew_for_ever, name="a2a-heartbeat", daemon=True
            )
            self._heartbeat.start()

    def _renew_for_ever(self) -> None:
        """Renew the leases of all runs three times in a lease, and stop the runs that are lost."""
        usual = pause = lease_time().total_seconds() / 3
        while not self._heartbeat_stopped.wait(pause) and not self._loop.is_closed():
            # One renewal that fails loses no lease yet. The next one comes soon.
            pause = usual if self._renew(self.run_ids) else min(usual, RETRY_SECONDS)
        database.close_connection()
        with suppress(RuntimeError):  # on a closed loop nobody waits for it
            self._loop.call_soon_threadsafe(self._heartbeat_ended.set)

    def _renew(self, run_ids: list[UUID]) -> bool:
        """Renew the leases of runs; return False if the database could not be asked."""
        if not run_ids:
            database.close_connection()
            return True
        try:
            renew = partial(runs.renew, self.name, run_ids, lease=lease_time())
            lost = database.run_here(renew, seconds=lease_time().total_seconds() / 3)
        except database.AwayError:  # which is logged
            return False
        except Exception:  # the thread must go on
            logger.warning("Could not renew the leases of %d runs.", len(run_ids), exc_info=True)
            return False
        # On a loop that is closed there are no runs to stop.
        with suppress(RuntimeError):
            for run_id in lost:
                self._loop.call_soon_threadsafe(self._stop_lost, run_id)
        return True


def lease_time() -> timedelta:
    """Return the time for which a run belongs to a worker that does not renew its lease."""
    return timedelta(seconds=conf.current().lease_seconds)
