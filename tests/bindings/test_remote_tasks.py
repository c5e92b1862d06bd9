"""Notifications of tasks that turns have asked for: how many there may be, and which count."""

from typing import Any
from uuid import UUID, uuid4

import pytest
from django.test import AsyncClient

from a2a_app.bindings import remote_tasks
from a2a_app.push.sender import TOKEN_HEADER
from tests.conftest import ChangeSettings

pytestmark = pytest.mark.usefixtures("runtime")

NEWS = b'{"statusUpdate": {"status": {"state": "TASK_STATE_COMPLETED"}}}'
MOST = 3


@pytest.fixture(autouse=True)
def few(a2a: ChangeSettings, monkeypatch: pytest.MonkeyPatch) -> None:
    a2a(PUBLIC_URL="https://ours.test")
    monkeypatch.setattr(remote_tasks, "RINGS_PER_MINUTE", MOST)


async def notify(asked: UUID, said: bytes = NEWS) -> Any:
    url, token = remote_tasks.webhook_for(asked)
    headers: Any = {TOKEN_HEADER: token}
    return await AsyncClient().post(url, said, content_type="application/json", headers=headers)


async def test_one_task_is_told_of_a_few_times_in_a_minute_and_others_all_the_same() -> None:
    asked = uuid4()
    # They may lie on both sides of a full minute.
    answers = [await notify(asked) for _ in range(2 * MOST + 1)]
    assert [each.status_code for each in answers[:MOST]] == [204] * MOST
    [refused, *_] = [each for each in answers if each.status_code != 204]
    assert refused.status_code == 429
    assert 1 <= int(refused["Retry-After"]) <= 60
    assert "3 times in a minute" in refused.json()["error"]["message"]
    assert (await notify(uuid4())).status_code == 204


async def test_what_tells_of_nothing_to_do_does_not_count() -> None:
    asked = uuid4()
    chatter = [await notify(asked, b'{"artifactUpdate": {}}') for _ in range(2 * MOST + 1)]
    assert {each.status_code for each in chatter} == {204}
    assert (await notify(asked)).status_code == 204


async def test_the_counts_of_ever_more_tasks_take_no_more_room(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(remote_tasks, "MAX_COUNTED", 2)
    for _ in range(5):
        assert (await notify(uuid4())).status_code == 204
    assert len(remote_tasks._rung) <= 2
