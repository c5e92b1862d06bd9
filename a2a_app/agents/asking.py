"""Asking: a turn has another agent do a piece of its work, which counts once like a step."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, TypedDict, Unpack

from django.utils import timezone
from pydantic_core import to_json

from a2a_app import conf
from a2a_app.agents.answers import Answer
from a2a_app.agents.content import Content, as_parts, clean
from a2a_app.agents.peers import DEPTH, OnBehalf, Peer, PeerAwayError, peers
from a2a_app.agents.sleep import Sleeper
from a2a_app.agents.steps import MAX_NAME, StepError
from a2a_app.agents.values import with_files_read
from a2a_app.concurrency.hooks import call_hook
from a2a_app.protocol import Message, NoRoomError, Part, Role, StreamResponse, UnavailableError
from a2a_app.store.refusals import Refused, RepetitionError, RunLostError
from a2a_app.store.remote_tasks import Asked, ask_once, note_remote_id, record_reply
from a2a_app.store.secrets import unseal
from a2a_app.store.steps import Outcome, Place

# The pauses between looks at an agent that does not answer.
FIRST_PAUSE_SECONDS = 1.0
LONGEST_PAUSE_SECONDS = 60.0
# For so long an agent may be away until what it was asked counts as failed.
PATIENCE = timedelta(hours=1)


class AskError(StepError):
    """Another agent has not done what it was asked, in this attempt at the turn or before.

    Its `kind` is the state of the other task, such as `TASK_STATE_FAILED`, or an error's class.
    """

    reply: Answer | None = None
    """What the agent has answered; None: it has refused the message, or was not there."""


class LoopError(Exception):
    """Turns have asked each other, one by another, more often than MAX_ASK_DEPTH allows."""


class How(TypedDict, total=False):
    """How another agent is asked."""

    name: str
    """What it does, for people. Without it: `ask` and the agent's name."""
    task: Answer | str
    """The other agent's task that it continues, or a reply that has one. Without it: a new one."""
    context_id: str
    """The conversation with the other agent. Without it: that of the task, or a new one."""
    metadata: Mapping[str, Any]
    """Metadata of the request."""
    accepted_output_modes: Sequence[str]
    """The media types that the reply may have."""
    timeout: float | None
    """After how many seconds to give up, counted from the first attempt."""


@dataclass(frozen=True, slots=True)
class _Errand:
    """What is asked, of whom, and how."""

    agent: str
    is_local: bool
    parts: Sequence[Part]
    how: How


