"""The worker: it claims turns, runs them on one event loop, and renews their leases."""

import asyncio
import contextvars
import logging
import os
import re
import socket
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any
from uuid import UUID, uuid4

from a2a_app import broadcast, conf, database
from a2a_app.agents import registry
from a2a_app.concurrency.shares import FOR_EACH_FREE, Shares
from a2a_app.database.values import made_at
from a2a_app.runners.execute import ConnectionCloser, Execution
from a2a_app.runners.heartbeat import Heartbeat
from a2a_app.runners.line import Line, Lookout
from a2a_app.runners.revisions import Revisions
from a2a_app.store import runs
from a2a_app.store.claims import Claim, WorkerSlot
from a2a_app.store.notify import stopped_run, woken_run
from a2a_app.store.task_head import TaskHead
from a2a_app.store.waiting import WaitingTurn

logger = logging.getLogger(__name__)

# How long a turn that a queue brings has waited at least where others may come before it.
LATE_SECONDS = 1.0
# How often a job looks for a turn at most.
LOOKS = 20


@dataclass(slots=True)
class _Slot:
    """A slot of a worker, and what is known of the turn that has it."""

    owner: str | None = None
    """The owner of the task, once it is counted among those that have slots."""
    has_worked: bool = False


def _most_running(agent: str) -> int:
    # A test may have taken it away while its turn ran.
    return registry.get(agent).turn_limits.running if agent in registry.slugs() else 0


