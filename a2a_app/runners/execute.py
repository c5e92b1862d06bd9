"""Execution: one run from its claim to its end, within the time limits of its agent."""

import asyncio
import inspect
import logging
from collections.abc import AsyncGenerator, AsyncIterator, Generator
from contextlib import aclosing, asynccontextmanager, closing, nullcontext, suppress
from functools import partial
from typing import TYPE_CHECKING, Any

from asgiref.sync import sync_to_async
from django.db import close_old_connections

from a2a_app import conf, database, logs, protocol, telemetry
from a2a_app.agents import Agent, BudgetError, registry
from a2a_app.agents.content import agent_message
from a2a_app.agents.extensions import APPEND_ONLY, LIVE
from a2a_app.agents.turn import Turn
from a2a_app.concurrency.event_loop import Contained, shield
from a2a_app.concurrency.threads import run_in_own_thread
from a2a_app.feed import Bell
from a2a_app.models.owners import Scope
from a2a_app.protocol import TaskState
from a2a_app.runners.cleanup import CLEANUP_SECONDS, clean_up
from a2a_app.runners.tracebacks import shorten, traceback_of
from a2a_app.store.claims import Claim
from a2a_app.store.events import Position
from a2a_app.store.reads.tasks import read_snapshot
from a2a_app.store.refusals import Refused, RunLostError, TaskEndedError
from a2a_app.store.updates import Returned, StatusUpdate
from a2a_app.store.writes.writer import Writer, write

if TYPE_CHECKING:
    # It needs an extra, which most projects do not have.
    from a2a_app.telemetry.spans import TurnSpan

logger = logging.getLogger(__name__)
logger.addFilter(shorten)

# How often it is looked whether a turn still waits, whose limits do not count meanwhile.
LOOK_SECONDS = 0.1
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


