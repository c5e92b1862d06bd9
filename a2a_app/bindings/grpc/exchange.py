"""One call of gRPC, which is read, performed and answered as a request of HTTP is."""

import asyncio
import logging
from collections import Counter
from contextlib import aclosing, suppress
from dataclasses import dataclass, replace
from typing import Any

import grpc
from django.http import Http404
from django.views.decorators.debug import sensitive_variables
from google.protobuf.message import Message

from a2a_app import conf, logs, protocol, telemetry
from a2a_app.access import START_SECONDS
from a2a_app.agents import Agent, AgentNotFoundError, registry
from a2a_app.bindings.callers import visible_agent
from a2a_app.bindings.calls import admit, call_of, header, version_of
from a2a_app.bindings.dialects import Method
from a2a_app.bindings.grpc.messages import make_message, read_message
from a2a_app.bindings.grpc.request import AGENT_KEY, request_of
from a2a_app.bindings.grpc.statuses import refuse
from a2a_app.bindings.interfaces import GRPC
from a2a_app.bindings.responders import performed, recorded_refusal, result_of, stream_of
from a2a_app.bindings.sse import failure_of
from a2a_app.bindings.threads import hand_thread_back
from a2a_app.concurrency.budget import release_all
from a2a_app.operations import Call, Operation
from a2a_app.operations.streams import Stream

logger = logging.getLogger(__name__)

MAX_REPEATED_CHARACTERS = 100


@dataclass(frozen=True, slots=True)
class Form:
    """A method in one version, with its messages."""

    method: Method
    asked: type[Message]
    answered: type[Message]


@dataclass(frozen=True, slots=True)
class Rpc:
    """A method of a service."""

    path: str
    """The service and the method, as gRPC names them: `/lf.a2a.v1.A2AService/GetTask`."""
    forms: dict[str, Form]
    """What it is in each version of the service. The first is for calls that name no version."""


class StalledError(protocol.UnavailableError):
    """The client took nothing of the answer for too long."""


