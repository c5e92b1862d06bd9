"""Asking: a turn has another agent do a piece of its work, which counts once like a step."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Unpack

from django.utils import timezone
from pydantic_core import to_json

from a2a_app import conf
from a2a_app.agents.answers import Answer
from a2a_app.agents.content import Content, agent_message, as_parts, clean
from a2a_app.agents.durable.approvals import TurnSuspended
from a2a_app.agents.durable.errands import Errand, How, depth_of
from a2a_app.agents.durable.peers import peers
from a2a_app.agents.durable.sleep import Sleeper
from a2a_app.agents.durable.steps import MAX_NAME, StepError
from a2a_app.agents.values import with_files_read
from a2a_app.concurrency.hooks import call_hook
from a2a_app.database import AwayError
from a2a_app.database.values import new_key
from a2a_app.models.owners import tenant_of
from a2a_app.protocol import Part, Role, StreamResponse
from a2a_app.store.durable.approvals import PASSED_ON
from a2a_app.store.durable.remote_tasks import (
    RemoteAsk,
    ask_once,
    note_answered,
    read_answer,
    record_reply,
)
from a2a_app.store.durable.steps import Outcome, Place
from a2a_app.store.refusals import Refused, RepetitionError, RunLostError
from a2a_app.store.updates import Ask, Asked, StatusUpdate


class AskError(StepError):
    """Another agent has not done what it was asked, in this attempt at the turn or before.

    Its `kind` is the state of the other task, such as `TASK_STATE_FAILED`, or an error's class.
    """

    reply: Answer | None = None
    """What the agent has answered; None: it has refused the message, or was not there."""


class Delegator(Sleeper):
    """What a turn has other agents do."""

    # Each is set by Turn.
    metadata: Any
    caller: Any
    context: Any
    asks_as: Callable[[Any, str], Any] | None = None
    """The agent's own choice in whose name it asks. It is set by who runs it."""

    async def ask(self, agent: str, *contents: Content, **how: Unpack[How]) -> Answer:
        """Ask another agent, wait until it has answered, and return the reply.

        It is a step: what was sent is not sent again by a later attempt at the turn, which gets
        the same reply. An agent of this project is asked in the name of the turn's caller, any
        other one with its credentials in REMOTE_AGENTS. In a synchronous agent:
        `turn.wait(turn.ask("billing", "Refund order 7"))`.

        Args:
            agent: The slug of an agent of this project, a name in REMOTE_AGENTS or in the
                directory, or a URL.
            *contents: What is asked, as verbs take it.
            **how: How it is asked: see `How`.

        Raises:
            AskError: The agent has refused, failed, rejected or canceled it, or was not there.
            RepetitionError: An earlier attempt has done something else here.
            TypeError: The contents are nothing that can be said.
            BudgetError: A budget is used up. What was asked already is not refused.
            TurnSuspended: The turn is put away, or asks its client. Let it pass.
        """
        place = self._next_place(how.get("name") or f"ask {agent}"[: MAX_NAME - 10])
        async with self.waits.for_step():
            outcome = await self._earlier(place)
            errand = None if outcome else await self._prepare(place, agent, contents, how)
        if errand is not None:
            outcome = await self._delegate(place, errand)
        assert outcome is not None  # it was there, or is now
        return await self._reply(place, outcome)

    async def gather(self, *works: Awaitable[Any]) -> list[Any]:
        """Do several things at once, such as asking, steps and sleeps; return their results.

        All are waited for, also where one of them fails. Their places among the steps are in the
        order of the arguments. In a synchronous agent: `turn.wait(turn.gather(…))`.

        Args:
            *works: What is done, such as `turn.ask(…)` that is not awaited.

        Raises:
            StepError: One of them has failed, or several: that of the first argument that has.
        """
        tasks = [asyncio.create_task(self._branch(work)) for work in works]
        if not tasks:
            return []
        for task in tasks:  # none of their errors counts as missed
            task.add_done_callback(lambda done: done.cancelled() or done.exception())
        try:
            with self.waits.branching():
                await asyncio.wait(tasks)
        finally:
            for task in tasks:
                task.cancel()
        return [task.result() for task in tasks]

    async def _branch(self, work: Awaitable[Any]) -> Any:
        with self.waits.branch():
            return await work

    async def _reply(self, place: Place, outcome: Outcome) -> Answer:
        if outcome.error_kind:
            raise AskError(place.name, outcome.error_kind, outcome.error)
        text = await self._text_of(outcome)
        answer = Answer(StreamResponse.model_validate_json(text))
        state = answer.state
        if state is None or not state.is_failure:
            return answer
        error = AskError(place.name, state.value, answer.message.text if answer.message else "")
        error.reply = answer
        raise error

    async def _parts_of(self, contents: Sequence[Content], *, is_local: bool) -> list[Part]:
        """Return what is asked as parts, of which those for agents elsewhere have their bytes."""
        parts = as_parts(await with_files_read(contents), self.report) or [Part(text="")]
        if is_local:
            return parts
        return [await self._with_bytes(part) for part in parts]

    async def _with_bytes(self, part: Part) -> Part:
        try:
            read = await self.read(part) if part.url else None
        except ValueError:  # of another server
            read = None
        return part if read is None else part.model_copy(update={"raw": read, "url": None})

    async def _prepare(
        self, place: Place, agent: str, contents: Sequence[Content], how: How
    ) -> Errand:
        """Store that this is asked, and return what asks it."""
        is_local = peers().is_local(agent)
        parts = await self._parts_of(contents, is_local=is_local)
        asked = await self._ask_once(place, agent, parts, is_local=is_local)
        if not asked.remote_id:
            await self.check_budgets()
        return Errand(
            asked,
            agent,
            parts,
            how,
            persist=self._writer.persist,
            asker=partial(self._asker, agent),
            tenant=tenant_of(self._claim.head.owner),
            depth=depth_of(self.metadata) + 1,
        )

    async def _delegate(self, place: Place, errand: Errand) -> Outcome:
        """Ask, and store what has come of it."""
        started_at = timezone.now()
        state, result, kind, error = "", None, "", ""
        try:
            answer = await self._answer_to(errand)
        except (Refused, AwayError):  # of the turn itself
            raise
        except Exception as raised:  # whatever a connection may raise
            kind, error = self._described(raised)
        else:
            state = answer.state.value if answer.state else ""
            result = [clean(answer.response.to_dict(), self.report)]
        outcome = Outcome(place.name, result, "", kind, error, 1, started_at, timezone.now())
        record = _Record(errand.asked.id, state)
        async with self.waits.for_step():
            return await self._keep(place, outcome, to_json(result and result[0]), record)

    async def _ask_once(
        self, place: Place, agent: str, parts: Sequence[Part], *, is_local: bool
    ) -> RemoteAsk:
        """Store that this is asked, and return it as it is stored."""
        text = "\n".join(part.text for part in parts if part.text)
        stored = (self._writer.head, self._claim.run, place, agent, text)
        try:
            asked = await self._writer.persist(ask_once, *stored, is_local=is_local)
        except RunLostError:
            self.suspend()
            raise
        if asked.name != place.name:
            raise RepetitionError(f"step {place.number}", repr(asked.name), repr(place.name))
        self._writer.head = replace(self._writer.head, linked=True)
        return asked

    async def _answer_to(self, errand: Errand) -> Answer:
        """Return the answer, once the client has answered all that the other agent asks for it."""
        errand.check_depth()
        while True:
            await self._take_answer(errand)
            answer = await self._wait_for(errand)
            state = answer.state
            if state is None or state.is_terminal or not errand.asks_client:
                return answer
            await self._pass_on(errand, answer)

    async def _wait_for(self, errand: Errand) -> Answer:
        """Return the next answer; put the run away meanwhile if that takes long.

        Raises:
            TimeoutError: There is none in time.
            TurnSuspended: The run is put away.
        """
        following = asyncio.create_task(errand.answer())
        idle = asyncio.create_task(errand.idle.wait())
        try:
            while not following.done():
                if errand.seconds_left <= 0:
                    raise TimeoutError
                if errand.idle.is_set():
                    await self._rest_beside(following, errand)
                    continue
                async with self.waits.for_step():  # a message is on the way
                    idle.cancel()
                    idle = asyncio.create_task(errand.idle.wait())
                    await asyncio.wait(
                        [following, idle],
                        timeout=errand.wait_seconds,
                        return_when=asyncio.FIRST_COMPLETED,
                    )
            return following.result()
        finally:
            for task in (following, idle):
                task.cancel()
            await asyncio.wait([following, idle])

    async def _rest_beside(self, following: "asyncio.Task[Answer]", errand: Errand) -> None:
        """Wait for what follows an errand, and put the run away if that takes long."""
        grace = conf.current().put_away_seconds
        is_short = errand.seconds_left <= grace or not self.is_durable
        wait = errand.wait
        with self.waits.also(wait):
            timeout = errand.wait_seconds if is_short else grace
            done, _ = await asyncio.wait([following], timeout=timeout)
            if done or is_short:
                return
            await errand.have_us_called()
            wait.until = errand.wait.until
            if not following.done() and errand.idle.is_set():
                following.add_done_callback(lambda _: self.waits.ring(wait))
                await self._put_away(wait, errand.wait_seconds)

    async def _take_answer(self, errand: Errand) -> None:
        """Have the errand say what the client has answered to the other agent's next question."""
        asked, number = errand.asked, errand.asked.answered + 1
        for earlier in self._told.earlier if self._told else ():
            if (earlier.digest, earlier.number) != (str(asked.id), number):
                continue
            if earlier.answer is None:  # the other agent went on without one
                await self._writer.persist(note_answered, asked.id, number)
                errand.asked = asked._replace(answered=number)
            else:
                errand.say(await self._writer.persist(read_answer, earlier.answer))

    async def _pass_on(self, errand: Errand, answer: Answer) -> None:
        """Ask the turn's client what another agent asks; raise TurnSuspended."""
        asked, state = errand.asked, answer.state
        assert state is not None  # as its caller has seen
        await self.waits.until_no_step()
        about = {"agent": errand.agent, "task": answer.task_id}
        place = {"context_id": self._claim.head.context_id, "task_id": self.task_id}
        question = answer.message or agent_message(f"{errand.agent} asks.", **place)
        assert question is not None  # it has a text
        said = {**question.metadata, PASSED_ON: about}
        message = question.model_copy(update={**place, "role": Role.AGENT, "metadata": said})
        ask = Ask(
            id=new_key(), turn=self.number, digest=str(asked.id), number=asked.answered + 1,
            question=message.text, data=None, choices=(), permission="", until=None,
        )  # fmt: skip  # a value for each field
        status = StatusUpdate(state, message, self._usage)
        await self._writer.put(*self.context.unsaved(self.report), status, Asked(ask))
        self.suspend()
        raise TurnSuspended

    async def _asker(self, agent: str) -> Any:
        if self.asks_as is not None:
            return await call_hook(self.asks_as, self.caller, agent)
        return self.caller


@dataclass(frozen=True, slots=True)
class _Record:
    """Records an outcome as `record_step` does, and that what was asked is over."""

    asked: Any
    state: str

    def __call__(self, *recorded: Any) -> None:
        record_reply(self.asked, self.state, *recorded)
