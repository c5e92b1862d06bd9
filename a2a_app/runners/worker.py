"""The worker: the turns this process works on, each under a lease that it keeps."""

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

PAUSE_SECONDS = 1.0


class ConnectionCloser:
    """Does for an event loop's runs what a request's end does for a view.

    Once for all runs that end within a second: to ask the thread in which such queries run is a
    good part of what a short run costs.
    """

    def __init__(self) -> None:
        self._due: asyncio.Task[None] | None = None

    def tidy_soon(self) -> None:
        """Close old connections, now that a run has ended."""
        if self._due is None:
            self._due = asyncio.create_task(self._tidy_later())

    async def close(self) -> None:
        """Do now what is due, unless that thread is kept by something that does not end."""
        due, self._due = self._due, None
        if due is not None:
            due.cancel()
            await asyncio.wait([asyncio.create_task(_tidy())], timeout=PAUSE_SECONDS)

    async def _tidy_later(self) -> None:
        await asyncio.sleep(PAUSE_SECONDS)
        # Before it is done: a run that ends meanwhile may come too late for it.
        self._due = None
        await _tidy()


async def _tidy() -> None:
    await sync_to_async(close_old_connections)()


logger = logging.getLogger(__name__)

# Turns that wait here for a place; more of them wait in the database only.
WAITING = 1000
# How soon leases are renewed again when the database was away.
RETRY_SECONDS = 1.0


