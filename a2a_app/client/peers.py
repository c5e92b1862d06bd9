"""Peers: the agents that turns ask, of this project and elsewhere, by the client of the project."""

import asyncio
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing, asynccontextmanager
from typing import Any
from uuid import UUID

from a2a_app.agents.answers import Answer
from a2a_app.agents.durable.peers import Asking, PeerAwayError
from a2a_app.bindings.remote_tasks import webhook_for
from a2a_app.client.refusals import NOT_TAKEN, UnreachableError
from a2a_app.client.remote import RemoteAgent, agent_here
from a2a_app.protocol import Message

# The pauses between looks at a task that cannot be followed by a stream.
FIRST_LOOK_SECONDS = 0.5
LONGEST_LOOK_SECONDS = 30.0


class ClientPeers:
    """All other agents, which a turn asks by the client."""

    def is_local(self, agent: str) -> bool:
        """Tell whether an agent, by its name or URL, is one of this project."""
        return agent_here(agent) is not None

    @asynccontextmanager
    async def connect(self, agent: str, asking: Asking) -> AsyncGenerator["ClientPeer", None]:
        """Connect to an agent; raise PeerAwayError also for what is done with it later."""
        try:
            async with RemoteAgent(agent, user=asking) as remote:
                try:
                    yield ClientPeer(remote)
                except NOT_TAKEN as error:
                    if not remote.is_card_kept:
                        raise
                    # The next connection asks for the card, and what is final is so then.
                    raise PeerAwayError(str(error)) from error
        except UnreachableError as error:
            raise PeerAwayError(str(error)) from error


class ClientPeer:
    """Another agent, as a turn asks it."""

    def __init__(self, remote: RemoteAgent) -> None:
        """Ask an agent to which there is a connection."""
        self._remote = remote

    async def ask(
        self,
        message: Message,
        *,
        key: str,
        metadata: Mapping[str, Any],
        accepted_output_modes: Sequence[str],
    ) -> AsyncGenerator[Answer, None]:
        """Send a message, once for each key, and yield what comes until the task rests or ends."""
        how: Any = {
            "idempotency_key": key,
            "metadata": dict(metadata),
            "accepted_output_modes": accepted_output_modes,
        }
        if not self._remote.card.capabilities.streaming:
            answer = await self._remote.send(message, **how, return_immediately=True)
            yield answer
            async with aclosing(self._look_again(answer)) as answers:
                async for answer in answers:
                    yield answer
            return
        async with aclosing(self._remote.stream(message, **how)) as events:
            async for event in events:
                yield event

    async def follow(self, task_id: str) -> AsyncGenerator[Answer, None]:
        """Yield a task as it is, and what comes after until it rests or ends."""
        answer = await self.look_at(task_id)
        yield answer
        if answer.is_over:
            return
        streams = self._remote.card.capabilities.streaming
        following = self._remote.subscribe(task_id) if streams else self._look_again(answer)
        async with aclosing(following) as answers:
            async for answer in answers:
                yield answer

    async def look_at(self, task_id: str) -> Answer:
        """Return a task as it is, without its history."""
        return await self._remote.get(task_id, history_length=0)

    async def call_us(self, task_id: str, asked: UUID) -> bool:
        """Ask the agent to tell us by a webhook what becomes of a task."""
        url, token = webhook_for(asked)
        if not (url and self._remote.card.capabilities.push_notifications):
            return False
        await self._remote.add_webhook(task_id, url, token=token, key=str(asked))
        return True

    async def cancel(self, task_id: str) -> None:
        """Cancel a task."""
        await self._remote.cancel(task_id)

    async def _look_again(self, answer: Answer) -> AsyncGenerator[Answer, None]:
        pause = FIRST_LOOK_SECONDS
        while not answer.is_over:
            await asyncio.sleep(pause)
            pause = min(LONGEST_LOOK_SECONDS, 1.5 * pause)
            answer = await self.look_at(answer.task_id)
            yield answer
