"""Remote agents: agents elsewhere, or of the same project, as a client calls them."""

import asyncio
from collections.abc import AsyncGenerator, Mapping
from contextlib import AsyncExitStack, aclosing
from types import TracebackType
from typing import Any, Self, Unpack
from uuid import uuid4

import httpx
from django.views.decorators.debug import sensitive_variables

from a2a_app import conf, database, directory, protocol
from a2a_app.agents import Agent, AgentNotFoundError, registry
from a2a_app.agents.answers import Answer, Event
from a2a_app.agents.extensions import IDEMPOTENT_SENDING, TASK_GENERATIONS
from a2a_app.client.connection import Connection, Request
from a2a_app.client.credentials import credentials_hook
from a2a_app.client.local import LocalConnection, local_agent
from a2a_app.client.messages import Said, Sending, generation_of, id_of, request_to_send
from a2a_app.client.refusals import RemoteAgentError, UnreachableError
from a2a_app.client.resumption import Tries
from a2a_app.client.tracing import ask, follow
from a2a_app.concurrency.hooks import call_hook
from a2a_app.conf import RemoteAgentSettings
from a2a_app.directory import Known
from a2a_app.protocol import (
    AgentCard,
    CancelTaskRequest,
    GetTaskRequest,
    ListTasksRequest,
    ListTasksResponse,
    Model,
    SendMessageResponse,
    SubscribeToTaskRequest,
    Task,
    TaskPushNotificationConfig,
    TaskState,
)

# How often a task is looked at where the server does not let one wait for it.
POLL_SECONDS = 0.5


