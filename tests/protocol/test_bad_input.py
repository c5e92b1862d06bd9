"""The rules of ProtoJSON, one by one: what is read, what is refused, and which field is named."""

import json
from typing import Any

import pytest

from a2a_app import protocol
from a2a_app.protocol import (
    GetTaskRequest,
    InvalidParamsError,
    ListTasksRequest,
    Message,
    Model,
    Part,
    SendMessageRequest,
    TaskState,
    TaskStatus,
)

MESSAGE = {"messageId": "m", "role": "ROLE_USER", "parts": [{"text": "hello"}]}
STATES = [state.value for state in TaskState]
PARAMS = [
    getattr(protocol, name)
    for name in protocol.__all__
    # The one operation whose parameters are not called a request is the one that makes a webhook.
    if name.endswith("Request") or name == "TaskPushNotificationConfig"
]


def nested(depth: int) -> Any:
    value: Any = []
    for _ in range(depth):
        value = [value]
    return value


def sent(**message: Any) -> dict[str, Any]:
    return {"message": MESSAGE | message}


def snake(value: Any) -> Any:
    """Write the fields of a message as the proto does."""
    if isinstance(value, list):
        return [snake(each) for each in value]
    if isinstance(value, dict):
        names = {"messageId": "message_id", "mediaType": "media_type"}
        names["referenceTaskIds"] = "reference_task_ids"
        return {names.get(key, key): snake(each) for key, each in value.items()}
    return value


def faults(cls: type[Model], value: object) -> dict[str, str]:
    with pytest.raises(InvalidParamsError) as caught:
        cls.from_dict(value)
    return {violation.field: violation.description for violation in caught.value.violations}


# What is not given, and what nobody knows.


def test_null_means_that_a_field_is_not_given() -> None:
    nulls = dict.fromkeys(["contextId", "taskId", "metadata", "extensions", "reference_task_ids"])
    assert Message.from_dict(MESSAGE | nulls).to_dict() == MESSAGE
    assert faults(SendMessageRequest, sent(messageId=None)) == {"message.messageId": "is required"}


def test_null_is_a_value_where_the_proto_has_a_value() -> None:
    given = {"data": None, "text": None, "metadata": {"a": None, "b": [None]}}
    part = Part.from_dict(given)
    assert part.has_data
    assert part.to_dict() == {"data": None, "metadata": {"a": None, "b": [None]}}


def test_null_is_no_element_of_an_array_and_no_value_of_a_map() -> None:
    found = faults(SendMessageRequest, sent(parts=[None], extensions=["x", None]))
    assert found == {"message.parts[0]": "must be an object", "message.extensions[1]": NO_STRING}
    assert list(faults(protocol.ImplicitOAuthFlow, {"scopes": {"a": None}})) == ["scopes.a"]


def test_an_unknown_field_is_ignored_whatever_it_holds() -> None:
    unknown = {"x": nested(5000), "": "\0", "\ud800": {"\0": float("nan")}, "Role": 1}
    assert Message.from_dict(MESSAGE | unknown).to_dict() == MESSAGE


# Scalars.

NO_STRING = "must be a string"
NO_INTEGER = "must be an integer"
TOO_BIG = "must fit into 32 bits"
NO_TIME = "must be a time like 2026-01-31T12:00:00.000Z"
OUT_OF_TIME = "must lie in the years 1 to 9999"
NO_BASE64 = "must be a string in base64"


@pytest.mark.parametrize("number", range(len(STATES)))
def test_an_enum_is_read_by_its_name_and_by_its_number(number: int) -> None:
    for value in (number, STATES[number]):
        assert TaskStatus.from_dict({"state": value}).to_dict() == {"state": STATES[number]}


@pytest.mark.parametrize("value", [-1, 9, 10**400, 1.0, True, "1", "working", "", "\ud800", [], {}])
def test_a_value_that_is_no_member_of_an_enum_is_refused_with_the_members(value: object) -> None:
    (description,) = faults(ListTasksRequest, {"status": value}).values()
    assert description == f"must be one of {', '.join(STATES[1:])}"


@pytest.mark.parametrize("value", [10, 10.0, "10", "010"])
def test_an_integer_is_read_as_a_number_a_whole_fraction_and_a_string(value: object) -> None:
    assert GetTaskRequest.from_dict({"id": "t", "historyLength": value}).history_length == 10