class Execution:
    """Lets an agent answer one message, and ends the run whatever the agent does."""

    def __init__(self, claim: Claim) -> None:
        self.claim = claim
        self._agent = registry.get(claim.head.agent)
        self._writer = Writer(claim.head, claim.run, on_loss=self.stop)
        repeats = self._agent.repeats_artifacts and APPEND_ONLY.uri not in claim.extensions
        self._turn = Turn(
            claim,
            self._writer,
            repeats_artifacts=repeats,
            shows_usage=self._agent.shows_usage,
        )
        self._turn.suspend = self.stop
        self._turn.asks_as = self._agent.asks_as
        self._turn.is_durable = self._agent.durable
        self._span: TurnSpan | None = None
        self._agent_task: asyncio.Task[None] | None = None
        self._thread_ended = asyncio.Event()
        self._thread_ended.set()
        self._has_returned = False
        self._stopped = False

    @property
    def is_over(self) -> bool:
        """Whether the end of the run is written. Its agent may still be cleaning up."""
        return self._writer.head.run_id is None

    @property
    def is_writing(self) -> bool:
        """Whether updates of the run are being committed."""
        return self._writer.is_writing

    @property
    def has_next_turn(self) -> bool:
        """Whether the task has a next turn, because the client has sent another message."""
        head = self._writer.head
        return not head.state.is_terminal and head.turn > head.answered

    def stop(self) -> None:
        """Cancel the agent, since this run may no longer write to the task."""
        self._stopped = True
        self._writer.refuse()
        self._turn.mark_canceled()
        if self._agent_task is not None:
            self._agent_task.cancel()

    def look_again(self) -> None:
        """Have the turn look at once for what it waits for, since it may have come."""
        self._turn.look_again()

    async def perform(self) -> None:
        """Let the agent answer, and write the end of the run in whichever way it ends.

        Raises only errors of the database. Then the lease runs out, and the run counts as lost.
        """
        head, turn = self.claim.head, self._turn
        about = logs.Subject(turn.task_id, head.context_id, head.agent, head.owner, turn.tenant)
        logs.subject.set(about)
        if telemetry.active is None:
            await self._perform()
            return
        with telemetry.active.turn(turn.number, turn.attempt, self.claim.trace) as self._span:
            try:
                await self._perform()
            finally:
                self._span.end(self._writer.head.state.value)

    async def _perform(self) -> None:
        # In a task of its own, so that stopping the agent does not stop the writing of the end.
        self._agent_task = asyncio.create_task(self._answer())
        try:
            broken_limit = await wait_within_limits(self._agent_task, self._agent, self._turn)
        except asyncio.CancelledError:
            self.stop()
            await self._let_clean_up(self._agent_task)
            raise
        if broken_limit is not None:
            self._turn.mark_canceled()
            self._agent_task.cancel()
            await self._let_clean_up(self._agent_task)
        failure = await self._commit(broken_limit or _failure_of(self._agent_task))
        if self._stopped and self._has_returned and self._agent.cleans_up:
            # Of a cancellation at this moment nobody else tells it: its run still had the task.
            task_id, caller = self.claim.head.task_id, self._turn.caller
            await clean_up(self._agent, task_id, caller, self._read_task())
        elif failure is not None and not self._stopped:
            await self._fail(failure)

    async def thread_ended(self) -> None:
        """Wait until the agent's thread has returned, if it has one. No thread can be cancelled."""
        await self._thread_ended.wait()

    async def _answer(self) -> None:
        if self.claim.attempt > 1:
            await self._turn.read_before(is_durable=self._agent.durable)
        elif conf.current().budgets:
            await self._turn.check_budgets()  # since the message came, it may have been used up
        async with self._heard() if self._agent.when_busy == LIVE else nullcontext():
            await drive(self._agent, self._turn, self._thread_ended)
            self._has_returned = True
        state = self._writer.state
        if state.is_terminal:
            return
        if not state.is_interrupted:
            self._writer.accept(*self._turn.last_chunks())
        unsaved = self._turn.context.unsaved(self._turn.report)
        if unsaved:
            # First, since a state that cannot be saved must not take the earlier updates with it.
            await self._writer.flushed()
        # Without waiting, so that the end is in the same commit as the agent's last updates.
        self._writer.accept(*unsaved, Returned(self._turn.usage_metadata))

    @asynccontextmanager
    async def _heard(self) -> AsyncIterator[None]:
        """Bring what the client says meanwhile into the turn's inbox."""
        head, inbox = self.claim.head, self._turn.listen()
        start = Position(head.task_id, head.seq, head.turn, head.state, head.seq, head.answered)
        async with Bell(start, inbox.ring):
            await inbox.open()
            try:
                yield
            finally:
                await inbox.close()

    @staticmethod
    async def _let_clean_up(agent_task: "asyncio.Task[None]") -> None:
        # An agent that does not end when it is cancelled must not hold up its run.
        await asyncio.wait([agent_task], timeout=CLEANUP_SECONDS)

    async def _read_task(self) -> protocol.Task:
        scope = Scope(self._agent.slug, self.claim.head.owner)
        return (await database.read(read_snapshot, scope, self._turn.task_id)).task

    async def _commit(self, failure: BaseException | None) -> BaseException | None:
        """Commit the agent's updates and its return; return the failure, if there is one."""
        try:
            await self._writer.flushed()
        except (TaskEndedError, RunLostError, database.AwayError) as loss:
            if not self.is_over:
                logger.info("Run %s of task %s: %s", self.claim.run.id, self._turn.task_id, loss)
            self._stopped = True
        except Exception as error:
            return failure or error
        return failure

    async def _fail(self, failure: BaseException) -> None:
        """End the task as failed, with a reference for the client to the traceback (R8)."""
        if isinstance(failure, database.AwayError) and not self.is_over:
            raise failure  # of a verb: the run counts as lost, also where the database is back
        run = self.claim.run
        trace = traceback_of(failure)
        if self._span is not None:
            self._span.fail(failure)
        if not isinstance(failure, BudgetError):  # which the log for security has
            # With the exception itself, by which services that collect errors tell them apart.
            logger.error(
                "The agent %r failed in run %s of task %s.",
                self.claim.head.agent,
                run.id,
                self._turn.task_id,
                exc_info=failure,
            )
        if self._writer.head.state.is_terminal:
            return
        is_limit = isinstance(failure, TimeLimitError | BudgetError)
        text = str(failure) if is_limit else f"The agent failed. Reference: {run.id}"
        head = self._writer.head
        message = agent_message(text, context_id=head.context_id, task_id=head.task_id)
        update = StatusUpdate(
            TaskState.FAILED, message, metadata=self._turn.usage_metadata, error=trace
        )
        try:
            self._writer.head = (await shield(write(head, update, run=run))).head
        except Refused as refusal:
            logger.info("Run %s of task %s: %s", run.id, self._turn.task_id, refusal)