class Exchange:
    """One call, from its metadata to its last answer.

    All calls are read and written as streams, which is the same for a client. So nothing is read
    before the caller is known, and no frame of grpc holds the request for as long as a stream is
    open (R14).
    """

    def __init__(self, rpc: Rpc, context: Any, stalled: Counter[str]) -> None:
        """Make the exchange of a call.

        Args:
            rpc: The method.
            context: What grpc knows of the call.
            stalled: How many calls of each owner have clients that take nothing.
        """
        self._rpc = rpc
        self._version, self._form = next(iter(rpc.forms.items()))
        self._stalled = stalled
        self._owner = ""
        self._context = context
        self._request = request_of(rpc.path, context)
        self._agent: Agent | None = None
        self._is_open = False

    @property
    def is_streaming(self) -> bool:
        """Whether the answer is a stream."""
        return self._form.method.operation.streaming is not None

    async def perform(self) -> None:
        """Read the call, perform its operation, and send the answer.

        Raises:
            Exception: Whatever `refusal_of` takes.
        """
        logs.subject.set(logs.Subject())
        stream = await self._begun()
        if stream is not None:
            self._is_open = True
            await self._send_all(self._form.method.dialect.stream(stream))

    def refusal_of(self, error: Exception) -> protocol.A2AError:
        """Return what the client is told of an error; log one that is a fault."""
        if self._is_open:
            return failure_of(error)
        return recorded_refusal(error, self._request, self._agent)

    async def refuse(self, error: protocol.A2AError) -> None:
        """End the call with an error, once the client has taken what was sent before.

        Nothing but that can end a call: grpc has no way to cut one off. So those that wait for it
        are counted, by owner.
        """
        stalled = [self._owner] if isinstance(error, StalledError) else []
        self._stalled.update(stalled)
        try:
            # The client, or the server, may be gone.
            with suppress(grpc.aio.InternalError):
                await refuse(self._context, self._form.method.dialect, error)
        finally:
            self._stalled.subtract(stalled)
            if not self._stalled[self._owner]:
                del self._stalled[self._owner]

    async def _begun(self) -> Stream | None:
        """Read the call and perform its operation; return the stream if there is one, to be sent.

        A function of its own, as a stream lasts, and what the client has said may be large (R14).
        """
        call, params = await self._read()
        return await performed(self._answer, GRPC, self._form.method.operation, call, params)

    @sensitive_variables("params", "given")
    async def _read(self) -> tuple[Call, protocol.Params]:
        """Read the call, and check it.

        A function of its own, so that the message is not held in memory while the call lasts.
        """
        self._choose_form()
        operation, dialect = self._form.method.operation, self._form.method.dialect
        caller = await admit(self._request)
        given = dialect.params(await read_message(self._form.asked, await self._received()))
        named = given.get("tenant", "")
        self._agent = agent = await self._named_agent(given)
        call = await call_of(self._request, agent, caller, dialect, given)
        # What names a tenant in an answer does so as the client has, and the card.
        call = replace(call, tenant=named)
        return call, await operation.checked_params(call, given)

    def _choose_form(self) -> None:
        """Go on in the version that the call names; raise VersionNotSupportedError."""
        version = version_of(self._request, implied=self._version)
        if version not in self._rpc.forms:
            supported = ", ".join(self._rpc.forms)
            raise protocol.VersionNotSupportedError(
                f"This service is that of version {supported}, and not of {version}.",
                requested=version,
                supported=supported,
            )
        self._form = self._rpc.forms[version]

    @sensitive_variables("body")
    async def _received(self) -> bytes:
        """Return the message that the client sends, which has no thread to wait for it (R14)."""
        seconds = conf.current().reader_seconds
        reading = asyncio.ensure_future(self._context.read())
        try:
            async with asyncio.timeout(seconds):
                await asyncio.wait([reading], timeout=START_SECONDS)
                if not reading.done():
                    await hand_thread_back()
                body = await reading
        except TimeoutError:
            raise protocol.InvalidRequestError(
                f"The message of the call did not come within {seconds:g} seconds."
            ) from None
        finally:
            reading.cancel()
        if not isinstance(body, bytes):  # the client has sent none
            raise protocol.InvalidRequestError("The call has no message.")
        return body

    async def _named_agent(self, given: dict[str, Any]) -> Agent:
        """Return the agent that a call is for, and leave its tenant, if there is one, in `given`.

        The metadata names it, or the beginning of `tenant` does, as in the card: `slug/tenant`.
        Otherwise it is the site's.
        """
        slug = header(self._request, AGENT_KEY)
        if not slug:
            slug, _, given["tenant"] = given.get("tenant", "").partition("/")
        try:
            return await visible_agent(self._request, slug or registry.default().slug)
        except Http404:
            problem = f"names no agent: {slug[:MAX_REPEATED_CHARACTERS]!r}"
        except AgentNotFoundError as error:
            problem = f"or {AGENT_KEY} must name an agent. {error}"
        raise protocol.InvalidParamsError.of("tenant", problem)

    async def _answer(
        self, operation: Operation, call: Call, params: protocol.Params
    ) -> Stream | None:
        """Open the stream of an operation and return it; or send the result, and return None."""
        self._check_stalled(call.scope.owner)
        if call.extensions:
            name = self._form.method.dialect.extensions_header.lower()
            await self._context.send_initial_metadata(((name, ", ".join(call.extensions)),))
        if self.is_streaming:
            return await stream_of(operation, call, params)
        try:
            body = await result_of(operation, call, params)
            await self._send(self._form.method.dialect.result(body))
        finally:
            release_all(call.held)
        return None

    def _check_stalled(self, owner: str) -> None:
        self._owner = owner
        most = conf.current().streams_per_owner
        if most and self._stalled[owner] >= most:
            raise protocol.ResourceExhaustedError(
                f"You have {most} calls whose answers you do not read.",
                limit="STREAMS_PER_OWNER",
            )

    async def _send_all(self, stream: Stream) -> None:
        with telemetry.open_stream():
            async with aclosing(stream):
                async for items in stream:
                    for item in items:
                        await self._send(item.body)
                    del items
                    await hand_thread_back()

    async def _send(self, body: str) -> None:
        """Send a message once the client has taken those before it."""
        message = await make_message(self._form.answered, body)
        seconds = conf.current().reader_seconds
        try:
            async with asyncio.timeout(seconds):
                await self._context.write(message)
        except TimeoutError:
            client = self._context.peer()
            logger.warning("Cut off %s, which took nothing for %g seconds.", client, seconds)
            raise StalledError from None