@pytest.mark.parametrize(
    ("value", "description"),
    [
        *((odd, NO_INTEGER) for odd in (True, 1.5, "1.5", "", " 1", "1e1", "x", [1], {"a": 1})),
        *((odd, NO_INTEGER) for odd in (float("nan"), float("inf"), "\u0663", "9" * 5000)),
        *((odd, TOO_BIG) for odd in (2**31, -(2**31) - 1, "2147483648", 1e300, 10**5000)),
        *((low, "must be at least 0") for low in (-1, -1.0, "-1")),
    ],
    ids=lambda value: type(value).__name__,
)
def test_a_value_that_is_no_integer_is_refused(value: object, description: str) -> None:
    assert faults(GetTaskRequest, {"id": "t", "historyLength": value}) == {
        "historyLength": description
    }


@pytest.mark.parametrize(
    ("value", "description"), [(0, "must be at least 1"), ("101", "must be at most 100")]
)
def test_a_bound_is_named_in_our_words(value: object, description: str) -> None:
    assert faults(ListTasksRequest, {"page_size": value}) == {"pageSize": description}


@pytest.mark.parametrize("value", [0, 1, 1.0, "true", "", [], {}])
def test_a_boolean_is_true_or_false_and_no_word_or_number(value: object) -> None:
    found = faults(SendMessageRequest, sent() | {"configuration": {"returnImmediately": value}})
    assert found == {"configuration.returnImmediately": "must be true or false"}


@pytest.mark.parametrize("value", [0, 1.5, True, [], {}])
def test_a_string_is_no_other_kind_of_value(value: object) -> None:
    assert faults(SendMessageRequest, sent(contextId=value)) == {"message.contextId": NO_STRING}


def test_an_empty_string_is_no_name() -> None:
    assert faults(GetTaskRequest, {"id": ""}) == {"id": "must not be empty"}


@pytest.mark.parametrize(
    ("value", "written"),
    [
        ("2026-01-31T12:00:00Z", "2026-01-31T12:00:00.000Z"),
        ("2026-01-31T12:00:00.123456789Z", "2026-01-31T12:00:00.123Z"),
        ("2026-01-31T12:00:00.999999999-00:00", "2026-01-31T12:00:00.999Z"),
        ("2026-01-31T02:00:00.5+05:30", "2026-01-30T20:30:00.500Z"),
        ("0001-01-01T14:00:00+14:00", "0001-01-01T00:00:00.000Z"),
        ("9999-12-31T09:59:59.999-14:00", "9999-12-31T23:59:59.999Z"),
    ],
)
def test_a_time_is_read_with_an_offset_and_nine_digits_and_written_in_utc(
    value: str, written: str
) -> None:
    read = ListTasksRequest.from_dict({"statusTimestampAfter": value})
    assert read.to_dict() == {"statusTimestampAfter": written}


@pytest.mark.parametrize(
    ("value", "description"),
    [
        ("0001-01-01T00:00:00+14:00", OUT_OF_TIME),
        ("9999-12-31T23:59:59-14:00", OUT_OF_TIME),
        ("0000-01-01T00:00:00Z", "is not a time: "),
        ("2026-02-30T00:00:00Z", "is not a time: "),
        ("2026-01-31T23:59:60Z", "is not a time: "),
        ("2026-01-31T12:00:00+24:00", NO_TIME),
        ("2026-01-31T12:00:00+99:99", NO_TIME),
        ("2026-01-31T12:00:00.1234567890Z", NO_TIME),
        ("2026-01-31T12:00:00", NO_TIME),
        ("2026-01-31 12:00:00Z", NO_TIME),
        ("\u0662026-01-31T12:00:00Z", NO_TIME),
        ("\ud800", NO_TIME),
        (1769860800, "must be a string like 2026-01-31T12:00:00.000Z"),
        (True, "must be a string like 2026-01-31T12:00:00.000Z"),
    ],
)
def test_a_value_that_is_no_time_is_refused_without_words_of_python(
    value: object, description: str
) -> None:
    ((field, found),) = faults(ListTasksRequest, {"status_timestamp_after": value}).items()
    assert field == "statusTimestampAfter"
    assert found.startswith(description)
    assert "timedelta" not in found


@pytest.mark.parametrize("value", ["-_8=", "-_8", "+/8=", "+/8"])
def test_base64_is_read_in_both_alphabets_with_and_without_padding(value: str) -> None:
    part = Part.from_dict({"raw": value})
    assert part.raw == b"\xfb\xff"
    assert part.to_dict() == {"raw": "+/8="}


@pytest.mark.parametrize(
    "value", ["abcde", "YQ=Y", "Y Q=", "YQ\n", "YWJj*", "\xe9", "\ud800", 1, None, []]
)
def test_bytes_that_are_no_base64_are_refused(value: object) -> None:
    found = faults(SendMessageRequest, sent(parts=[{"text": "x"}, {"raw": value}]))
    if value is None:
        assert list(found) == ["message.parts[1]"]
    else:
        assert found == {"message.parts[1].raw": NO_BASE64}


