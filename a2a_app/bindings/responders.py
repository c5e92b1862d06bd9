"""The responder of a request, which performs its operation and writes the response."""

import asyncio
import logging
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable
from contextlib import ExitStack
from functools import partial, wraps
from typing import Any, TypeAlias, TypeVar

from django.core.exceptions import DisallowedHost, PermissionDenied, TooManyFieldsSent
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from ninja.errors import HttpError

from a2a_app import database, logs, protocol, telemetry
from a2a_app.access import START_SECONDS, Guard, guarded
from a2a_app.agents import Agent
from a2a_app.bindings.dialects import CURRENT, Dialect
from a2a_app.bindings.refusals import record_refusal
from a2a_app.bindings.security import declared_security
from a2a_app.bindings.sse import event_stream, single_event
from a2a_app.bindings.threads import hand_thread_back
from a2a_app.bindings.wsgi import do_on_lasting_loop
from a2a_app.concurrency.budget import hold, release_all
from a2a_app.files.links import REFERENCE
from a2a_app.operations import Call, Operation
from a2a_app.operations.limits import note_limit
from a2a_app.operations.streams import Stream, with_file_links
from a2a_app.runners.tracebacks import note_failure

logger = logging.getLogger(__name__)

# With these a hook of the project says that what it has to ask does not answer.
_UNAVAILABLE = (502, 503, 504)

T = TypeVar("T")
View: TypeAlias = Callable[..., Awaitable[HttpResponseBase]]


class Responder(ABC):
    """Writes the response to one request, in the format of a binding."""

    binding = "HTTP+JSON"
    """The binding's name, as cards have it."""
    media_type = "application/json"
    error_event = ""
    """The type of an event that reports an error in a stream; empty if its data says so."""
    errors_are_events = False
    """Whether an error with the status 200 is sent as a stream of one event."""
    dialect: Dialect = CURRENT
    """The dialect of the version that the client asks for, once that is known."""

    @abstractmethod
    def wrap(self, body: str) -> str:
        """Put the JSON of a result or of a StreamResponse into the binding's envelope."""

    @abstractmethod
    def wrap_error(self, error: protocol.A2AError) -> str:
        """Return an error as JSON, in the binding's envelope."""

    @abstractmethod
    def status(self, error: protocol.A2AError) -> int:
        """Return the HTTP status of an error."""

    async def answer(
        self, work: Awaitable[HttpResponseBase], request: HttpRequest, agent: Agent | None = None
    ) -> HttpResponseBase:
        """Return the response that `work` returns, or one that reports its error (R12).

        Args:
            work: What answers the request.
            request: The request.
            agent: The agent of its URL, if it has one.
        """
        outside = logs.subject.get()
        logs.subject.set(logs.Subject(agent=agent.slug if agent else ""))
        try:
            try:
                return await work
            except Exception as error:  # the client must get no page of HTML and no details
                return self.refuse(recorded_refusal(error, request, agent))
        finally:
            # A server that speaks WSGI serves the next request in this very context.
            logs.subject.set(outside)

    async def perform(
        self, operation: Operation, call: Call, params: protocol.Model
    ) -> HttpResponseBase:
        """Perform an operation, and return the response with its result or its stream.

        Args:
            operation: The operation.
            call: The agent, and the caller.
            params: The parameters, checked by `operation.checked_params`.

        Raises:
            A2AError: The operation refused. No stream is open then.
        """
        response = await performed(self._perform, self.binding, operation, call, params)
        if call.extensions:
            response[self.dialect.extensions_header] = ", ".join(call.extensions)
        return response

    async def _perform(
        self, operation: Operation, call: Call, params: protocol.Model
    ) -> HttpResponseBase:
        if operation.streaming is not None:
            return event_stream(
                self.dialect.stream(await stream_of(operation, call, params)),
                wrap=self.wrap,
                wrap_error=self.wrap_error,
                error_event=self.error_event,
            )
        try:
            body = await result_of(operation, call, params)
            response = self._response(self.wrap(self.dialect.result(body)))
        except BaseException:
            release_all(call.held)
            raise
        if call.held:
            response.let_go = hold(call.held, response)
        return response

    def refuse(self, error: protocol.A2AError) -> HttpResponse:
        """Return the response that reports an error."""
        body, status = self.wrap_error(self.dialect.error(error)), self.status(error)
        is_event = status == 200 and self.errors_are_events
        response = single_event(body) if is_event else self._response(body, status=status)
        if response.status_code == 401:
            response["WWW-Authenticate"] = declared_security().challenge
        elif isinstance(error, protocol.UnavailableError) and error.retry_seconds:
            response["Retry-After"] = str(error.whole_seconds)
        return response

    def _response(self, body: str, *, status: int = 200) -> "Answer":
        return Answer(body.encode(), content_type=self.media_type, status=status)


class Answer(HttpResponse):
    """A response that may have room in memory, which it gives back once it is sent."""

    let_go: Callable[[], object] | None = None

    def close(self) -> None:
        """Close the response; Django calls this when it is sent, or its client is gone."""
        super().close()
        if self.let_go is not None:
            self.let_go()


