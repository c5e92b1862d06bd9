"""Pages of ListTasks end by bytes: complete, without doubles, each with at least one task."""

from typing import Any

import pytest

from a2a_app import models
from a2a_app.protocol import ListTasksRequest, ListTasksResponse, TaskState
from a2a_app.store.events import LargeReadError
from a2a_app.store.reads import pages
from a2a_app.store.reads.tasks import newest_position, read_snapshot
from a2a_app.store.writes.append import append
from tests.conftest import ChangeSettings
from tests.tasks import SCOPE, begin, chunk, status

pytestmark = pytest.mark.django_db

LIMIT = 20_000


@pytest.fixture(autouse=True)
def small_pages(a2a: ChangeSettings) -> None:
    a2a(PAGE_BYTES=LIMIT)


def all_pages(**params: Any) -> list[ListTasksResponse]:
    found: list[ListTasksResponse] = []
    token = ""
    while not found or token:
        page = pages.task_page(SCOPE, ListTasksRequest(page_token=token, **params))
        found.append(page)
        token = page.next_page_token
    return found


def size_of(key: str) -> int:
    return models.Task.objects.get(pk=key).size


@pytest.mark.parametrize("length", [None, 1])
def test_a_page_ends_before_it_has_too_many_bytes_and_none_is_left_out(length: int | None) -> None:
    # The newest status is that of what was begun last.
    sizes = [1, 9_000, 9_000, 30_000, 1, 9_000, 30_000, 9_000, 1, 1]
    made = [str(begin("x" * size).head.task_id) for size in reversed(sizes)][::-1]
    found = all_pages(history_length=length, page_size=9)
    assert [[len(task.history[0].text) for task in page.tasks] for page in found] == [
        [1, 9_000, 9_000],
        [30_000],
        [1, 9_000],
        [30_000],
        [9_000, 1, 1],
    ]
    assert [task.id for page in found for task in page.tasks] == made
    assert {(page.total_size, page.page_size) for page in found} == {(10, 9)}
    assert all(len(page.to_json()) < LIMIT + 1000 for page in found if len(page.tasks) > 1)


def test_only_what_the_caller_asks_for_counts() -> None:
    for _ in range(6):
        append(
            begin("x" * 9_000).head,
            [status(TaskState.WORKING, "y"), chunk("z" * 9_000, append=False, last=True)],
        )
    numbers = {
        "nothing of it": len(all_pages(history_length=0)),
        "history": len(all_pages()),
        "artifacts": len(all_pages(history_length=0, include_artifacts=True)),
        "both": len(all_pages(include_artifacts=True)),
    }
    assert numbers == {"nothing of it": 1, "history": 3, "artifacts": 3, "both": 6}


def test_messages_of_statuses_count_too() -> None:
    for _ in range(4):
        append(begin().head, [status(TaskState.WORKING, "x" * 9_000)])
    assert [len(page.tasks) for page in all_pages(history_length=0)] == [2, 2]


def test_a_task_knows_how_large_it_is_at_most() -> None:
    head = begin("é" * 1000).head
    head = append(head, [chunk("x" * 1000, append=False), chunk("y" * 1000)]).head
    head = append(head, [status(TaskState.COMPLETED, "z" * 1000)]).head
    task = read_snapshot(SCOPE, str(head.task_id)).task
    in_json = len(task.to_json().encode())
    assert in_json <= head.size + 200 and head.size <= in_json + 1500
    assert size_of(task.id) == head.size


def test_what_is_too_large_for_its_reader_is_not_read(a2a: ChangeSettings) -> None:
    head = begin("x" * 9_000).head
    key = str(head.task_id)
    with pytest.raises(LargeReadError) as caught:
        read_snapshot(SCOPE, key, most=9_000)
    assert caught.value.size == head.size == size_of(key)
    assert read_snapshot(SCOPE, key, most=head.size).position == newest_position(SCOPE, key)
    begin("x" * 30_000)
    with pytest.raises(LargeReadError) as caught:
        pages.task_page(SCOPE, ListTasksRequest(), most=9_000)
    assert caught.value.size == 2 * head.size + 21_000
    for _ in range(9):
        begin("x" * 30_000)
    with pytest.raises(LargeReadError) as caught:
        pages.task_page(SCOPE, ListTasksRequest(), most=9_000)
    # A page, and the task that may turn out to be too much.
    assert caught.value.size == LIMIT + head.size + 21_000
