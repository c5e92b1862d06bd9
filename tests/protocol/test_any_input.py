"""Any JSON at all, as the parameters of each operation, is read or refused (R12)."""

import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from a2a_app import protocol
from a2a_app.protocol import InvalidParamsError, Model, Part
from tests.protocol.test_bad_input import PARAMS

TEXT = st.text(st.characters(exclude_categories=()), max_size=6)
ODD = st.sampled_from(
    ["\0", "\ud800", "", "10", "ROLE_USER", "YQ==", "2026-01-31T12:00:00Z", 2**31, 10**400]
)
ATOMS = st.none() | st.booleans() | st.integers() | st.floats() | TEXT | ODD
FIELDS = sorted(
    {
        spelling
        for name in protocol.__all__
        if isinstance(cls := getattr(protocol, name), type) and issubclass(cls, Model)
        for field, info in cls.model_fields.items()
        for spelling in (field, info.alias or field)
    }
)
KEYS = st.sampled_from(FIELDS) | TEXT
ANYTHING = st.recursive(
    ATOMS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=4),
    max_leaves=12,
)
MESSAGES = st.fixed_dictionaries(
    {},
    optional={
        "messageId": st.just("m") | ANYTHING,
        "role": st.just(1) | ANYTHING,
        "parts": st.lists(
            st.dictionaries(st.sampled_from(list(Part.model_fields)), ANYTHING, max_size=3),
            max_size=3,
        ),
        "metadata": ANYTHING,
        "context_id": ANYTHING,
    },
)
PLAUSIBLE = st.dictionaries(KEYS, ANYTHING, max_size=5) | st.fixed_dictionaries(
    {}, optional={"message": MESSAGES, "id": TEXT, "taskId": TEXT, "url": TEXT, "x": ANYTHING}
)


@pytest.mark.parametrize("cls", PARAMS)
@settings(
    max_examples=40,
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
@given(value=ANYTHING | PLAUSIBLE)
def test_anything_is_read_or_refused_and_never_breaks(cls: type[Model], value: object) -> None:
    try:
        read = cls.from_dict(value)
    except InvalidParamsError as error:
        assert error.violations
        json.dumps(error.details(), ensure_ascii=False).encode()
        assert not any(v.description.startswith("Input") for v in error.violations)
    else:
        assert cls.from_dict(json.loads(read.to_json().encode())) == read