# Parts.


def test_a_message_has_a_part() -> None:
    for parts, description in (([], "must have at least one element"), (None, "is required")):
        found = faults(SendMessageRequest, sent(parts=parts))
        assert found == {"message.parts": description}
    assert list(faults(protocol.Artifact, {"artifactId": "a", "parts": []})) == ["parts"]


@pytest.mark.parametrize("one", ["text", "raw", "url", "data"])
@pytest.mark.parametrize("other", ["text", "raw", "url", "data"])
def test_a_part_has_exactly_one_content(one: str, other: str) -> None:
    part = {one: "", other: ""}
    if one == other:
        assert Part.from_dict(part).to_dict() == part
        return
    assert list(faults(SendMessageRequest, sent(parts=[part]))) == ["message.parts[0]"]


def test_a_part_without_content_is_refused() -> None:
    found = faults(SendMessageRequest, sent(parts=[{"text": "x"}, {"filename": "a", "url": None}]))
    assert found == {
        "message.parts[1]": "must have exactly one of text, raw, url and data; it has none of them"
    }


# Text that cannot be stored, and JSON that cannot be JSON.

BAD_TEXT = {
    "a\0b": "must not contain the character NUL",
    "\ud800": "must not contain half of a surrogate pair",
    "x\udfff": "must not contain half of a surrogate pair",
}


@pytest.mark.parametrize("text", BAD_TEXT, ids=ascii)
@pytest.mark.parametrize("spelling", ["camelCase", "snake_case"])
def test_text_that_cannot_be_stored_is_refused_in_every_place(text: str, spelling: str) -> None:
    places: dict[str, Any] = {
        "message.messageId": {"messageId": text},
        "message.referenceTaskIds[1]": {"referenceTaskIds": ["x", text]},
        "message.parts[0].text": {"parts": [{"text": text}]},
        "message.parts[0].mediaType": {"parts": [{"url": "x", "mediaType": text}]},
        "message.parts[1].data": {"parts": [{"text": "x"}, {"data": {"a": [{"b": text}]}}]},
        "message.parts[0].data": {"parts": [{"data": [{text: 1}]}]},
        "message.parts[0].metadata": {"parts": [{"text": "x", "metadata": {text: 1}}]},
        "message.metadata": {"metadata": {"a": {"b": [text]}}},
    }
    for field, message in places.items():
        value: Any = MESSAGE | message
        if spelling == "snake_case":
            value = snake(value)
        assert faults(SendMessageRequest, {"message": value}) == {field: BAD_TEXT[text]}


@pytest.mark.parametrize("text", BAD_TEXT, ids=ascii)
def test_keys_and_values_of_maps_are_text_too(text: str) -> None:
    for cls, value in (
        (protocol.SecurityRequirement, {"schemes": {text: {}}}),
        (protocol.SecurityRequirement, {"schemes": {"a": {"list": [text]}}}),
        (protocol.ImplicitOAuthFlow, {"scopes": {text: "all"}}),
        (protocol.ImplicitOAuthFlow, {"scopes": {"all": text}}),
    ):
        assert list(faults(cls, value).values()) == [BAD_TEXT[text]]


@pytest.mark.parametrize(
    ("value", "description"),
    [
        (float("nan"), "must not hold a number that a double cannot"),
        (float("-inf"), "must not hold a number that a double cannot"),
        (10**309, "must not hold a number that a double cannot"),
        (-(10**5000), "must not hold a number that a double cannot"),
        (nested(101), "must not be nested more than 100 deep"),
        (nested(50_000), "must not be nested more than 100 deep"),
    ],
    ids=["nan", "inf", "huge", "very huge", "deep", "very deep"],
)
def test_a_value_that_no_struct_holds_is_refused(value: object, description: str) -> None:
    for field, message in (
        ("message.parts[0].data", {"parts": [{"data": value}]}),
        ("message.metadata", {"metadata": {"a": value}}),
    ):
        assert faults(SendMessageRequest, sent(**message)) == {field: description}


@pytest.mark.parametrize("value", [nested(100), 10**308, 2**64, 1.7976931348623157e308, {"": ""}])
def test_values_that_a_struct_just_holds_are_accepted(value: object) -> None:
    part = Part.from_dict({"data": value})
    assert json.loads(part.to_json().encode()) == {"data": value}


@pytest.mark.parametrize("cls", PARAMS)
@pytest.mark.parametrize("value", [None, [], "x", 0, True, nested(50_000)], ids=lambda v: "v")
def test_params_are_an_object(cls: type[Model], value: object) -> None:
    assert faults(cls, value) == {"": "must be an object"}