class RemoteAgent:
    """An agent that this project calls; use it as `async with`.

    Where nobody answers, requests that may be sent again are, a few times. A stream that breaks off
    is taken up again: after the last event that was seen, where the server has our extension for
    it, and else with the task as it is then.
    """

    def __init__(
        self,
        agent: str,
        *,
        user: Any = None,
        credentials: str | Mapping[str, str] = "",
        headers: Mapping[str, str] | None = None,
        binding: str = "",
        version: str = "",
        generations: bool = False,
        seconds: float = 60.0,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        """Name an agent, and how it is called.

        Args:
            agent: Its name in REMOTE_AGENTS or in the directory, its URL, or that of its card; or
                the slug of an agent of this project. Agents of this project are called without
                HTTP.
            user: The caller, for agents of this project: a user, or what else an authenticator may
                return.
            credentials: For agents elsewhere, in place of those in the settings: the credentials
                for each security scheme of the card; or one for whichever scheme it is.
            headers: More headers of each request.
            binding: JSONRPC or HTTP+JSON. Empty: what the agent prefers.
            version: 1.0 or 0.3. Empty: the newest that the agent has.
            generations: Whether answers and events are to say their generations. Where the card
                does not have the extension for them, nothing is sent, and RemoteAgentError raised.
            seconds: How long an answer, or a sign of life in a stream, may take.
            transport: What takes the requests, such as one with a proxy or a certificate. It goes
                wherever it is sent. None: one that goes to public addresses only, and to the hosts
                in REMOTE_AGENTS.
        """
        self.name = agent
        self._user = user
        self._credentials, self._headers = credentials, dict(headers or {})
        self._binding, self._version = binding, version
        self._generations = generations
        self._seconds, self._transport = seconds, transport
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> Self:
        tries = Tries(self.name)
        while True:
            connection = await self._connection_to(self.name)
            try:
                self._connection = await self._stack.enter_async_context(connection)
                return self
            except (UnreachableError, protocol.UnavailableError) as error:
                await tries.pause(error)

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._stack.aclose()

    @property
    def card(self) -> AgentCard:
        """The agent's card."""
        return self._connection.card

    @property
    def is_card_kept(self) -> bool:
        """Whether the card is from an earlier connection, and nobody was asked for a newer one."""
        return self._connection.is_card_kept

    async def send(self, said: Said, **how: Unpack[Sending]) -> Answer:
        """Send something, and return the answer: a task that has ended or asks, or a message.

        Raises:
            A2AError: The agent refuses.
            UnreachableError: There is no connection to the agent, also after some tries.
            RemoteAgentError: It does not speak the protocol.
        """
        if how.get("return_immediately") or not self.card.capabilities.streaming:
            sent = self._sending("SendMessage", said, how)
            answer = Answer.of(SendMessageResponse.from_dict(await self._ask(sent)))
            while not (answer.is_over or how.get("return_immediately")):
                await asyncio.sleep(POLL_SECONDS)
                answer = await self.get(answer, history_length=how.get("history_length"))
            return answer
        newest: Event | None = None
        async with aclosing(self._follow_answer(said, how)) as events:
            async for event in events:
                newest = event
        if newest is None:
            raise RemoteAgentError("The agent has answered with nothing.")
        if newest.response.message is not None:
            return newest
        return await self.get(newest, history_length=how.get("history_length"))

    async def stream(self, said: Said, **how: Unpack[Sending]) -> AsyncGenerator[Event, None]:
        """Send something, and yield the events of the stream as they come.

        An agent that does not stream has one event: the answer. The errors are those of `send`.
        """
        if not self.card.capabilities.streaming:
            yield Event((await self.send(said, **how)).response)
            return
        async with aclosing(self._follow_answer(said, how)) as events:
            async for event in events:
                yield event

    async def subscribe(
        self, task: Answer | str, *, after: Answer | int | None = None
    ) -> AsyncGenerator[Event, None]:
        """Yield the task as it is now, and then its events. The errors are those of `send`.

        Args:
            task: The task, or an answer that has it.
            after: A generation, or an answer that says it. The stream has what came after it, and
                not the task, which may have ended since.
        """
        params = SubscribeToTaskRequest(id=id_of(task))
        request = self._request("SubscribeToTask", params, after=after)
        async with aclosing(follow(self._connection, request, self.name)) as events:
            async for event in events:
                yield event

    async def get(
        self,
        task: Answer | str,
        *,
        history_length: int | None = None,
        newer_than: Answer | int | None = None,
    ) -> Answer:
        """Return a task as it is now. The errors are those of `send`.

        Args:
            task: The task, or an answer that has it.
            history_length: How many messages its history has at most. Without it: all.
            newer_than: A generation, or an answer that says it. The server waits for a newer one
                for as long as it likes, unless the task has ended, and then tells how it is.
        """
        params = GetTaskRequest(id=id_of(task), history_length=history_length)
        return await self._task(self._request("GetTask", params, after=newer_than))

    async def list(self, **asked: Any) -> AsyncGenerator[Answer, None]:
        """Yield the caller's tasks with the agent, page by page. The errors are those of `send`.

        Args:
            **asked: The fields of ListTasksRequest.
        """
        while True:
            request = self._request("ListTasks", ListTasksRequest(**asked))
            page = ListTasksResponse.from_dict(await self._ask(request))
            for task in page.tasks:
                yield Answer.of(task)
            if not page.next_page_token:
                return
            asked["page_token"] = page.next_page_token

    async def cancel(
        self, task: Answer | str, *, if_generation: Answer | int | None = None
    ) -> Answer:
        """Cancel a task, and return it. The errors are those of `send`.

        Args:
            task: The task, or an answer that has it.
            if_generation: The generation that the task must have, or that of an answer. If it has
                another one, TaskGenerationMismatchError is raised, and it goes on.
        """
        request = self._request(
            "CancelTask", CancelTaskRequest(id=id_of(task)), required=if_generation
        )
        try:
            return await self._task(request)
        except protocol.TaskNotCancelableError:
            # An earlier try may have canceled it, and its answer was lost.
            found = await self.get(task)
            if found.state is TaskState.CANCELED:
                return found
            raise

    async def add_webhook(
        self, task: Answer | str, url: str, *, token: str = "", key: str = ""
    ) -> None:
        """Have the agent send the events of a task to a URL. The errors are those of `send`.

        Args:
            task: The task.
            url: The URL.
            token: What each notification has to have in `X-A2A-Notification-Token`.
            key: The id of the configuration. One that the task has already is replaced.
        """
        params = TaskPushNotificationConfig(id=key, task_id=id_of(task), url=url, token=token)
        await self._ask(Request(operation="CreateTaskPushNotificationConfig", params=params))

    async def _task(self, request: Request) -> Answer:
        return Answer.of(Task.from_dict(await self._ask(request)))

    async def _ask(self, request: Request) -> dict[str, Any]:
        return await ask(self._connection, request, self.name)

    def _follow_answer(self, said: Said, how: Sending) -> AsyncGenerator[Event, None]:
        request = self._sending("SendStreamingMessage", said, how)
        return follow(self._connection, request, self.name)

    def _sending(self, operation: str, said: Said, how: Sending) -> Request:
        is_safe = self._connection.has_extension(IDEMPOTENT_SENDING.uri)
        return self._request(
            operation,
            request_to_send(said, **how),
            idempotency_key=(how.get("idempotency_key") or uuid4().hex) if is_safe else "",
            required=how.get("if_generation"),
        )

    def _request(
        self,
        operation: str,
        params: Model,
        *,
        idempotency_key: str = "",
        after: Answer | int | None = None,
        required: Answer | int | None = None,
    ) -> Request:
        """Return a request; raise RemoteAgentError if the agent would ignore its generations."""
        if self._generations or (after, required) != (None, None):
            self._check_generations()
        return Request(
            operation=operation,
            params=params,
            idempotency_key=idempotency_key,
            extensions=(TASK_GENERATIONS.uri,) if self._generations else (),
            current_generation=generation_of(after),
            required_generation=generation_of(required),
        )

    def _check_generations(self) -> None:
        if not self._connection.has_extension(TASK_GENERATIONS.uri):
            raise RemoteAgentError("The agent does not know generations: its card says nothing.")

    @sensitive_variables()
    async def _connection_to(self, name: str) -> Connection:
        found = agent_here(name)
        if found is not None:
            return LocalConnection(found, self._user)
        given = conf.current().remote_agents.get(name)
        known: RemoteAgentSettings | Known | None = given
        if known is None and "://" not in name:
            known = await database.read(directory.find, name)
        if known is None and "://" not in name:
            raise RemoteAgentError(
                f"{name!r} is no URL, no agent of this project, and neither in "
                "A2A['REMOTE_AGENTS'] nor in the directory."
            )
        try:
            from a2a_app.client.sdk import Place, SdkConnection  # loaded here: needs an extra
        except ImportError as error:
            raise RemoteAgentError(f"Agents elsewhere need the extra 'client': {error}") from None
        credentials: Any = self._credentials or (given.auth_credentials if given else "")
        if not credentials and given and given.auth_credentials_from:
            credentials = await call_hook(credentials_hook(name), name)
        return SdkConnection(
            Place(
                url=known.url if known else name,
                name=name,
                is_trusted=given is not None,
                credentials=credentials,
                headers={**(given.headers if given else {}), **self._headers},
                hosts=given.hosts if given else (),
                signature=known.signature if known else "check",
                key=known.key if known else "",
                binding=self._binding,
                version=self._version,
                seconds=self._seconds,
                transport=self._transport,
            )
        )


def agent_here(name: str) -> Agent | None:
    """Return the agent of this project that a name, a slug or a URL leads to; None: it is none."""
    given = conf.current().remote_agents.get(name)
    url = given.url if given else name
    if "://" in url:
        return local_agent(url)
    try:
        return registry.get(name)
    except AgentNotFoundError:
        return None
