"""The errors of a server, as exceptions."""

from collections.abc import Mapping
from typing import Any

from a2a_app import protocol
from a2a_app.protocol import A2AError, FieldViolation, InternalError, InvalidParamsError


def refusal_of(error: Mapping[str, Any]) -> A2AError:
    """Return the exception for an error of JSON-RPC, or for a google.rpc.Status of HTTP+JSON.

    An error that the protocol does not know becomes an InternalError with its text.
    """
    message = str(error.get("message") or "")
    details = error.get("data") or error.get("details") or []
    details = [each for each in details if isinstance(each, Mapping)]
    kind = _kind([each.get("reason") for each in details], error.get("code"))
    violations = [
        FieldViolation(str(each.get("field", "")), str(each.get("description", "")))
        for detail in details
        for each in detail.get("fieldViolations", ())
    ]
    if kind is InvalidParamsError or violations:
        return InvalidParamsError(message or None, violations=violations)
    made = kind(message or None)
    for detail in details:
        made.metadata.update(detail.get("metadata", {}))
    return made


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
