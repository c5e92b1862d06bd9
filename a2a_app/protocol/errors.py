"""The errors of the protocol (sections 3.3.2, 5.4 and 9.5), each with its codes.

The first line of a class's docstring is its message.
"""

import inspect
from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil
from typing import Any, ClassVar, Self

from pydantic import ValidationError
from pydantic.alias_generators import to_camel

DOMAIN = "a2a-protocol.org"
_TYPE = "type.googleapis.com/google.rpc."
# The most bad fields that one error names, and the most characters that it shows of one key.
_MAX_VIOLATIONS = 100
_MAX_KEY_LENGTH = 100


class A2AError(Exception):
    """The server could not do what was asked."""

    code: ClassVar[int]
    """The JSON-RPC code."""
    reason: ClassVar[str]
    """The name of the error in google.rpc.ErrorInfo."""
    http_status: ClassVar[int]
    grpc_status: ClassVar[str]

    def __init__(self, message: str | None = None, **metadata: str) -> None:
        """Make the error.

        Args:
            message: The error in words, for people; None: the first line of the class's docstring.
            **metadata: The things that the error is about, such as `task_id`. Clients get the names
                in camelCase.
        """
        words = inspect.getdoc(type(self)) or type(self).__name__  # python -OO drops docstrings
        super().__init__(message or words.partition("\n")[0])
        self.metadata = {to_camel(key): value for key, value in metadata.items()}

    @property
    def message(self) -> str:
        """The error in words, for people."""
        return str(self.args[0])

    def info(self) -> dict[str, Any]:
        """Return the reason as a google.rpc.ErrorInfo in JSON."""
        info: dict[str, Any] = {
            "@type": f"{_TYPE}ErrorInfo",
            "reason": self.reason,
            "domain": DOMAIN,
        }
        if self.metadata:
            info["metadata"] = self.metadata
        return info

    def details(self) -> list[dict[str, Any]]:
        """Return the details as google.rpc objects in JSON."""
        return [self.info()]

    def all_details(self) -> list[dict[str, Any]]:
        """Return the details with the reason first, for bindings whose own code may not tell it."""
        info = self.info()
        return [info, *(detail for detail in self.details() if detail != info)]


class TaskNotFoundError(A2AError):
    """Task not found"""

    code, reason, http_status, grpc_status = -32001, "TASK_NOT_FOUND", 404, "NOT_FOUND"


class TaskNotCancelableError(A2AError):
    """The task cannot be canceled."""

    code, reason = -32002, "TASK_NOT_CANCELABLE"
    http_status, grpc_status = 400, "FAILED_PRECONDITION"


class PushNotificationNotSupportedError(A2AError):
    """The agent does not send push notifications."""

    code, reason = -32003, "PUSH_NOTIFICATION_NOT_SUPPORTED"
    http_status, grpc_status = 400, "FAILED_PRECONDITION"


class UnsupportedOperationError(A2AError):
    """The agent does not support this operation."""

    code, reason = -32004, "UNSUPPORTED_OPERATION"
    http_status, grpc_status = 400, "FAILED_PRECONDITION"


class ContentTypeNotSupportedError(A2AError):
    """The agent does not read this media type."""

    code, reason = -32005, "CONTENT_TYPE_NOT_SUPPORTED"
    http_status, grpc_status = 400, "INVALID_ARGUMENT"


class InvalidAgentResponseError(A2AError):
    """The agent gave an answer that the protocol does not allow."""

    code, reason, http_status, grpc_status = -32006, "INVALID_AGENT_RESPONSE", 500, "INTERNAL"


class ExtendedAgentCardNotConfiguredError(A2AError):
    """The agent has no extended card."""

    code, reason = -32007, "EXTENDED_AGENT_CARD_NOT_CONFIGURED"
    http_status, grpc_status = 400, "FAILED_PRECONDITION"


class ExtensionSupportRequiredError(A2AError):
    """The agent needs the client to support an extension."""

    code, reason = -32008, "EXTENSION_SUPPORT_REQUIRED"
    http_status, grpc_status = 400, "FAILED_PRECONDITION"


class VersionNotSupportedError(A2AError):
    """This version of the protocol is not served here."""

    code, reason = -32009, "VERSION_NOT_SUPPORTED"
    http_status, grpc_status = 400, "FAILED_PRECONDITION"


class TaskGenerationMismatchError(A2AError):
    """The task does not have the generation that the client expected."""

    # Of version 1.1, whose text is not final.
    code, reason, http_status, grpc_status = -32010, "TASK_GENERATION_MISMATCH", 409, "ABORTED"


class UnauthenticatedError(A2AError):
    """The request has no valid credentials."""

    # Section 3.3.2 leaves this code to the binding; the range is the protocol's own.
    code, reason, http_status, grpc_status = -32050, "UNAUTHENTICATED", 401, "UNAUTHENTICATED"


class PermissionDeniedError(A2AError):
    """The caller is known, and may not do this."""

    code, reason = -32051, "PERMISSION_DENIED"  # chosen as for UnauthenticatedError
    http_status, grpc_status = 403, "PERMISSION_DENIED"


class UnavailableError(A2AError):
    """Something that the server needs does not answer. The client may try again."""

    code, reason = -32052, "UNAVAILABLE"  # chosen as for UnauthenticatedError
    http_status, grpc_status = 503, "UNAVAILABLE"
    retry_seconds: float = 1
    """After how long to try again."""

    @property
    def whole_seconds(self) -> int:
        """The same in the form of `Retry-After`, which has no fractions."""
        return ceil(self.retry_seconds)

    def details(self) -> list[dict[str, Any]]:
        """Return the reason, and as a google.rpc.RetryInfo when to try again."""
        delay = {"@type": f"{_TYPE}RetryInfo", "retryDelay": f"{self.whole_seconds}s"}
        return [*super().details(), delay]


