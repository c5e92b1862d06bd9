"""Forms: how one request's answer is written, whatever the binding; and an operation, performed."""

import logging
from abc import ABC, abstractmethod
from collections.abc import Awaitable
from typing import Any
from uuid import uuid4

from django.core.exceptions import PermissionDenied
from django.http import HttpResponse
from django.http.response import HttpResponseBase

from a2a_app import protocol
from a2a_app.bindings.dialects import CURRENT, Dialect
from a2a_app.bindings.security import declared_security
from a2a_app.bindings.sse import event_stream
from a2a_app.operations import Call, Operation
from a2a_app.operations.streams import linked

logger = logging.getLogger(__name__)


class Responder(ABC):
    """How a binding writes what goes out in answer to one request."""

    media_type = "application/json"
    error_event = ""
    """The type of a stream's event that is an error, where the event itself does not say so."""
    dialect: Dialect = CURRENT
    """That of the version asked for, from when it is known."""

    @abstractmethod
    def wrap(self, body: str) -> str:
        """Put the JSON of a result, or of a stream's event, into the binding's envelope."""

    @abstractmethod
    def wrap_error(self, error: protocol.A2AError) -> str:
        """Write an error as JSON."""

    @abstractmethod
    def status(self, error: protocol.A2AError) -> int:
        """Give the HTTP status of an error."""

    async def answer(self, work: Awaitable[HttpResponseBase]) -> HttpResponseBase:
        """Give the answer that the work makes; whatever goes wrong is answered too (R12)."""
        try:
            return await work
        except protocol.A2AError as error:
            return self._refuse(error)
        except PermissionDenied as error:  # of a hook of the project's, in Django's word for it
            return self._refuse(protocol.PermissionDeniedError(str(error) or None))
        except Exception:  # no client gets a page of HTML, and none sees what is inside
            reference = uuid4()
            logger.exception("A request failed; reference %s.", reference)
            return self._refuse(protocol.InternalError(f"Internal error. Reference: {reference}"))

    async def perform(
        self, operation: Operation, call: Call, given: dict[str, Any]
    ) -> HttpResponseBase:
        """Answer with what an operation gives; raises A2AError before any stream is open.

        Args:
            operation: What is asked for.
            call: By whom, and how.
            given: Its parameters in JSON of 1.0, not checked yet.
        """
        operation.check_capability(call)
        params = operation.params.from_dict(given)
        del given
        response = await self._perform(operation, call, params)
        if call.extensions:
            response[self.dialect.extensions_header] = ", ".join(call.extensions)
        return response

    async def _perform(
        self, operation: Operation, call: Call, params: protocol.Model
    ) -> HttpResponseBase:
        if operation.streaming is not None:
            stream = self.dialect.stream(linked(operation.streaming(call, params), call.links))
            return await event_stream(
                stream,
                wrap=self.wrap,
                wrap_error=self.wrap_error,
                error_event=self.error_event,
            )
        assert operation.unary is not None  # one of the two it is
        result = await operation.unary(call, params)
        body = call.links.in_json(result.to_json())
        return self._response(self.wrap(self.dialect.result(body)))

    def _refuse(self, error: protocol.A2AError) -> HttpResponse:
        body = self.wrap_error(self.dialect.error(error))
        response = self._response(body, status=self.status(error))
        if response.status_code == 401:
            response["WWW-Authenticate"] = declared_security().challenge
        return response

    def _response(self, body: str, *, status: int = 200) -> HttpResponse:
        return HttpResponse(body.encode(), content_type=self.media_type, status=status)