def _failure_of(agent_task: "asyncio.Task[None]") -> BaseException | None:
    if agent_task.cancelled():
        return asyncio.CancelledError("The agent's code was cancelled, and not by the server.")
    return agent_task.exception()


class TimeLimitError(Exception):
    """An agent has broken one of its time limits. The text is fit for clients."""


async def wait_within_limits(
    agent_task: "asyncio.Task[None]", agent: Agent, turn: Turn
) -> TimeLimitError | None:
    """Wait until an agent's code has returned, or has broken a limit; return the broken limit.

    Time in which the turn waits, as in `turn.sleep`, does not count.
    """
    if agent.time_limit is None and agent.silence_limit is None:
        await asyncio.wait([agent_task])
        return None
    loop = asyncio.get_running_loop()
    started_at, waits = loop.time(), turn.waits
    while not agent_task.done():
        limits = {}
        if agent.time_limit is not None:
            worked_until = started_at + waits.seconds + agent.time_limit
            limits[worked_until] = f"took longer than {agent.time_limit:g} seconds"
        if agent.silence_limit is not None:
            spoke_at = max(started_at, turn.spoke_at, waits.ended_at)
            limits[spoke_at + agent.silence_limit] = (
                f"said nothing for {agent.silence_limit:g} seconds"
            )
        first = min(limits)
        if first <= loop.time():
            return TimeLimitError(f"The agent {limits[first]}.")
        # While the turn waits, the limit moves on with the time.
        shortest = LOOK_SECONDS if waits.are_all else 0.0
        await asyncio.wait([agent_task], timeout=max(shortest, first - loop.time()))
    return None


async def drive(agent: Agent, turn: Turn, thread_ended: asyncio.Event) -> None:
    """Call the agent's `run` and wait until it returns; raises what it raises, contained.

    Args:
        agent: The agent.
        turn: The turn that it answers.
        thread_ended: Clear for as long as the agent's thread runs, if it has one.
    """
    with Contained(f"The agent {agent.slug!r}"):
        if agent.is_synchronous:
            work = partial(_drive_synchronous, agent, turn)
            await run_in_own_thread(work, ended=thread_ended)
        else:
            await _drive(agent, turn)


async def _drive(agent: Agent, turn: Turn) -> None:
    result = agent.run(turn)
    if inspect.isasyncgen(result):
        await _stream(result, turn)
    else:
        await _add_artifact(await result, turn)


async def _stream(pieces: AsyncGenerator[Any, Any], turn: Turn) -> None:
    async with aclosing(pieces):
        async for piece in pieces:
            await turn.say(piece)


async def _add_artifact(result: Any, turn: Turn) -> None:
    if result is not None:
        await turn.artifact(result)


def _drive_synchronous(agent: Agent, turn: Turn) -> None:
    # A verb that is called in this thread has done its work when it returns.
    result = agent.run(turn)
    if inspect.isgenerator(result):
        _stream_synchronous(result, turn)
    elif result is not None:
        turn.artifact(result)


def _stream_synchronous(pieces: Generator[Any, Any, Any], turn: Turn) -> None:
    with closing(pieces):
        for piece in pieces:
            turn.say(piece)
