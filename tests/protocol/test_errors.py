"""The errors against the tables of sections 5.4 and 9.5, and their details against google.rpc."""

import json

import pytest
from a2a.utils import errors as official_errors
from google.protobuf.json_format import ParseDict
from google.rpc import error_details_pb2

from a2a_app import protocol
from a2a_app.protocol import A2AError, FieldViolation, InvalidParamsError
from tests.protocol import official

# Section 5.4: the error, its JSON-RPC code, its gRPC status and its HTTP status.
SECTION_5_4 = [
    ("TaskNotFoundError", -32001, "NOT_FOUND", 404),
    ("TaskNotCancelableError", -32002, "FAILED_PRECONDITION", 400),
    ("PushNotificationNotSupportedError", -32003, "FAILED_PRECONDITION", 400),
    ("UnsupportedOperationError", -32004, "FAILED_PRECONDITION", 400),
    ("ContentTypeNotSupportedError", -32005, "INVALID_ARGUMENT", 400),
    ("InvalidAgentResponseError", -32006, "INTERNAL", 500),
    ("ExtendedAgentCardNotConfiguredError", -32007, "FAILED_PRECONDITION", 400),
    ("ExtensionSupportRequiredError", -32008, "FAILED_PRECONDITION", 400),
    ("VersionNotSupportedError", -32009, "FAILED_PRECONDITION", 400),
]
# The same section of the branch dev-1.1, which no SDK has yet.
DRAFTED = [("TaskGenerationMismatchError", -32010, "ABORTED", 409)]
# Section 9.5: the error, its JSON-RPC code and its message. The statuses are ours.
SECTION_9_5 = [
    ("JSONParseError", -32700, "Invalid JSON payload", 400),
    ("InvalidRequestError", -32600, "Request payload validation error", 400),
    ("MethodNotFoundError", -32601, "Method not found", 404),
    ("InvalidParamsError", -32602, "Invalid parameters", 400),
    ("InternalError", -32603, "Internal error", 500),
]
CLASSES: dict[str, type[A2AError]] = {
    name: cls
    for name in protocol.__all__
    if isinstance(cls := getattr(protocol, name), type)
    and issubclass(cls, A2AError)
    and cls is not A2AError
}
EVERY = sorted(CLASSES)


@pytest.mark.parametrize(("name", "code", "grpc_status", "http_status"), [*SECTION_5_4, *DRAFTED])
def test_an_error_of_the_protocol_has_its_codes(
    name: str, code: int, grpc_status: str, http_status: int
) -> None:
    cls = CLASSES[name]
    assert (cls.code, cls.grpc_status, cls.http_status) == (code, grpc_status, http_status)


@pytest.mark.parametrize(("name", "code", "message", "http_status"), SECTION_9_5)
def test_an_error_of_json_rpc_has_its_code_and_its_message(
    name: str, code: int, message: str, http_status: int
) -> None:
    error = CLASSES[name]()
    assert (error.code, error.message, error.http_status) == (code, message, http_status)


def test_there_is_no_error_beyond_the_tables_but_those_of_http_and_grpc() -> None:
    tables = {row[0] for row in (*SECTION_5_4, *DRAFTED, *SECTION_9_5)}
    ours = {
        "UnauthenticatedError": (401, "UNAUTHENTICATED"),
        "PermissionDeniedError": (403, "PERMISSION_DENIED"),
        "UnavailableError": (503, "UNAVAILABLE"),
        "ResourceExhaustedError": (429, "RESOURCE_EXHAUSTED"),
        "NoRoomError": (429, "RESOURCE_EXHAUSTED"),
        "StorageExhaustedError": (413, "RESOURCE_EXHAUSTED"),
    }
    assert CLASSES.keys() - tables == ours.keys()
    for name, statuses in ours.items():
        error = CLASSES[name]
        assert (error.http_status, error.grpc_status) == statuses
        assert -32099 <= error.code <= -32001