class Worker:
    """Claims turns and works on them, as many at once as MAX_RUNS allows, on one event loop.

    The leases are renewed by a thread, all in one statement, so that an agent which keeps the event
    loop busy does not lose what it works on.
    """

    def __init__(self) -> None:
        # A host may be called what a group of Channels may not.
        host = re.sub(r"[^A-Za-z0-9-]", "-", socket.gethostname())[:40]
        self.name = f"{host}-{os.getpid()}-{uuid4().hex[:8]}"
        self._loop = asyncio.get_running_loop()
        self._executions: dict[UUID, Execution] = {}
        self._waiting: dict[UUID, None] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._tidier = ConnectionCloser()
        self._kept = 0
        self._place_left = asyncio.Event()
        self._listening = False
        self._heartbeat: threading.Thread | None = None
        self.closing = False
        """Whether it takes no more turns."""
        self._silent = threading.Event()

    @property
    def free(self) -> int:
        """How many more turns it takes now."""
        return conf.current().max_runs - len(self._tasks) - self._kept

    @contextmanager
    def reserve_slot(self) -> Iterator[WorkerSlot | None]:
        """Keep a place for a turn that is about to be stored as claimed; None if there is none."""
        if self.closing or self.free <= 0:
            yield None
            return
        self._kept += 1
        try:
            yield WorkerSlot(self.name, lease())
        finally:
            self._kept -= 1
            self._place_left.set()

    async def take(self, claim: Claim) -> None:
        """Work on a turn that was stored as this worker's, in the place that was kept for it.

        Call it within `place`: a worker that closes meanwhile waits until the turn is put back.
        """
        if self.closing:
            await database.run(runs.put_back, claim)
        else:
            self._begin(claim.head.task_id, claim)

    def start(self, task_id: UUID) -> None:
        """Work on the task's next turn, now or when there is a place; may be told twice."""
        if self.closing:
            return
        if self.free > 0:
            self._begin(task_id)
        elif len(self._waiting) < WAITING:
            self._waiting[task_id] = None

    async def work_off(self, task_id: UUID) -> None:
        """Work on the task's turns until there is none: for a queue, which counts its own places.

        Whoever waits here may be cancelled; the work goes on, and only `close` gives it up.
        """
        if not self.closing:
            await asyncio.wait([self._begin(task_id)])

    def recover(self, task_id: UUID, missed: WorkerSlot) -> None:
        """Work on the task's next turn, also where it was stored as claimed and nobody heard of it.

        For a turn whose storing has failed with its connection: it may be there all the same.
        """
        if not self.closing:
            self._begin(task_id, missed=missed)

    def _begin(
        self, task_id: UUID, claim: Claim | None = None, missed: WorkerSlot | None = None
    ) -> "asyncio.Task[None]":
        work = self._work(task_id, claim, missed)
        # A fresh context: the request's would tie its agent to that request's thread and user.
        task = self._loop.create_task(work, context=contextvars.Context())
        self._tasks.add(task)
        task.add_done_callback(self._finished)
        return task

    async def close(self) -> None:
        """Take no more turns, give those under way SHUTDOWN_SECONDS, and give up the others."""
        self.closing = True
        self._waiting.clear()
        while self._kept:
            # A turn that is being stored as ours: it must not be given up before it is put back.
            self._place_left.clear()
            await self._place_left.wait()
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=conf.current().shutdown_seconds)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._listening:
            await broadcast.leave(broadcast.worker_group(self.name), self._hear)
        if self._heartbeat is not None:
            self._silent.set()
            await asyncio.to_thread(self._heartbeat.join)
            await self._give_back()
        await self._tidier.close()

    async def _give_back(self) -> None:
        # Last: a lease that is renewed after this would keep others waiting.
        given_up = await database.run(runs.give_back, self.name)
        if given_up:
            logger.warning("%d turns are given up for another process.", given_up)

    def _finished(self, task: "asyncio.Task[None]") -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            # The lease runs out, and the next sweep finds the run.
            logger.error("A run was not brought to an end.", exc_info=error)
        if self._waiting and self.free > 0:
            longest = next(iter(self._waiting))
            del self._waiting[longest]
            self.start(longest)

    async def _work(self, task_id: UUID, claim: Claim | None, missed: WorkerSlot | None) -> None:
        """Answer the task's messages, one after the other, for as long as there are any."""
        await self._listen()
        while claim is not None or not self.closing:
            claim = claim or await self._claim(task_id, missed)
            if claim is None:
                return
            execution = self._executions[claim.run.id] = Execution(claim)
            self._keep_leases()
            try:
                await execution.perform()
            finally:
                del self._executions[claim.run.id]
                self._tidier.tidy_soon()
            if not execution.more_to_do:
                return
            claim = missed = None

    async def _claim(self, task_id: UUID, missed: WorkerSlot | None) -> Claim | None:
        """Claim the task's next turn, also where the claim was committed before and nobody heard.

        None too where the database stays away for a lease: the sweep finds what nobody has begun.
        """
        tried = [] if missed is None else [missed]

        def ask(**_: bool) -> Claim | None:
            earlier = tuple(tried)
            tried.append(WorkerSlot(self.name, lease()))
            return runs.claim(task_id, tried[-1], agents=registry.slugs(), earlier=earlier)

        try:
            return await database.run_until_answered(ask, give_up=lambda: self.closing)
        except database.AWAY:  # which is logged
            return None

    async def _listen(self) -> None:
        if not self._listening:
            self._listening = True
            await broadcast.listen(broadcast.worker_group(self.name), self._hear)

    def _hear(self, message: dict[str, Any]) -> None:
        self._stop(stopped_run(message))

    def _stop(self, run_id: UUID) -> None:
        execution = self._executions.get(run_id)
        if execution is not None and not execution.is_over:
            logger.info("Run %s is stopped: its task is another's, or has ended.", run_id)
            execution.stop()

    def _stop_lost(self, run_id: UUID) -> None:
        """Stop a run that could not be renewed; not one that is writing, for that may be its end.

        If it is not, the write is refused, or the next beat comes by here again.
        """
        execution = self._executions.get(run_id)
        if execution is not None and not execution.is_writing:
            self._stop(run_id)

    def _keep_leases(self) -> None:
        if self._heartbeat is None:
            self._heartbeat = threading.Thread(target=self._beat, name="a2a-heartbeat", daemon=True)
            self._heartbeat.start()

    def _beat(self) -> None:
        """Renew the leases of all runs, thrice in a lease; tell of those that are lost."""
        usual = pause = lease().total_seconds() / 3
        while not self._silent.wait(pause) and not self._loop.is_closed():
            # A missed beat loses nothing yet. The next one comes soon.
            pause = usual if self._renew(list(self._executions)) else min(usual, RETRY_SECONDS)
        database.close_connection()

    def _renew(self, held: list[UUID]) -> bool:
        """Renew these leases; False where the database could not be asked."""
        if not held:
            database.close_connection()
            return True
        try:
            lost = runs.renew(self.name, held, lease=lease())
        except Exception as error:  # whatever it is, the thread has to live on
            if isinstance(error, database.AWAY):
                database.outage.begin(error)
            else:
                logger.warning("Could not renew the leases of %d runs.", len(held), exc_info=True)
            database.close_connection()
            return False
        # A loop that has ended meanwhile has nobody left to stop.
        with suppress(RuntimeError):
            for run_id in lost:
                self._loop.call_soon_threadsafe(self._stop_lost, run_id)
        return True


def lease() -> timedelta:
    """Give the time for which a run belongs to a worker without a sign of life."""
    return timedelta(seconds=conf.current().lease_seconds)
