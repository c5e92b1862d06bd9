"""Tidying archives: what deleted tasks and dead processes leave in files is found and deleted."""

import gzip
from collections.abc import Callable
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from django.core.files.storage import storages
from django.core.management import CommandError
from django.utils import timezone

from a2a_app import models
from a2a_app.files.storage import get_storage
from a2a_app.store import archives
from a2a_app.store.prune import Age
from tests.storages import HookedStorage, stored_names
from tests.store.test_archives import archived, command, logged, task

pytestmark = pytest.mark.usefixtures("runtime", "_in_memory")


@pytest.fixture
def _in_memory(settings: Any) -> None:
    """Store files in memory, where there are none yet."""
    hooked = {"BACKEND": "tests.storages.HookedStorage"}
    settings.STORAGES = {**settings.STORAGES, "hooked": hooked}
    settings.A2A = {**settings.A2A, "STORAGE": "memory"}


def prune(*options: str) -> str:
    return command(*options, name="a2a_prune")


def files() -> list[bytes]:
    """Return what is in all archives."""
    found = []
    for name in stored_names():
        with storages["memory"].open(name) as file:
            found.append(gzip.decompress(file.read()))
    return found


class Died(BaseException):
    """What ends a process in the midst of its work."""


@pytest.mark.parametrize("dies", ["saving", "noting"])
def test_a_process_that_dies_leaves_nothing_that_is_not_found_again(
    dies: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def die(*_: object) -> None:
        raise Died

    old = task()
    before = logged(old)
    with monkeypatch.context() as patched:
        if dies == "saving":
            patched.setattr(HookedStorage, "before_saving", staticmethod(die))
        else:
            patched.setattr(archives, "_note_stored", die)
        with pytest.raises(Died):
            command("--days", "8", "--storage", "hooked")
    assert logged(old) == before
    left_behind = stored_names("hooked")
    assert len(left_behind) == (0 if dies == "saving" else 1)
    command("--days", "8", "--storage", "hooked")
    assert len(archived(old)) == 4
    assert models.Archive.objects.count() == 2
    models.Archive.objects.filter(tasks=None).update(created_at=timezone.now() - timedelta(days=1))
    archives.tidy()
    [row] = models.Archive.objects.all()
    assert stored_names("hooked") == [row.name]


def test_a_log_that_another_process_moves_meanwhile_is_moved_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    old = [task(), task()]
    age = Age(timezone.now())

    def move_one() -> None:
        monkeypatch.undo()
        assert archives.archive_logs(age, old[:1], "memory") == (1, 4)

    monkeypatch.setattr(HookedStorage, "before_saving", staticmethod(move_one))
    assert archives.archive_logs(age, old, "hooked") == (1, 4)
    assert [len(archived(each)) for each in old] == [4, 4]
    archives.tidy()
    assert sorted(models.Archive.objects.values_list("storage", "tasks")) == [
        ("hooked", 1),
        ("memory", 1),
    ]


def test_the_file_goes_with_the_last_of_its_tasks() -> None:
    task()
    task()
    command("--days", "8")
    assert len(stored_names()) == 1
    assert prune("--days", "8") == "Deleted: 2 tasks, 2 conversations.\n"
    assert stored_names() == []
    assert not models.Archive.objects.exists()


def _by_command(young: UUID) -> None:
    models.Task.objects.filter(pk=young).update(status_at=timezone.now())
    prune("--days", "8")


def _by_django(young: UUID) -> None:
    models.Task.objects.exclude(pk=young).delete()
    archives.tidy()


@pytest.mark.parametrize("delete", [_by_command, _by_django])
def test_what_a_deleted_task_said_is_in_no_file_any_more(delete: Callable[[UUID], None]) -> None:
    task(text="the first secret")
    kept = task(text="no secret")
    task(text="the last secret")
    command("--days", "8")
    before = archived(kept)
    assert b"secret" in files()[0]
    delete(kept)
    assert archived(kept) == before
    [file] = files()
    assert file.decode().splitlines() == command("--read", str(kept)).splitlines()
    assert list(models.Archive.objects.values_list("tasks", flat=True)) == [1]


def test_one_that_reads_while_a_file_is_rewritten_reads_the_other_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    gone, kept = task(), task()
    command("--days", "8")
    rewritten: list[str] = []

    def storage(alias: str) -> Any:
        if not rewritten:
            rewritten.append(alias)
            models.Task.objects.filter(pk=gone).delete()
            archives.tidy()
        return get_storage(alias)

    monkeypatch.setattr(archives, "get_storage", storage)
    assert len(archived(kept)) == 4
    assert rewritten == ["memory"]


def test_an_archive_that_the_storage_has_lost_hinders_nothing(
    caplog: pytest.LogCaptureFixture,
) -> None:
    gone, kept = task(), task()
    command("--days", "8")
    [name] = stored_names()
    storages["memory"].delete(name)
    with pytest.raises(CommandError, match=f"The archive of task {kept} is lost"):
        command("--read", str(kept))
    models.Task.objects.filter(pk=gone).delete()
    archives.tidy()
    assert f"has no archive {name!r} any more" in caplog.text
    caplog.clear()
    archives.tidy()
    assert caplog.text == ""
    assert prune("--days", "8") == "Deleted: 1 tasks, 2 conversations.\n"
    assert not models.Archive.objects.exists()


def test_a_storage_that_fails_hinders_no_other(settings: Any) -> None:
    for storage in ("hooked", "memory", "memory"):
        task()
        command("--days", "8", "--storage", storage)
    settings.STORAGES = {key: it for key, it in settings.STORAGES.items() if key != "hooked"}
    models.Task.objects.all().delete()
    with pytest.raises(archives.ArchiveError, match="The storage 'hooked' has failed"):
        archives.tidy()
    assert [row.storage for row in models.Archive.objects.all()] == ["hooked"]
    assert stored_names() == []
    task(days=9)
    with pytest.raises(CommandError, match=r"'hooked' has failed.*Run it again to go on"):
        prune("--days", "8")
    assert not models.Task.objects.exists()