class ResourceExhaustedError(UnavailableError):
    """The caller has as much of something as one caller may have."""

    code, reason = -32053, "RESOURCE_EXHAUSTED"  # chosen as for UnauthenticatedError
    http_status, grpc_status = 429, "RESOURCE_EXHAUSTED"

    def __init__(
        self,
        message: str | None = None,
        *,
        limit: str = "",
        retry_seconds: float = 1,
        **metadata: str,
    ) -> None:
        """Make the error.

        Args:
            message: What the caller has too much of, and how it gets rid of it.
            limit: The name of the setting that limits it. Empty: it is not known.
            retry_seconds: After how long to try again.
            **metadata: The other things that the error is about.
        """
        super().__init__(message, **({"limit": limit} if limit else {}), **metadata)
        self.limit = limit
        self.retry_seconds = retry_seconds

    def details(self) -> list[dict[str, Any]]:
        """Return the reason, what limits the caller as a google.rpc.QuotaFailure, and the delay."""
        violations = [{"subject": self.limit, "description": self.message}]
        info, delay = super().details()
        return [info, {"@type": f"{_TYPE}QuotaFailure", "violations": violations}, delay]


class JSONParseError(A2AError):
    """Invalid JSON payload"""

    code, reason, http_status, grpc_status = -32700, "JSON_PARSE", 400, "INVALID_ARGUMENT"


class InvalidRequestError(A2AError):
    """Request payload validation error"""

    code, reason, http_status, grpc_status = -32600, "INVALID_REQUEST", 400, "INVALID_ARGUMENT"


class MethodNotFoundError(A2AError):
    """Method not found"""

    code, reason, http_status, grpc_status = -32601, "METHOD_NOT_FOUND", 404, "UNIMPLEMENTED"


@dataclass(frozen=True, slots=True)
class FieldViolation:
    """One bad field: its path in the JSON of the wire, and what is wrong with it."""

    field: str
    description: str


class InvalidParamsError(A2AError):
    """Invalid parameters"""

    code, reason, http_status, grpc_status = -32602, "INVALID_PARAMS", 400, "INVALID_ARGUMENT"

    def __init__(
        self, message: str | None = None, *, violations: Sequence[FieldViolation] = ()
    ) -> None:
        """Make the error from bad fields.

        The message names the first field, because some clients show nothing else to their user.
        """
        if message is None and violations:
            more = f" (and {len(violations) - 1} more)" if len(violations) > 1 else ""
            first = f"{violations[0].field} {violations[0].description}".strip()
            message = f"Invalid parameters: {first}{more}"
        super().__init__(message)
        self.violations = tuple(violations)

    @classmethod
    def of(cls, field: str, description: str) -> Self:
        """Make the error from one bad field."""
        return cls(violations=[FieldViolation(field, description)])

    @classmethod
    def from_validation(cls, error: ValidationError) -> Self:
        """Make the error from what pydantic found; of very many bad fields it has the first 100."""
        return cls(
            violations=[
                FieldViolation(_path(problem["loc"]), _explain(problem["type"], problem["msg"]))
                for problem in error.errors(
                    include_url=False, include_context=False, include_input=False
                )[:_MAX_VIOLATIONS]
            ]
        )

    def details(self) -> list[dict[str, Any]]:
        """Return the bad fields as a google.rpc.BadRequest in JSON."""
        violations = [{"field": v.field, "description": v.description} for v in self.violations]
        return [{"@type": f"{_TYPE}BadRequest", "fieldViolations": violations}]


class InternalError(A2AError):
    """Internal error"""

    code, reason, http_status, grpc_status = -32603, "INTERNAL", 500, "INTERNAL"


class NoRoomError(ResourceExhaustedError):
    """The caller has as much of something as one caller may have. To wait does not help."""

    def __init__(self, message: str | None = None, *, limit: str = "") -> None:
        """Make the error. The arguments are those of ResourceExhaustedError."""
        super().__init__(message, limit=limit, retry_seconds=0)

    def details(self) -> list[dict[str, Any]]:
        """Return the reason, and what limits the caller as a google.rpc.QuotaFailure."""
        return super().details()[:-1]


class StorageExhaustedError(NoRoomError):
    """The caller has as many bytes stored as one caller may have."""

    http_status = 413


def _path(steps: Sequence[int | str]) -> str:
    path = ""
    for step in steps:
        if isinstance(step, int):
            path += f"[{step}]"
        elif step != "[key]":  # pydantic marks so that the key before it is bad
            # Keys of a map come from the client, and may have any length.
            path += f".{step}"[: _MAX_KEY_LENGTH + 1]
    return path.removeprefix(".")


_EXPLANATIONS = {
    "missing": "is required",
    "model_type": "must be an object",
    "model_attributes_type": "must be an object",
    "dict_type": "must be an object",
    "list_type": "must be an array",
    "string_type": "must be a string",
    "string_unicode": "must not contain half of a surrogate pair",
    "bool_type": "must be true or false",
    "string_too_short": "must not be empty",
    "too_short": "must have at least one element",
}
_OPENINGS = {
    "Value error, ": "",
    "Input should be greater than or equal to": "must be at least",
    "Input should be less than or equal to": "must be at most",
}


def _explain(kind: str, text: str) -> str:
    if kind in _EXPLANATIONS:
        return _EXPLANATIONS[kind]
    for theirs, ours in _OPENINGS.items():
        if text.startswith(theirs):
            return ours + text.removeprefix(theirs)
    return text