@pytest.mark.parametrize(
    ("seconds", "delay"), [(0.2, "1s"), (86_399.1, "86400s"), (2_592_000, "2592000s")]
)
def test_when_to_try_again_is_a_duration_that_clients_can_read(seconds: float, delay: str) -> None:
    *_, retry = protocol.ResourceExhaustedError(retry_seconds=seconds).details()
    assert retry["retryDelay"] == delay
    ParseDict({"retryDelay": delay}, error_details_pb2.RetryInfo())


def test_no_two_errors_share_a_code_or_a_reason_but_kinds_of_one() -> None:
    kinds = [cls for cls in CLASSES.values() if "code" in vars(cls)]
    assert len(CLASSES) == len(kinds) + 2  # NoRoomError and StorageExhaustedError
    assert len({cls.code for cls in kinds}) == len(kinds)
    assert len({cls.reason for cls in kinds}) == len(kinds)


@pytest.mark.parametrize("name", [row[0] for row in SECTION_5_4])
def test_the_official_sdk_knows_an_error_by_the_same_code_and_reason(name: str) -> None:
    theirs = getattr(official_errors, name)
    cls = CLASSES[name]
    assert official_errors.JSON_RPC_ERROR_CODE_MAP[theirs] == cls.code
    mapping = official_errors.A2A_ERROR_MAPPING[theirs]
    assert mapping == (cls.http_status, cls.grpc_status, cls.reason)


@pytest.mark.parametrize("name", EVERY)
def test_an_error_says_one_line_of_its_own_or_what_it_is_told(name: str) -> None:
    cls = CLASSES[name]
    assert cls().message == str(cls())
    assert cls().message.strip()
    assert "\n" not in cls().message
    assert cls("As the caller says").message == "As the caller says"


@pytest.mark.parametrize("name", EVERY)
def test_the_details_of_an_error_are_objects_of_google_rpc(name: str) -> None:
    error = CLASSES[name]()
    detail, *more = json.loads(json.dumps(error.details()))
    read = official.parse_detail(detail)
    assert bool(more) == isinstance(error, protocol.UnavailableError)
    if isinstance(error, InvalidParamsError):
        assert isinstance(read, official.DETAILS.BadRequest)
    else:
        assert isinstance(read, official.DETAILS.ErrorInfo)
        assert (read.reason, read.domain) == (error.reason, "a2a-protocol.org")
        assert "metadata" not in detail


def test_an_error_of_the_moment_says_when_to_try_again() -> None:
    _, retry = protocol.UnavailableError().details()
    assert official.parse_detail(retry).retry_delay.seconds == 1


def test_the_subject_of_an_error_is_metadata_in_camel_case() -> None:
    (detail,) = protocol.TaskNotFoundError(task_id="t", context_id="c").details()
    assert dict(official.parse_detail(detail).metadata) == {"taskId": "t", "contextId": "c"}


def test_bad_fields_are_violations_of_a_bad_request() -> None:
    bad = [FieldViolation("message.parts", "is required"), FieldViolation("id", "is odd")]
    (detail,) = InvalidParamsError(violations=bad).details()
    read = official.parse_detail(detail).field_violations
    assert [FieldViolation(each.field, each.description) for each in read] == bad
    assert InvalidParamsError.of("id", "is odd").violations == (bad[1],)


def test_every_bad_field_is_named_at_once() -> None:
    with pytest.raises(InvalidParamsError) as caught:
        protocol.ListTasksRequest.from_dict({"pageSize": 0, "status": "x", "tenant": 1})
    named = {violation.field for violation in caught.value.violations}
    assert named == {"pageSize", "status", "tenant"}


def test_a_bad_value_is_not_repeated_in_the_error() -> None:
    with pytest.raises(InvalidParamsError) as caught:
        protocol.AuthenticationInfo.from_dict({"scheme": ["s3cret"], "credentials": "s3cret\0"})
    assert len(caught.value.violations) == 2
    assert "s3cret" not in json.dumps(caught.value.details())


def test_a_flood_of_bad_fields_makes_a_short_error() -> None:
    with pytest.raises(InvalidParamsError) as caught:
        protocol.Message.from_dict({"messageId": "m", "role": 1, "parts": [0] * 10_000})
    assert caught.value.violations[0].field == "parts[0]"
    assert len(json.dumps(caught.value.details())) < 10_000
