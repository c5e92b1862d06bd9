"""The statuses of gRPC with which calls are refused (sections 5.4 and 10.6)."""

from typing import Any, NoReturn

import grpc
from google.protobuf.any_pb2 import Any as AnyMessage
from google.protobuf.json_format import ParseDict
from google.rpc import error_details_pb2, status_pb2

from a2a_app import protocol
from a2a_app.bindings.dialects import Dialect
from a2a_app.bindings.security import declared_security

DETAILS_KEY = "grpc-status-details-bin"
# Clients take 8 KB of metadata altogether, in which a byte of the text may be three and the details
# are in base64. What is longer would reach them as another error.
MAX_TEXT_BYTES = 1000
MAX_DETAILS_BYTES = 3000
# To import them is to make them known to `ParseDict`, which looks for them by their names.
_KINDS = error_details_pb2.DESCRIPTOR.message_types_by_name


async def refuse(context: Any, dialect: Dialect, error: protocol.A2AError) -> NoReturn:
    """End a call with the status of an error.

    Args:
        context: What grpc knows of the call.
        dialect: The dialect of the call.
        error: The error.
    """
    status = status_of(dialect, error)
    trailers: list[tuple[str, str | bytes]] = [(DETAILS_KEY, status.SerializeToString())]
    if error.grpc_status == "UNAUTHENTICATED":
        trailers.append(("www-authenticate", declared_security().challenge))
    context.set_trailing_metadata(tuple(trailers))
    await context.abort(grpc.StatusCode[error.grpc_status], status.message)
    raise AssertionError("abort raises")


def status_of(dialect: Dialect, error: protocol.A2AError) -> status_pb2.Status:
    """Return an error as google.rpc.Status, which is cut where clients could not take it."""
    written = dialect.error(error)
    status = status_pb2.Status(
        code=grpc.StatusCode[error.grpc_status].value[0],
        message=dialect.status_text(written).encode()[:MAX_TEXT_BYTES].decode(errors="ignore"),
    )
    for detail in written.all_details():
        packed = _packed(detail, MAX_DETAILS_BYTES - status.ByteSize())
        if packed is not None:
            status.details.append(packed)
    return status


def _packed(detail: dict[str, Any], room: int) -> AnyMessage | None:
    """Pack a detail; of many bad fields the first ones. None where there is no room for it."""
    packed = ParseDict(detail, AnyMessage())
    while packed.ByteSize() > room:
        violations = detail.get("fieldViolations", ())
        if len(violations) < 2:
            return None
        detail = {**detail, "fieldViolations": violations[: len(violations) // 2]}
        packed = ParseDict(detail, AnyMessage())
    return packed
