"""Every object is written in every way that pydantic has, and read back as it was."""

from collections.abc import Callable
from itertools import product
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.strategies import DataObject
from pydantic import BaseModel, TypeAdapter

from a2a_app.protocol import Message, Model, Part, Role
from tests.protocol.generated import models
from tests.protocol.test_against_official_types import MODELS, NAMES

MODES = [
    {"mode": mode, "by_alias": by_alias, "exclude_defaults": exclude_defaults}
    for mode, by_alias, exclude_defaults in product(
        ("json", "python"), (True, False), (True, False)
    )
]
PARTS = [Part(text="x"), Part(data=None), Part(data={"a": [1]}), Part(raw=b"\xff"), Part(url="u")]


class Log(BaseModel):
    """A model of a project's own, with a message in it."""

    message: Message


@pytest.mark.parametrize("name", NAMES)
@settings(
    max_examples=5,
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
@given(data=st.data())
def test_what_is_written_in_any_mode_is_read_as_the_same(name: str, data: DataObject) -> None:
    cls: type[Model] = MODELS[name]
    made = data.draw(models(cls))
    for mode in MODES:
        options: dict[str, Any] = mode
        assert cls.model_validate(made.model_dump(**options)) == made, mode
    for text in (made.model_dump_json(), made.model_dump_json(exclude_unset=True)):
        assert cls.model_validate_json(text) == made


@pytest.mark.parametrize(
    "dump",
    [
        lambda message: message.model_dump(mode="json"),
        lambda message: message.model_dump(),
        lambda message: Log(message=message).model_dump(mode="json")["message"],
        lambda message: TypeAdapter(Any).dump_python(message, mode="json"),
    ],
    ids=["json", "python", "in another model", "of unknown type"],
)
@pytest.mark.parametrize("part", PARTS, ids=lambda part: part.to_json())
def test_a_part_that_has_no_data_is_written_without(
    part: Part, dump: Callable[[Message], Any]
) -> None:
    [written] = dump(Message(message_id="m", role=Role.AGENT, parts=[part]))["parts"]
    assert ("data" in written) == part.has_data
    assert Part.model_validate(written) == part
