"""Execution: one run from its claim to its end."""

import asyncio
import logging
import traceback

from a2a_app.agents import Agent, registry
from a2a_app.agents.content import agent_message
from a2a_app.agents.turn import Turn
from a2a_app.concurrency.event_loop import shield
from a2a_app.database.values import escape_unstorable
from a2a_app.protocol import TaskState
from a2a_app.runners.drive import drive
from a2a_app.store.claims import Claim
from a2a_app.store.refusals import Refused, RunLostError, TaskEndedError
from a2a_app.store.updates import Returned, StatusUpdate
from a2a_app.store.writes.writer import Writer, write


class TimeLimitError(Exception):
    """An agent took longer than it may; the text is fit for clients."""


async def wait_within_limits(
    agent_task: "asyncio.Task[None]", agent: Agent, writer: Writer
) -> TimeLimitError | None:
    """Wait until an agent's code has returned; gives the limit it broke, if that comes first."""
    loop = asyncio.get_running_loop()
    begun = loop.time()
    while not agent_task.done():
        ends = {}
        if agent.time_limit is not None:
            ends[begun + agent.time_limit] = f"took longer than {agent.time_limit:g} seconds"
        if agent.silence_limit is not None:
            said = max(begun, writer.accepted_at)
            ends[said + agent.silence_limit] = f"said nothing for {agent.silence_limit:g} seconds"
        first = min(ends, default=None)
        if first is not None and first <= loop.time():
            return TimeLimitError(f"The agent {ends[first]}.")
        left = None if first is None else first - loop.time()
        await asyncio.wait([agent_task], timeout=left)
    return None


logger = logging.getLogger(__name__)

CLEANUP_SECONDS = 1.0


class Execution:
    """Lets an agent answer one message, and brings the run to an end whatever the agent does."""

    def __init__(self, claim: Claim) -> None:
        self.claim = claim
        self._agent = registry.get(claim.head.agent)
        self._writer = Writer(claim.head, claim.run, on_loss=self.stop)
        self._turn = Turn(claim, self._writer)
        self._agent_task: asyncio.Task[None] | None = None
        self._stopped = False

    @property
    def is_over(self) -> bool:
        """Whether the end of the run is written; its agent may still be tidying up."""
        return self._writer.head.run_id is None

    @property
    def is_writing(self) -> bool:
        """Whether something of the run is being committed."""
        return self._writer.is_writing

    @property
    def more_to_do(self) -> bool:
        """Whether the client has sent another message meanwhile."""
        head = self._writer.head
        return not head.state.is_terminal and head.turn > head.answered

    def stop(self) -> None:
        """Cancel the agent: the task is no longer this run's to write."""
        self._stopped = True
        self._writer.refuse()
        self._turn.mark_canceled()
        if self._agent_task is not None:
            self._agent_task.cancel()

    async def perform(self) -> None:
        """Let the agent answer and write the end of the run: every way out of it comes by here.

        Raises only what the database raises; then the lease runs out, and the run counts as lost.
        """
        # A task of its own, so that stopping the agent does not stop the writing of the end.
        self._agent_task = asyncio.create_task(self._answer())
        try:
            broken = await wait_within_limits(self._agent_task, self._agent, self._writer)
        except asyncio.CancelledError:
            self.stop()
            await self._let_clean_up(self._agent_task)
            raise
        if broken is not None:
            self._turn.mark_canceled()
            self._agent_task.cancel()
            await self._let_clean_up(self._agent_task)
        failure = await self._conclude(broken or _failure_of(self._agent_task))
        if failure is not None and not self._stopped:
            await self._fail(failure)

    async def _answer(self) -> None:
        await drive(self._agent, self._turn)
        if self._writer.ends_task:
            return
        unsaved = self._turn.context.unsaved(self._turn.report)
        if unsaved:
            # A state that cannot be saved must not take with it what was said before.
            await self._writer.flushed()
        # At once: so the end goes into the same commit as the agent's last words.
        self._writer.accept(*unsaved, Returned())

    @staticmethod
    async def _let_clean_up(agent_task: "asyncio.Task[None]") -> None:
        # An agent that does not end when it is cancelled must not hold up what comes after it.
        await asyncio.wait([agent_task], timeout=CLEANUP_SECONDS)

    async def _conclude(self, failure: BaseException | None) -> BaseException | None:
        """Commit what the agent has said, and its return; gives what went wrong, if anything."""
        try:
            await self._writer.flushed()
        except (TaskEndedError, RunLostError) as loss:
            logger.info("Run %s of task %s: %s", self.claim.run.id, self._turn.task_id, loss)
            self._stopped = True
        except Exception as error:
            return failure or error
        return failure

    async def _fail(self, failure: BaseException) -> None:
        """End the task as failed: the client gets a reference, log and admin the rest (R8)."""
        run = self.claim.run
        # Not every file of a log takes what not every database does.
        trace = escape_unstorable("".join(traceback.format_exception(failure)))
        logger.error("The agent %r failed in run %s of task %s.\n%s",
                     self.claim.head.agent, run.id, self._turn.task_id, trace)  # fmt: skip
        if self._writer.head.state.is_terminal:
            return
        told = isinstance(failure, TimeLimitError)
        text = str(failure) if told else f"The agent failed. Reference: {run.id}"
        head = self._writer.head
        message = agent_message(text, context_id=head.context_id, task_id=head.task_id)
        update = StatusUpdate(TaskState.FAILED, message, error=trace)
        try:
            await shield(write(head, update, run=run))
        except Refused as refusal:
            logger.info("Run %s of task %s: %s", run.id, self._turn.task_id, refusal)


def _failure_of(agent_task: "asyncio.Task[None]") -> BaseException | None:
    if agent_task.cancelled():
        return asyncio.CancelledError("The agent's code was cancelled, and not by the server.")
    return agent_task.exception()
