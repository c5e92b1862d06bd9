"""The client of asynchronous tests: it speaks to one agent, through the whole project."""

import asyncio
import json
from collections.abc import AsyncGenerator, Mapping
from contextlib import AsyncExitStack, aclosing
from types import TracebackType
from typing import Any, Self, Unpack

from django.http.response import HttpResponseBase
from django.test import AsyncClient as DjangoClient
from django.urls import reverse

from a2a_app import protocol, signals
from a2a_app.agents.answers import Answer, Event
from a2a_app.agents.extensions import TASK_GENERATIONS
from a2a_app.client.connection import generation_headers
from a2a_app.client.messages import Said, Sending, generation_of, id_of, request_to_send
from a2a_app.client.refusals import refusal_of
from a2a_app.protocol import AgentCard, ListTasksRequest, ListTasksResponse
from a2a_app.testing.agents import Subject, served
from a2a_app.testing.callers import SOMEBODY, sign_in, sign_out
from a2a_app.testing.clock import Clock
from a2a_app.testing.runtime import Runtime, running, within
from a2a_app.testing.wire import WIRES, Json, read_events

# How much of a page an error shows that is no answer of ours.
MOST_SHOWN = 300


class AsyncClient:
    """Speaks to one agent of the project in the test's own process; use as `async with`.

    Each request goes through the project's middleware, URLs and authenticators, and each turn is
    run, as on a server. Nothing is sent over a network. In a test with a transaction, such as
    Django's TestCase, all of it is done inside that transaction.

    When the last client of a test ends, turns that are still under way are given up.
    """

    def __init__(
        self,
        agent: Subject,
        *,
        user: Any = SOMEBODY,
        version: str = protocol.VERSION,
        headers: Mapping[str, str] | None = None,
        generations: bool = False,
        seconds: float = 10.0,
    ) -> None:
        """Make a client.

        Args:
            agent: The agent: its slug, or the function or class that is its code. One that is not
                registered is for as long as the client.
            user: The caller, whatever the project's authenticators say: a user, or what else an
                authenticator may return. Without it: a known caller who is no user. None: nobody,
                so that the headers decide.
            version: The version of the protocol, 1.0 or 0.3.
            headers: Headers of all requests, such as credentials for the project's authenticators.
            generations: Whether answers and events are to say their generations, for which the
                settings need `DRAFTS = ["1.1"]`.
            seconds: How long an answer, or the next event of a stream, may take.
        """
        self._subject, self._user, self._seconds = agent, user, seconds
        self._wire = WIRES[version]
        self._headers = {protocol.VERSION_HEADER: version, **(headers or {})}
        if generations:
            self._headers[protocol.EXTENSIONS_HEADER] = TASK_GENERATIONS.uri
        self._http = DjangoClient(raise_request_exception=False)
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> Self:
        async with AsyncExitStack() as stack:
            self._runtime: Runtime = await stack.enter_async_context(running())
            self._loop = asyncio.get_running_loop()
            self.agent = stack.enter_context(served(self._subject))
            if self._user is not None:
                caller = sign_in(self._user)
                stack.callback(sign_out, caller)
                self._headers |= caller
            self._stack = stack.pop_all()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._stack.aclose()

    @property
    def clock(self) -> Clock:
        """The clock that the agent's limits go by."""
        return self._runtime.clock(self._loop)

    async def send(self, said: Said, **how: Unpack[Sending]) -> Answer:
        """Send something, and return the answer: a task that has ended or asks, or a message.

        Raises:
            A2AError: The agent refuses.
            TimeoutError: There is no answer.
        """
        params = self._wire.params(request_to_send(said, **how))
        headers = self._generation_headers(required=how.get("if_generation"))
        return Answer(self._wire.event(await self._result("SendMessage", params, headers)))

    async def stream(self, said: Said, **how: Unpack[Sending]) -> AsyncGenerator[Event, None]:
        """Send something, and yield the events of the stream as they come.

        The errors are those of `send`.
        """
        params = self._wire.params(request_to_send(said, **how))
        headers = self._generation_headers(required=how.get("if_generation"))
        async with aclosing(self._events("SendStreamingMessage", params, headers)) as events:
            async for event in events:
                yield event

    async def subscribe(
        self, task: Answer | str, *, after: Answer | int | None = None
    ) -> AsyncGenerator[Event, None]:
        """Yield the task as it is now, and then its events; or those after a generation only.

        The errors are those of `send`.
        """
        params, headers = {"id": id_of(task)}, self._generation_headers(after)
        async with aclosing(self._events("SubscribeToTask", params, headers)) as events:
            async for event in events:
                yield event

    async def get(
        self,
        task: Answer | str,
        *,
        history_length: int | None = None,
        newer_than: Answer | int | None = None,
    ) -> Answer:
        """Return a task as it is now, or once it is newer than a generation.

        The errors are those of `send`.
        """
        limit = {} if history_length is None else {"historyLength": history_length}
        params, headers = {"id": id_of(task), **limit}, self._generation_headers(newer_than)
        found = await self._result("GetTask", params, headers)
        return Answer.of(self._wire.task(found))

    async def list(self, **asked: Any) -> list[Answer]:
        """Return the caller's tasks with the agent, the newest first, from all pages.

        Args:
            **asked: The fields of ListTasksRequest.
        """
        found: list[Answer] = []
        while True:
            params = ListTasksRequest(**asked).to_dict()
            page = ListTasksResponse.from_dict(await self.call("ListTasks", params))
            found += [Answer.of(task) for task in page.tasks]
            if not page.next_page_token:
                return found
            asked["page_token"] = page.next_page_token

    async def cancel(
        self, task: Answer | str, *, if_generation: Answer | int | None = None
    ) -> Answer:
        """Cancel a task, if it has a generation, and return it. The errors are those of `send`."""
        headers = self._generation_headers(required=if_generation)
        found = await self._result("CancelTask", {"id": id_of(task)}, headers)
        return Answer.of(self._wire.task(found))

    async def wait(self, task: Answer | str) -> Answer:
        """Wait until a task has ended or asks for something, and return it as it is then."""
        try:
            async with aclosing(self.subscribe(task)) as events:
                async for event in events:
                    if event.is_over:
                        break
        except protocol.UnsupportedOperationError:
            pass  # It has ended already.
        return await self.get(task)

    async def card(self) -> AgentCard:
        """Return the agent's card for the caller, as version 1.0 has it."""
        url = reverse("a2a:agent_card", args=[self.agent.slug])
        response = await self._http.get(url, headers=self._headers, secure=True)
        async with aclosing(_envelopes(response)) as envelopes:
            _, card = await anext(envelopes)
        return AgentCard.from_dict(card)

    async def call(self, method: str, params: Json | None = None) -> Any:
        """Call a method by its name in 1.0, and return the JSON of its result.

        The errors are those of `send`.
        """
        return await self._result(method, params or {}, {})

    def _generation_headers(
        self, after: Answer | int | None = None, *, required: Answer | int | None = None
    ) -> dict[str, str]:
        headers = generation_headers(generation_of(after), generation_of(required))
        if headers and TASK_GENERATIONS not in self.agent.declared_extensions:
            raise RuntimeError("For generations the settings need A2A['DRAFTS'] = ['1.1'].")
        return headers

    async def _result(self, method: str, params: Json, headers: dict[str, str]) -> Any:
        async with within(self._seconds, self._silence):
            response = await self._post(method, params, headers)
            async with aclosing(_envelopes(response)) as envelopes:
                _, envelope = await anext(envelopes)
            await signals.settled()
        return _result_in(envelope)

    async def _events(
        self, method: str, params: Json, headers: dict[str, str]
    ) -> AsyncGenerator[Event, None]:
        async with within(self._seconds, self._silence):
            response = await self._post(method, params, headers)
        async with aclosing(_envelopes(response)) as envelopes:
            while True:
                async with within(self._seconds, self._silence):
                    found = await anext(envelopes, None)
                    if found is None:
                        await signals.settled()
                        return
                number, envelope = found
                yield Event(self._wire.event(_result_in(envelope)), number)

    async def _post(self, method: str, params: Json, headers: dict[str, str]) -> HttpResponseBase:
        name = self._wire.names.get(method, method)
        body = {"jsonrpc": "2.0", "id": 1, "method": name, "params": params}
        return await self._http.post(
            reverse("a2a:jsonrpc", args=[self.agent.slug]),
            json.dumps(body),
            content_type="application/json",
            headers=self._headers | headers,
            # Or a project that redirects to https would do so here.
            secure=True,
        )

    @property
    def _silence(self) -> str:
        return f"The agent {self.agent.slug!r} has not answered"


async def _envelopes(response: Any) -> AsyncGenerator[tuple[int | None, Json], None]:
    """Yield the JSON of an answer, or of each event of a stream with the event's number."""
    kind = response["Content-Type"].partition(";")[0]
    if kind == "text/event-stream":
        async with aclosing(read_events(_chunks(response))) as events:
            async for event in events:
                yield event
    elif kind == "application/json":
        yield None, json.loads(response.content)
    else:
        # A page of the project's: of its middleware, or because the URLs are not where they seem.
        page = getattr(response, "content", b"")[:MOST_SHOWN].decode(errors="replace")
        raise RuntimeError(f"The project answered {response.status_code} {kind}: {page}")


async def _chunks(response: Any) -> AsyncGenerator[bytes, None]:
    if not response.streaming:  # an error of 0.3 is a stream that is there already
        yield response.content
        return
    async with aclosing(response.streaming_content) as chunks:
        async for chunk in chunks:
            yield chunk


def _result_in(envelope: Json) -> Any:
    if "error" in envelope:
        raise refusal_of(envelope["error"])
    return envelope["result"]
