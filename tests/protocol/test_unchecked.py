"""Objects that are made without a check are those that a check makes."""

import copy
import pickle

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.strategies import DataObject

from a2a_app import protocol
from a2a_app.protocol import Artifact, Message, Model, StreamResponse, Task, TaskStatus
from tests.protocol.generated import models


@pytest.mark.parametrize("cls", [Artifact, Message, Task, TaskStatus, StreamResponse])
@settings(
    max_examples=25,
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
@given(data=st.data())
def test_an_unchecked_object_is_the_one_that_a_check_makes(
    cls: type[Model], data: DataObject
) -> None:
    checked = data.draw(models(cls))
    unchecked = cls.unchecked(**dict(checked))
    assert unchecked == checked
    assert unchecked.to_json() == checked.to_json()


def test_an_unchecked_object_can_be_copied_changed_and_pickled() -> None:
    status = TaskStatus.unchecked(state=protocol.TaskState.WORKING, message=None, timestamp=None)
    for same in (copy.deepcopy(status), status.model_copy(), pickle.loads(pickle.dumps(status))):
        assert same == status
        same.state = protocol.TaskState.COMPLETED
        assert same != status
    assert status.to_json() == '{"state":"TASK_STATE_WORKING"}'


def test_an_unchecked_object_has_all_its_fields() -> None:
    with pytest.raises(AssertionError, match="TaskStatus"):
        TaskStatus.unchecked(state=protocol.TaskState.WORKING)


def test_one_of_several_is_made_of_the_one_that_there_is() -> None:
    task = Task(id="t", status=TaskStatus(state=protocol.TaskState.WORKING))
    assert StreamResponse.of(task=task) == StreamResponse(task=task)
