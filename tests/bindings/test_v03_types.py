"""The official types of 0.3 read all that is written for 0.3, and nothing is lost in it."""

from typing import Any

from a2a.compat.v0_3 import types
from hypothesis import HealthCheck, given, settings
from pydantic import BaseModel

from a2a_app import protocol
from a2a_app.bindings.v03 import card_with_03, params
from a2a_app.bindings.v03.results import Proto, Schema
from tests.protocol import generated, official

SCHEMA, PROTO = Schema(), Proto()
KINDS: dict[str, type[BaseModel]] = {
    "task": types.Task,
    "message": types.Message,
    "status-update": types.TaskStatusUpdateEvent,
    "artifact-update": types.TaskArtifactUpdateEvent,
}
some = settings(
    max_examples=100,
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)


def read_back(kind: type[BaseModel], written: Any) -> Any:
    """Read as the SDK does, and return what it has read: fields it does not know are missing."""
    found = kind.model_validate(written)
    return found.model_dump(mode="json", by_alias=True, exclude_unset=True)


@some
@given(ours=generated.models(protocol.StreamResponse))
def test_every_event_is_one_of_the_json_schema(ours: protocol.Model) -> None:
    written = SCHEMA.event(ours.to_dict())
    assert read_back(KINDS[written["kind"]], written) == written


@some
@given(ours=generated.models(protocol.StreamResponse))
def test_every_event_is_one_of_the_proto(ours: protocol.Model) -> None:
    written = official.parse_03("StreamResponse", PROTO.event(ours.to_dict()))
    assert written.WhichOneof("payload")


@some
@given(ours=generated.models(protocol.TaskPushNotificationConfig))
def test_every_push_configuration_is_one_of_both(ours: protocol.Model) -> None:
    config = ours.to_dict()
    written = SCHEMA.push(config)
    assert read_back(types.TaskPushNotificationConfig, written) == written
    official.parse_03("TaskPushNotificationConfig", PROTO.push(config))
    again = params.create_push(written)
    expected = {key: value for key, value in config.items() if key != "tenant"}
    if config.get("taskId"):
        # One without an id is known by its task's.
        expected = {"id": config["taskId"], **expected}
    assert protocol.TaskPushNotificationConfig.from_dict(again).to_dict() == expected


def _as_in_03(message: dict[str, Any]) -> dict[str, Any]:
    """Return a message of 1.0 without the members that 0.3 does not have."""
    parts = []
    for part in message["parts"]:
        old = dict(part)
        if "text" in part or "data" in part:
            old.pop("filename", None)
            old.pop("mediaType", None)
        if "data" in part and not isinstance(part["data"], dict):
            old["data"] = {"value": part["data"]}
        parts.append(old)
    return {**message, "parts": parts}


@some
@given(ours=generated.models(protocol.Message))
def test_a_message_comes_back_from_the_json_schema_as_it_was(ours: protocol.Message) -> None:
    message = ours.to_dict()
    again = params.send({"message": SCHEMA.message(message)})["message"]
    assert protocol.Message.from_dict(again).to_dict() == _as_in_03(message)


@some
@given(ours=generated.models(protocol.Message))
def test_a_message_comes_back_from_the_proto_as_it_was(ours: protocol.Message) -> None:
    message = ours.to_dict()
    again = params.plain_send({"message": PROTO.message(message)})["message"]
    message.pop("referenceTaskIds", None)
    assert protocol.Message.from_dict(again).to_dict() == _as_in_03(message)


@some
@given(ours=generated.models(protocol.AgentCard))
def test_every_card_is_read_by_both_versions(ours: protocol.AgentCard) -> None:
    reached = protocol.AgentInterface(
        url="https://example.com/a", protocol_binding="JSONRPC", protocol_version="0.3"
    )
    ours = ours.model_copy(
        update={"supported_interfaces": [*ours.supported_interfaces, reached]}, deep=True
    )
    for scheme in ours.security_schemes.values():
        if scheme.api_key_security_scheme is not None:
            # Any word to the proto; one of three to the JSON schema.
            scheme.api_key_security_scheme.location = "header"
    both = card_with_03(ours.to_dict())
    assert protocol.AgentCard.from_dict(both).to_dict() == ours.to_dict()
    old = types.AgentCard.model_validate(both)
    assert old.preferred_transport and old.url
    assert [skill.id for skill in old.skills] == [skill.id for skill in ours.skills]
