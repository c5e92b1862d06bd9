"""What a refusal is for the security log: one place, on the way out of all errors."""

from django.http import HttpRequest

from a2a_app import protocol
from a2a_app.agents import Agent
from a2a_app.operations.call import Caller
from a2a_app.security import SecurityEvent, record

_EVENTS = {
    "UNAUTHENTICATED": SecurityEvent.SIGN_IN_REFUSED,
    "PERMISSION_DENIED": SecurityEvent.PERMISSION_REFUSED,
    "RESOURCE_EXHAUSTED": SecurityEvent.LIMIT_REACHED,
}
# A body that is too large reaches a limit too, though it is no limit of one caller's.
_TOO_LARGE = 413


def record_refusal(
    error: protocol.A2AError, request: HttpRequest, agent: Agent | None = None
) -> None:
    """Log an error for security, if it is one that refuses a caller.

    Args:
        error: What the client gets.
        request: The request, which knows its caller once `caller_of` has found out.
        agent: The agent of its URL.
    """
    event = _EVENTS.get(error.grpc_status)
    if event is None and error.http_status == _TOO_LARGE:
        event = SecurityEvent.LIMIT_REACHED
    if event is None:
        return
    more = {"limit": limit} if (limit := error.metadata.get("limit")) else {}
    about = described(request, getattr(request, "a2a_caller", None))
    record(event, agent=agent.slug if agent else "", reason=error.message, **about, **more)


def described(request: HttpRequest, caller: Caller | None) -> dict[str, str]:
    """Return what the security log says of the caller of a request."""
    return {
        "owner": caller.owner if caller else "",
        "key": caller.grant.credential if caller and caller.grant else "",
        "address": request.META.get("REMOTE_ADDR", ""),
    }
