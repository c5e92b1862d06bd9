"""Our models against the protobuf types of the official SDK, field by field and both ways."""

import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from a2a_app import protocol
from a2a_app.protocol.base import OneOf
from tests.protocol import generated, official

MODELS: dict[str, type[protocol.Model]] = {
    name: cls
    for name in protocol.__all__
    if isinstance(cls := getattr(protocol, name), type)
    and issubclass(cls, protocol.Model)
    and cls not in (protocol.Model, protocol.Params)  # what others are made of
}
NAMES = sorted(MODELS)

some = settings(
    max_examples=15,
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)


def typed(value: Any) -> Any:
    """Make true and 1 differ, which are equal to Python."""
    match value:
        case bool():
            return str(value)
        case dict():
            return {key: typed(each) for key, each in value.items()}
        case list():
            return [typed(each) for each in value]
        case _:
            return value


def test_every_message_of_the_proto_has_a_model_and_no_other_has() -> None:
    assert set(MODELS) == set(official.MESSAGES)


@pytest.mark.parametrize("name", NAMES)
def test_a_model_has_the_fields_of_the_proto_by_both_names(name: str) -> None:
    ours = {field: info.alias for field, info in MODELS[name].model_fields.items()}
    theirs = {field.name: field.json_name for field in official.MESSAGES[name].fields}
    assert ours == theirs


@pytest.mark.parametrize("name", NAMES)
def test_the_fields_that_must_be_given_are_those_marked_required(name: str) -> None:
    ours = {field for field, info in MODELS[name].model_fields.items() if info.is_required()}
    theirs = {f.name for f in official.MESSAGES[name].fields if official.is_required(f)}
    assert ours == theirs


@pytest.mark.parametrize("name", NAMES)
def test_an_object_of_exactly_one_member_is_a_oneof_of_the_proto(name: str) -> None:
    fields = official.MESSAGES[name].fields
    whole = all(f.containing_oneof and len(f.containing_oneof.fields) > 1 for f in fields)
    assert issubclass(MODELS[name], OneOf) == whole


@pytest.mark.parametrize("name", sorted(official.ENUMS))
def test_an_enum_has_the_members_of_the_proto_in_the_order_of_their_numbers(name: str) -> None:
    ours = [member.value for member in getattr(protocol, name)]
    theirs = {value.number: value.name for value in official.ENUMS[name].values}
    assert dict(enumerate(ours)) == theirs


@pytest.mark.parametrize("name", NAMES)
@some
@given(data=st.data())
def test_the_sdk_reads_all_that_we_write_and_writes_it_back(name: str, data: st.DataObject) -> None:
    ours = data.draw(generated.models(MODELS[name]))
    theirs = official.parse(name, ours.to_json())
    # Empty values of required fields are values too: protobuf leaves them out unless told.
    back = official.values(theirs, always_print_fields_with_no_presence=True)
    again = MODELS[name].from_dict(back)
    assert again == ours
    assert typed(again.to_dict()) == typed(ours.to_dict())


@pytest.mark.parametrize("name", NAMES)
@some
@given(data=st.data())
def test_we_read_all_that_the_sdk_writes_and_write_it_back(name: str, data: st.DataObject) -> None:
    theirs = data.draw(generated.messages(name))
    document = official.values(
        theirs,
        always_print_fields_with_no_presence=data.draw(st.booleans()),
        preserving_proto_field_name=data.draw(st.booleans()),
        use_integers_for_enums=data.draw(st.booleans()),
    )
    ours = MODELS[name].from_dict(json.loads(json.dumps(document)))
    again = official.parse(name, ours.to_json())
    assert again == official.without_empty_metadata(theirs)


@pytest.mark.parametrize("name", NAMES)
@some
@given(data=st.data())
def test_a_required_field_is_always_sent(name: str, data: st.DataObject) -> None:
    ours = data.draw(generated.models(MODELS[name]))
    required = {f.json_name for f in official.MESSAGES[name].fields if official.is_required(f)}
    assert required <= json.loads(ours.to_json()).keys()
