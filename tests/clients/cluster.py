"""The servers of a site over sockets: a client that sends again, and resumes, at the next one."""

import asyncio
from contextlib import AsyncExitStack, suppress
from itertools import cycle
from typing import Any

import httpx
from httpx_sse import SSEError

from tests.clients.sockets import UNAVAILABLE, SocketClient
from tests.wire import message, state

TERMINAL = {"COMPLETED", "FAILED", "CANCELED", "REJECTED"}

Seen = list[tuple[int, dict[str, Any]]]


class ClusterClient:
    """Speaks to one agent through whichever server answers; use as a context manager."""

    def __init__(self, urls: list[str], agent: str) -> None:
        self._clients = [SocketClient(url, agent) for url in urls]
        self._next = cycle(self._clients)
        self._stack = AsyncExitStack()
        self._recovered = asyncio.Event()
        self.sent: dict[str, str] = {}
        """Every message that was sent, by its id, with the task it was answered with, if any."""
        self.resumed = 0
        """How often a stream broke off and was taken up again."""

    async def __aenter__(self) -> "ClusterClient":
        for client in self._clients:
            await self._stack.enter_async_context(client)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._stack.aclose()

    def recovered(self) -> None:
        """Try again at once wherever this client waits, as a server is back."""
        self._recovered.set()

    async def send(self, text: str) -> str:
        """Send until there is an answer, each time as another message, and return the task's id."""
        while True:
            sent = message(text)
            self.sent[sent["messageId"]] = ""
            try:
                answer = await next(self._next).call(
                    "SendMessage", message=sent, configuration={"returnImmediately": True}
                )
            except httpx.TransportError:
                await self._pause()
                continue
            if "error" in answer:
                assert answer["error"]["code"] == UNAVAILABLE, answer
                await self._pause()
                continue
            task_id = self.sent[sent["messageId"]] = str(answer["result"]["task"]["id"])
            return task_id

    async def stream(self, text: str, key: str) -> Seen:
        """Send one message under an idempotency key until there is a stream, and return all of it.

        It is the task's from its first event to its last, over as many streams as that takes.
        """
        seen: Seen = []
        sent = message(text)
        while not seen:
            client = next(self._next).under_key(key)
            try:
                async with client.open("SendStreamingMessage", message=sent) as events:
                    async for event in events:
                        seen.append(event)
            except (httpx.TransportError, SSEError):
                self.resumed += 1
                await self._pause()
        number, item = seen[0]
        task_id = self.sent[sent["messageId"]] = str(item["task"]["id"])
        # Where an answer was lost, the task may have gone on before this stream of it began.
        return await self.follow(task_id, seen[1:] if number == 1 else [])

    async def follow(self, task_id: str, seen: Seen | None = None) -> Seen:
        """Stream a task from its first event to its last, over as many streams as that takes.

        Args:
            task_id: The task.
            seen: What was seen of it already, from the event after the first on.
        """
        seen = seen or []
        while not _has_ended(seen):
            last = str(seen[-1][0]) if seen else "1"
            try:
                opened = next(self._next).open("SubscribeToTask", id=task_id, last_event_id=last)
                async with opened as events:
                    async for event in events:
                        seen.append(event)
                assert _has_ended(seen), "a stream that was not cut off ended before its task"
            except (httpx.TransportError, SSEError):
                self.resumed += 1
                await self._pause()
        assert [number for number, _ in seen] == list(range(2, len(seen) + 2))
        return seen

    async def _pause(self) -> None:
        """Wait until a server is back, and not for long."""
        self._recovered.clear()
        with suppress(TimeoutError):
            async with asyncio.timeout(0.2):
                await self._recovered.wait()


def _has_ended(seen: Seen) -> bool:
    return bool(seen) and state(seen[-1][1]) in TERMINAL