class Worker:
    """Claims turns and runs them on one event loop, at most MAX_RUNS at once.

    One owner has at most four fifths of the slots, and less while others have some too, so that
    another's turn can begin at once. Turns that wait are begun in turn by owner.
    """

    def __init__(self) -> None:
        # The name of a host may have characters that the name of a group in Channels may not.
        host = re.sub(r"[^A-Za-z0-9-]", "-", socket.gethostname())[:40]
        self.name = f"{host}-{os.getpid()}-{uuid4().hex[:8]}"
        self._executions: dict[UUID, Execution] = {}
        self._waiting = Line()
        # How many slots each owner has. Turns are claimed in the threads of the database.
        self._owners: Counter[str] = Counter()
        self._owners_lock = threading.Lock()
        self._lookout = Lookout(self._start_found)
        self._tasks: set[asyncio.Task[None]] = set()
        self._connection_closer = ConnectionCloser()
        self._slot_released = asyncio.Event()
        self._listening, self._reserved = False, 0
        self._heartbeat: Heartbeat | None = None
        self.revisions = Revisions()
        """Which turns that began under other code it leaves to others."""
        self.is_closing = False
        """Whether the worker takes no more turns."""

    def sign_on(self, slots: int | None = None) -> None:
        """Have others know of the worker from now on, which may have so few turns at once."""
        if not self.is_closing:
            self._start_heartbeat().sign_on(slots)

    @property
    def free_slots(self) -> int:
        """How many more turns the worker can take now."""
        return conf.current().max_runs - len(self._tasks) - self._reserved

    @property
    def run_ids(self) -> list[UUID]:
        """The runs that the worker works on."""
        return list(self._executions)

    @contextmanager
    def reserve_slot(self, owner: str) -> Iterator[WorkerSlot | None]:
        """Reserve a slot for a turn that is about to be stored as claimed; None: there is none.

        All may be taken, or all that the owner may have.
        """
        if self.is_closing or self.free_slots <= 0 or not self._admit(owner):
            yield None
            return
        self._reserved += 1
        try:
            yield WorkerSlot(self.name, conf.current().lease_time)
        finally:
            self._reserved -= 1
            self._dismiss(owner)
            self._slot_released.set()
            if self._waiting:
                self._start_next()

    def _admit(self, owner: str) -> bool:
        """Count a slot as an owner's; return False where it has its whole share."""
        most = conf.current().max_runs
        with self._owners_lock:
            # As long as so few slots are taken, nobody can have a whole share.
            is_plain = (FOR_EACH_FREE + 1) * self._owners.total() < FOR_EACH_FREE * (most - 1)
            if is_plain or Shares(most, self._owners).has_room(owner):
                self._owners[owner] += 1
                return True
        return False

    def _dismiss(self, owner: str) -> None:
        with self._owners_lock:
            self._owners[owner] -= 1
            if not self._owners[owner]:
                del self._owners[owner]

    async def start_claimed(self, claim: Claim) -> None:
        """Start a turn that was stored as claimed for a reserved slot.

        Call it inside `reserve_slot`, so that a worker that closes meanwhile waits until the turn
        is put back.
        """
        if self.is_closing:
            await database.run(runs.put_back, claim)
        else:
            with self._owners_lock:
                self._owners[claim.head.owner] += 1  # besides the slot that is reserved for it
            self._start_task(claim.head.task_id, claim, slot=_Slot(claim.head.owner))

    def start(self, task_id: UUID, owner: str | None = None) -> None:
        """Start the task's next turn now, or once a slot is free. A second call does no harm.

        Args:
            task_id: The task.
            owner: The task's owner. None: it is found out when the turn is claimed.
        """
        if self.is_closing:
            return
        if self.free_slots > 0 and (owner is None or self._admit(owner)):
            self._start_task(task_id, slot=_Slot(owner))
        elif not self._waiting.add(task_id, owner or ""):
            self._lookout.has_more = True

    async def work_on(self, task_id: UUID) -> None:
        """Run a task's turns until there are none, for a queue that limits its jobs itself.

        A job that comes late, or finds nothing to do, does the turn of the owner who comes next.
        A caller that waits may be cancelled. The turns go on, and only `close` gives them up.
        """
        is_late = time.time() - made_at(task_id) > LATE_SECONDS
        if is_late and (found := await self.find_waiting(limit=1, in_turn=True)):
            task_id = found[0].task_id
        # Other jobs find the same turn, and the quickest does it. The rest is done only if those
        # that were slower look again.
        for _ in range(LOOKS):
            slot = _Slot()
            if not self.is_closing:
                await asyncio.wait([self._start_task(task_id, slot=slot)])
            if slot.has_worked or self.is_closing:
                return
            if not (found := await self.find_waiting(limit=1, in_turn=True)):
                return
            task_id = found[0].task_id

    async def find_waiting(self, *, limit: int, in_turn: bool = False) -> list[WaitingTurn]:
        """Find turns that nobody has begun and that there is room for: see `Line.search`."""
        with self._owners_lock:
            room = Shares(conf.current().max_runs, self._owners.copy())
        besides = self.revisions.missing()
        return await self._waiting.search(limit=limit, room=room, in_turn=in_turn, besides=besides)

    def recover(self, task_id: UUID, missed: WorkerSlot) -> None:
        """Start the task's next turn, even if it is stored as claimed for a reserved slot.

        That is so if the connection broke after the commit, before the caller got the claim.

        Args:
            task_id: The task, which may or may not be stored.
            missed: The slot.
        """
        if not self.is_closing:
            self._start_task(task_id, missed=missed, slot=_Slot())

    def _start_task(
        self,
        task_id: UUID,
        claim: Claim | None = None,
        missed: WorkerSlot | None = None,
        *,
        slot: _Slot,
    ) -> "asyncio.Task[None]":
        # A new one: that of the request would tie the agent to its thread and its user.
        context = contextvars.Context()
        task = asyncio.create_task(self._run_turns(task_id, claim, missed, slot), context=context)
        self._tasks.add(task)
        task.add_done_callback(partial(self._finished, slot), context=context)
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
        if self._heartbeat is not None:  # first: a channel layer that hangs takes all the time
            await self._heartbeat.close()
        if self._listening:
            await broadcast.leave(broadcast.worker_group(self.name), self._receive)
        await self._connection_closer.close()

    def _finished(self, slot: _Slot, task: "asyncio.Task[None]") -> None:
        self._tasks.discard(task)
        if slot.owner is not None:
            self._dismiss(slot.owner)
        if not task.cancelled() and (error := task.exception()) is not None:
            # The lease runs out, and the next sweep finds the run.
            logger.error("A run was not brought to an end.", exc_info=error)
        if self._waiting:
            self._start_next()
        # Only after a turn: one that had to wait again must not have it looked for at once.
        elif self._lookout.has_more and slot.has_worked:
            self._lookout.look()

    def _start_next(self) -> None:
        """Start the first turn in line that there is room for."""
        for task_id, owner in self._waiting.in_turn() if self.free_slots > 0 else ():
            if self._admit(owner):
                self._waiting.remove(task_id, owner)
                self._start_task(task_id, slot=_Slot(owner))
                return

    async def _start_found(self) -> bool:
        """Start turns that wait in the database only; return whether there may be more."""
        found = await self.find_waiting(limit=max(1, self.free_slots))
        for turn in found:
            self.start(turn.task_id, turn.owner)
        # There may be some that there was no room for, too.
        return bool(found) or Shares(conf.current().max_runs, self._owners).is_contended

    async def _run_turns(
        self, task_id: UUID, claim: Claim | None, missed: WorkerSlot | None, slot: _Slot
    ) -> None:
        """Run the task's turns, one after the other, until there are none."""
        await self._listen()
        while claim is not None or not self.is_closing:
            claim = claim or await self._claim(task_id, missed, slot)
            if claim is None:
                return
            slot.has_worked = True
            execution = self._executions[claim.run.id] = Execution(claim)
            try:
                self._start_heartbeat()
                await execution.perform()
            finally:
                del self._executions[claim.run.id]
                self._connection_closer.close_soon()
            # It keeps the slot until then, or there might be any number of such threads.
            await execution.thread_ended()
            if _most_running(claim.head.agent):
                # Another of the owner's turns may begin now, which any worker has passed over.
                self._lookout.has_more = True
            if not execution.has_next_turn:
                return
            claim = missed = None

    async def _claim(self, task_id: UUID, missed: WorkerSlot | None, slot: _Slot) -> Claim | None:
        """Claim the task's next turn, which an earlier try whose answer was lost may have claimed.

        Returns:
            The claim. None: there is no turn, its owner's turns have to wait, or the database was
            away for a lease. Then the sweep finds the turn.
        """
        slots = [] if missed is None else [missed]
        agents = registry.slugs()

        def admit(head: TaskHead, began: str) -> str | None:
            if (revision := self.revisions.revision_for(head.agent, began)) is None:
                return None
            if slot.owner is None and not self._admit(head.owner):
                self._lookout.has_more = True  # and never False, in a thread of the database
                return None
            slot.owner = head.owner
            return revision

        def claim(**_: bool) -> Claim | None:
            earlier = tuple(slots)
            slots.append(WorkerSlot(self.name, conf.current().lease_time))
            options: Any = {"earlier": earlier, "admit": admit, "most_of": _most_running}
            return runs.claim(task_id, slots[-1], agents=agents, **options)

        try:
            return await database.run_until_answered(claim, give_up=lambda: self.is_closing)
        except database.AwayError:  # which is logged
            return None

    async def _listen(self) -> None:
        if not self._listening:
            self._listening = True
            await broadcast.listen(broadcast.worker_group(self.name), self._receive)

    def _receive(self, message: dict[str, Any]) -> None:
        if (run_id := stopped_run(message)) is not None:
            self._stop(run_id)
        if (run_id := woken_run(message)) in self._executions:
            self._executions[run_id].look_again()

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

    def _start_heartbeat(self) -> Heartbeat:
        if self._heartbeat is None:
            heartbeat = Heartbeat(self.name, lambda: self.run_ids, on_loss=self._stop_lost)
            heartbeat.start()  # raises where there may be no more threads
            self._heartbeat = heartbeat
        return self._heartbeat