async def performed(
    perform: Callable[[Operation, Call, Any], Awaitable[T]],
    binding: str,
    operation: Operation,
    call: Call,
    params: protocol.Model,
) -> T:
    """Return what `perform` returns, and note for the log, traces and limits what it is about.

    Args:
        perform: Performs the operation, and writes the answer as the binding does.
        binding: The name of the binding, as cards have it.
        operation: The operation.
        call: The agent, and the caller.
        params: The parameters, checked by `operation.checked_params`.
    """
    _note_subject(operation, params)
    try:
        if telemetry.active is None:
            return await perform(operation, call, params)
        with telemetry.active.request(operation.name, binding, call.trace):
            return await perform(operation, call, params)
    except protocol.ResourceExhaustedError as error:
        await note_limit(call.scope.owner, error)
        raise


async def stream_of(operation: Operation, call: Call, params: protocol.Model) -> Stream:
    """Open the stream of an operation that has one: with links to files, and guarded.

    Raises:
        A2AError: The operation refused. No stream is open then.
    """
    assert operation.streaming is not None  # as the caller has seen
    stream = with_file_links(await operation.streaming(call, params), call.links)
    return stream if call.guard is None else guarded(stream, call.guard(operation))


async def result_of(operation: Operation, call: Call, params: protocol.Model) -> str:
    """Return the result of an operation without a stream, as JSON of 1.0 with links to files.

    Room in memory that `call.held` has afterwards is for the caller to release.
    """
    assert operation.unary is not None  # an operation has either this or a stream
    work = operation.unary(call, params)
    if call.guard is not None:
        work = _wait(work, partial(call.guard, operation))
    # A server that cannot stream ends each request's event loop with the request.
    result = await (work if call.can_stream else do_on_lasting_loop(work))
    body = result.to_json()
    return call.links.replace_in_json(body) if REFERENCE in body else body


def _note_subject(operation: Operation, params: protocol.Model) -> None:
    """Have the log tell what the client asks for, with the task and the conversation it names."""
    # Not by attributes: pydantic takes long to say that a model has none of that name.
    named = vars(params)
    if "message" in named:
        named = vars(named["message"])
    # Where there are both, `id` is that of a webhook.
    task, context = named.get("task_id") or named.get("id") or "", named.get("context_id") or ""
    subject = logs.subject.get()._replace(operation=operation.name, task=task, context=context)
    logs.subject.set(subject)


def recorded_refusal(
    error: Exception, request: HttpRequest, agent: Agent | None = None
) -> protocol.A2AError:
    """Return what a client is told of any error; log a fault, and for security a refusal."""
    refusal = error if isinstance(error, protocol.A2AError) else refusal_of(error)
    record_refusal(refusal, request, agent)
    return refusal


def refusal_of(error: Exception) -> protocol.A2AError:
    """Return what a client is told of an error that is none of the protocol; log a fault."""
    match error:
        case PermissionDenied():  # raised by a hook of the project, as is HttpError
            return protocol.PermissionDeniedError(str(error) or None)
        case HttpError(status_code=status) if status in _UNAVAILABLE:
            return protocol.UnavailableError(str(error) or None)
        case DisallowedHost():  # an answer has a URL in it, which repeats the host
            return protocol.InvalidRequestError("The Host of the request is not allowed here.")
        case TooManyFieldsSent():  # Django's DATA_UPLOAD_MAX_NUMBER_FIELDS
            return protocol.InvalidRequestError("The query has too many parameters.")
    if database.note_away(error):
        return protocol.UnavailableError()
    reference = note_failure(error)
    logger.exception("A request failed; reference %s.", reference)
    return protocol.InternalError(f"Internal error. Reference: {reference}")


async def _wait(work: Awaitable[T], guard: Callable[[asyncio.Timeout], Guard]) -> T:
    """Wait for the result of an operation; one that takes long is guarded, as a stream is.

    Nor has it a thread then, as long as nothing needs one (R14).
    """
    guards: list[Guard] = []
    handing_back: list[asyncio.Task[None]] = []
    with ExitStack() as entered:

        def watch() -> None:
            guards.append(entered.enter_context(guard(limit)))
            handing_back.append(asyncio.create_task(hand_thread_back()))

        timer = asyncio.get_running_loop().call_later(START_SECONDS, watch)
        try:
            async with asyncio.timeout(None) as limit:
                return await work
        except TimeoutError:
            if guards and guards[0].refusal is not None:
                raise guards[0].refusal from None
            raise
        finally:
            timer.cancel()
            # The request may end now, and its thread go to another.
            if handing_back:
                await asyncio.gather(*handing_back)


def with_refusals(
    view: View,
    answer_refused: View,
    refuse: Callable[[HttpRequest, Exception], HttpResponseBase],
) -> View:
    """Return a view for the hosts that are allowed, whose refusals of a verb a function answers.

    Args:
        view: The view.
        answer_refused: Takes the view, its response with status 405, the request, and the fields of
            the path.
        refuse: Takes the request, and Django's DisallowedHost.
    """

    @wraps(view)
    async def served(request: HttpRequest, *args: str, **fields: str) -> HttpResponseBase:
        try:
            # Not all views need the host, and Django's own middleware may be bypassed.
            request.get_host()
        except DisallowedHost as error:
            return refuse(request, error)
        response = await view(request, *args, **fields)
        if response.status_code != 405:
            return response
        return await answer_refused(view, response, request, *args, **fields)

    return served
