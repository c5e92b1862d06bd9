"""Dialects: the ways in which the versions of the protocol write parameters and results."""

from dataclasses import dataclass
from typing import Any

from a2a_app import protocol
from a2a_app.operations import OPERATIONS, Operation
from a2a_app.operations.generations import NUMBERED, Generations
from a2a_app.operations.streams import Stream


class Dialect:
    """The dialect of 1.0, in which the operations themselves take and return JSON."""

    version = protocol.VERSION
    extensions_header = protocol.EXTENSIONS_HEADER
    media_types: tuple[str, ...] = ("application/a2a+json", "application/json")
    """The media types of HTTP+JSON, the preferred first."""

    query_fields: tuple[str, ...] = ()
    """The fields that a query may have besides those of 1.0."""
    push_payload = ""
    """The name in `push.payloads` of the format for webhooks."""
    numbered_push_payload = NUMBERED
    """That of the format for webhooks whose clients know generations."""
    may_cancel_again = True
    """Whether to cancel a canceled task is a success (section 3.3.1)."""
    stays_while_waiting = True
    """Whether a subscription stays open while the task waits for its client (section 3.1.6)."""

    def params(self, given: dict[str, Any]) -> dict[str, Any]:
        """Return the parameters as 1.0 writes them; raise InvalidParamsError."""
        return given

    def tenant(self, given: dict[str, Any]) -> str:
        """Return the tenant that parameters of 1.0 name; raise InvalidParamsError."""
        return protocol.Params.from_dict(given).tenant

    def generations(self, given: dict[str, Any]) -> Generations | None:
        """Return what parameters say of generations; None if the version does not know them."""
        return None

    def result(self, body: str) -> str:
        """Return a result as this version writes it, from JSON of 1.0."""
        return body

    def stream(self, stream: Stream) -> Stream:
        """Return a stream as this version writes it, from items in JSON of 1.0."""
        return stream

    def error(self, error: protocol.A2AError) -> protocol.A2AError:
        """Return an error with the names that this version has for the fields."""
        return error

    def status_text(self, error: protocol.A2AError) -> str:
        """Return the text of the status of gRPC with which an error is reported."""
        return error.message

    def plain_error(self, error: protocol.A2AError) -> dict[str, Any]:
        """Return an error for HTTP+JSON, as google.rpc.Status (section 11.6).

        The details always have the error's reason, since many errors share an HTTP status.
        """
        status = {
            "code": error.http_status,
            "status": error.grpc_status,
            "message": error.message,
            "details": error.all_details(),
        }
        return {"error": status}


CURRENT = Dialect()


@dataclass(frozen=True, slots=True)
class Method:
    """An operation, with the name and the dialect that it has in a version."""

    name: str
    operation: Operation
    dialect: Dialect = CURRENT


METHODS = {name: Method(name, operation) for name, operation in OPERATIONS.items()}
