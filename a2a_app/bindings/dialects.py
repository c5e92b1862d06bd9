"""Dialects: how a version of the protocol writes what the operations take and give."""

from dataclasses import dataclass
from typing import Any

from a2a_app import protocol
from a2a_app.operations import OPERATIONS, Operation
from a2a_app.operations.streams import Stream


class Dialect:
    """How version 1.0 writes it: as the operations themselves do."""

    version = protocol.VERSION
    extensions_header = protocol.EXTENSIONS_HEADER
    media_types: tuple[str, ...] = ("application/a2a+json", "application/json")
    """What HTTP+JSON speaks, the preferred first."""

    push_payload = ""
    """What webhooks get, by its name in `push.payloads`."""

    def params(self, given: dict[str, Any]) -> dict[str, Any]:
        """Give the parameters as 1.0 writes them; raises InvalidParamsError."""
        return given

    def tenant(self, given: dict[str, Any]) -> str:
        """Give the tenant that parameters of 1.0 name; raises InvalidParamsError."""
        return protocol.Params.from_dict(given).tenant

    def result(self, body: str) -> str:
        """Give a result, which is JSON of 1.0."""
        return body

    def stream(self, stream: Stream) -> Stream:
        """Give a stream, whose items are JSON of 1.0."""
        return stream

    def error(self, error: protocol.A2AError) -> protocol.A2AError:
        """Give an error, whose fields are those of 1.0."""
        return error

    def plain_error(self, error: protocol.A2AError) -> dict[str, Any]:
        """Write an error that has no envelope: google.rpc.Status (section 11.6).

        Its reason is always there, since many errors share an HTTP status.
        """
        info = error.info()
        status = {
            "code": error.http_status,
            "status": error.grpc_status,
            "message": error.message,
            "details": [info, *(detail for detail in error.details() if detail != info)],
        }
        return {"error": status}


CURRENT = Dialect()


@dataclass(frozen=True, slots=True)
class Method:
    """An operation, as a version calls and writes it."""

    name: str
    operation: Operation
    dialect: Dialect = CURRENT


METHODS = {name: Method(name, operation) for name, operation in OPERATIONS.items()}