class Delegator(Sleeper):
    """What a turn has other agents do."""

    metadata: Any
    caller: Any
    asks_as: Callable[[Any, str], Any] | None = None
    """The agent's own choice in whose name it asks. It is set by who runs it."""

    async def ask(self, agent: str, *contents: Content, **how: Unpack[How]) -> Answer:
        """Ask another agent, wait until it has answered, and return the reply.

        It is a step: what was sent is not sent again by a later attempt at the turn, which gets
        the same reply. An agent of this project is asked in the name of the turn's caller, any
        other one with its credentials in REMOTE_AGENTS. In a synchronous agent:
        `turn.wait(turn.ask("billing", "Refund order 7"))`.

        Args:
            agent: The slug of an agent of this project, a name in REMOTE_AGENTS, or a URL.
            *contents: What is asked, as verbs take it.
            **how: How it is asked: see `How`.

        Raises:
            AskError: The agent has refused, failed, rejected or canceled it, or was not there.
            RepetitionError: An earlier attempt has done something else here.
            TypeError: The contents are nothing that can be said.
        """
        place = self._next_place(how.get("name") or f"ask {agent}"[: MAX_NAME - 10])
        with self.waits.for_step():
            outcome = await self._earlier(place)
            if outcome is None:
                is_local = peers().is_local(agent)
                parts = await self._parts_of(contents, is_local=is_local)
                outcome = await self._delegate(place, _Errand(agent, is_local, parts, how))
        return await self._reply(place, outcome)

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

    async def _delegate(self, place: Place, errand: _Errand) -> Outcome:
        run, text = self._claim.run, "\n".join(part.text for part in errand.parts if part.text)
        started_at = timezone.now()
        stored = (self._writer.head, run, place, errand.agent, text)
        try:
            asked = await self._writer.persist(ask_once, *stored, is_local=errand.is_local)
        except RunLostError:
            self.suspend()
            raise
        if asked.name != place.name:
            raise RepetitionError(f"step {place.number}", repr(asked.name), repr(place.name))
        state, result, kind, error = "", None, "", ""
        try:
            answer = await self._answer_to(asked, errand)
        except Refused:  # of the turn itself
            raise
        except Exception as raised:  # whatever a connection may raise
            kind, error = self._described(raised)
        else:
            state = answer.state.value if answer.state else ""
            result = [clean(answer.response.to_dict(), self.report)]
        outcome = Outcome(place.name, result, "", kind, error, 1, started_at, timezone.now())
        record = _Record(asked.id, state)
        return await self._keep(place, outcome, to_json(result and result[0]), record)

    async def _answer_to(self, asked: Asked, errand: _Errand) -> Answer:
        depth = depth_of(self.metadata) + 1
        if depth > conf.current().max_ask_depth:
            raise LoopError(f"MAX_ASK_DEPTH is {conf.current().max_ask_depth}: is it a loop?")
        left: float | None = None
        if (timeout := errand.how.get("timeout")) is not None:
            left = timeout - (timezone.now() - asked.created_at).total_seconds()
        async with asyncio.timeout(left):
            return await self._insist_on(asked, errand, depth)

    async def _insist_on(self, asked: Asked, errand: _Errand, depth: int) -> Answer:
        """Return the answer, once there is one, however often the agent is away meanwhile."""
        pause, heard_at = FIRST_PAUSE_SECONDS, asked.heard_at
        while True:
            try:
                async with peers().connect(errand.agent, await self._asker(errand.agent)) as peer:
                    asked, answer = await self._follow(peer, asked, errand, depth)
                if answer is not None:
                    return answer
                pause, heard_at = FIRST_PAUSE_SECONDS, timezone.now()
            except (PeerAwayError, UnavailableError) as error:
                if isinstance(error, NoRoomError) or timezone.now() > heard_at + PATIENCE:
                    raise
            await asyncio.sleep(pause)
            pause = min(LONGEST_PAUSE_SECONDS, 2 * pause)

    async def _follow(
        self, peer: Peer, asked: Asked, errand: _Errand, depth: int
    ) -> tuple[Asked, Answer | None]:
        """Follow what is asked, or ask it; return the answer, or None if the stream broke off."""
        events = (
            peer.follow(asked.remote_id)
            if asked.remote_id
            else peer.ask(
                _message(asked, errand),
                key=str(asked.id),
                metadata={**errand.how.get("metadata", {}), DEPTH: depth},
                accepted_output_modes=errand.how.get("accepted_output_modes", ()),
            )
        )
        async with aclosing(events):
            async for event in events:
                if event.response.message is not None:
                    return asked, event
                if not asked.remote_id:
                    asked = asked._replace(remote_id=event.task_id)
                    await self._writer.persist(note_remote_id, asked.id, event.task_id)
                if event.is_over:
                    break
        answer = await peer.look_at(asked.remote_id)
        return asked, answer if answer.is_over else None

    async def _asker(self, agent: str) -> Any:
        if self.asks_as is not None:
            return await call_hook(self.asks_as, self.caller, agent)
        claim = self._claim
        head, given = claim.head, claim.credentials
        return OnBehalf(
            owner=head.owner,
            user=claim.user,
            credential=given.name,
            scopes=None if given.scopes is None else frozenset(given.scopes),
            handed_on=lambda: unseal(given.handed_on),
        )


@dataclass(frozen=True, slots=True)
class _Record:
    """Records an outcome as `record_step` does, and that what was asked is over."""

    asked: Any
    state: str

    def __call__(self, *recorded: Any) -> None:
        record_reply(self.asked, self.state, *recorded)


def _message(asked: Asked, errand: _Errand) -> Message:
    task = errand.how.get("task", "")
    return Message(
        message_id=str(asked.id),
        role=Role.USER,
        parts=list(errand.parts),
        task_id=task if isinstance(task, str) else task.task_id,
        context_id=errand.how.get("context_id", ""),
    )


def depth_of(metadata: Mapping[str, Any]) -> int:
    """Return how many turns have led to a request, by its metadata."""
    said = metadata.get(DEPTH)
    return said if isinstance(said, int) and said > 0 else 0
