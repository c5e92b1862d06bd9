"""What a client is told when it gets no answer: the errors of a server, and those on the way."""

from collections.abc import Mapping
from typing import Any

from a2a_app import protocol
from a2a_app.protocol import (
    A2AError,
    FieldViolation,
    InternalError,
    InvalidParamsError,
    NoRoomError,
    ResourceExhaustedError,
    UnavailableError,
)

# What others say comes into logs and rows.
MOST_SAID = 2_000


class RemoteAgentError(Exception):
    """An agent elsewhere cannot be called, or does not speak the protocol. The text says why."""

    def __init__(self, message: str) -> None:
        """Make the error, whose text may quote what has come."""
        super().__init__(message[:MOST_SAID])


class UnreachableError(RemoteAgentError):
    """There was no connection to an agent, or it broke off."""

    def __init__(self, message: str, *, is_sent: bool = True) -> None:
        """Make the error.

        Args:
            message: What happened.
            is_sent: Whether the request may have got there.
        """
        super().__init__(message)
        self.is_sent = is_sent


class MovedError(RemoteAgentError):
    """There is nobody where the card leads to."""


_REFUSALS = (
    protocol.UnauthenticatedError, protocol.PermissionDeniedError,
    protocol.VersionNotSupportedError, protocol.MethodNotFoundError,
    protocol.UnsupportedOperationError, protocol.ExtensionSupportRequiredError,
    protocol.ContentTypeNotSupportedError, protocol.PushNotificationNotSupportedError,
)  # fmt: skip  # as one list

OF_THE_CARD = (RemoteAgentError, *_REFUSALS)
"""The errors that there may be where a card is out of date."""
NOT_TAKEN = (MovedError, *_REFUSALS)
"""Those of them with which nothing was done of what was asked."""


def refusal_of(error: Mapping[str, Any]) -> A2AError:
    """Return the exception for an error of JSON-RPC, or for a google.rpc.Status of HTTP+JSON.

    An error that the protocol does not know becomes an InternalError with its text.
    """
    message = str(error.get("message") or "")[:MOST_SAID] or None
    details = error.get("data") or error.get("details") or []
    details = [each for each in details if isinstance(each, Mapping)]
    kind = _kind([each.get("reason") for each in details], error.get("code"))
    violations = [
        FieldViolation(str(each.get("field", "")), str(each.get("description", "")))
        for detail in details
        for each in detail.get("fieldViolations", ())
    ]
    if kind is InvalidParamsError or violations:
        return InvalidParamsError(message, violations=violations)
    made = _limit(message, details) if issubclass(kind, ResourceExhaustedError) else kind(message)
    for detail in details:
        made.metadata.update(detail.get("metadata", {}))
        if isinstance(made, UnavailableError) and "retryDelay" in detail:
            made.retry_seconds = seconds_in(str(detail["retryDelay"]).removesuffix("s"))
    return made


def _limit(message: str | None, details: list[Mapping[str, Any]]) -> ResourceExhaustedError:
    """Return the exception for a limit: what says when to try again tells the kinds apart."""
    named = (each.get("metadata", {}).get("limit", "") for each in details)
    limit = next(filter(None, named), "")
    if any("retryDelay" in each for each in details):
        return ResourceExhaustedError(message, limit=limit)
    return NoRoomError(message, limit=limit)


def seconds_in(text: str) -> float:
    """Return the seconds after which a server says to try again; a second if it says it oddly."""
    try:
        return max(0.0, float(text))
    except ValueError:  # a date, which few servers send
        return 1.0


def _kind(reasons: list[Any], code: Any) -> type[A2AError]:
    # The reason says more: over HTTP many errors share a code.
    for kind in _KINDS:
        if kind.reason in reasons:
            return kind
    return next((kind for kind in _KINDS if kind.code == code), InternalError)


_KINDS: list[type[A2AError]] = [
    each
    for each in vars(protocol).values()
    if isinstance(each, type) and issubclass(each, A2AError) and each is not A2AError
]
