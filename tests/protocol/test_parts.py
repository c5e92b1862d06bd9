"""Parts in Python: copies of one are the same, whatever its content."""

import copy
import pickle

import pytest

from a2a_app.protocol import Part, SecurityScheme
from tests.protocol.test_bad_input import faults


@pytest.mark.parametrize(
    "part", [Part(text="x"), Part(data=None), Part(data={"a": [1]}), Part(raw=b"x"), Part(url="u")]
)
def test_a_copy_of_a_part_is_the_same_part(part: Part) -> None:
    for same in (copy.deepcopy(part), part.model_copy(deep=True), pickle.loads(pickle.dumps(part))):
        assert same == part
        assert same.has_data == part.has_data
        assert same.to_json() == part.to_json()


@pytest.mark.parametrize(
    "part",
    [
        Part(text="x", metadata={"a": None}, media_type="text/plain"),
        Part(data=None),
        Part(data={"a": [1]}, filename="a.json"),
        Part(raw=b"\xff\x00"),
        Part(url="u"),
    ],
)
def test_a_part_that_is_known_to_be_good_is_made_as_by_a_check(part: Part) -> None:
    known = Part.unchecked_from_dict(part.to_dict())
    assert known == part
    assert known.to_json() == part.to_json()


def test_a_bad_value_in_a_map_is_named_by_its_key_as_it_came() -> None:
    scheme = {"oauth2SecurityScheme": {"flows": {"implicit": {"scopes": {"read_all": 1}}}}}
    assert faults(SecurityScheme, scheme) == {
        "oauth2SecurityScheme.flows.implicit.scopes.read_all": "must be a string"
    }
