"""Archives: the logs of tasks that ended long ago, in files of a storage.

A file has the logs of many tasks. A log is deleted from the table in the transaction that notes
where in a file it is. Before that, the file is there, and before the file there is its row. So a
process that dies at any moment leaves nothing behind that `tidy` does not find.
"""

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from io import BytesIO
from typing import Any, NamedTuple
from uuid import UUID

from django.core.files import File
from django.core.files.storage import Storage
from django.db.models import Count, Exists, F, OuterRef, QuerySet, Subquery
from django.db.models.functions import Coalesce
from django.utils import timezone

from a2a_app import models
from a2a_app.database import atomic
from a2a_app.database.deletes import delete_rows, lock_rows, may_skip_django
from a2a_app.database.selects import select_values
from a2a_app.database.values import IsAmong, new_key
from a2a_app.files.rows import OpenedFile
from a2a_app.files.storage import get_storage
from a2a_app.store.log_files import LogFile, LoggedEvent, LogPlace
from a2a_app.store.prune import Age

logger = logging.getLogger(__name__)

# How many events are read at once, and how many archives are looked at.
READ_LIMIT = 1000
WINDOW = 100
# The age at which an archive that is not in use is deleted. By then no process is storing it.
ABANDONED_AFTER = timedelta(hours=1)
MEDIA_TYPE = "application/gzip"


class ArchiveError(Exception):
    """A storage has failed. No event was deleted that no archive has."""


class Archived(NamedTuple):
    """How many tasks' logs went into an archive, and how many events they had."""

    tasks: int
    events: int


def archivable(age: Age) -> "QuerySet[models.Task]":
    """Return the tasks that ended so long ago, still have their log, and owe no webhook anything.

    A webhook that was given up counts too, since staff may have it tried again.
    """
    unheard = models.PushNotificationConfig.objects.filter(
        task=OuterRef("pk"), delivered__lt=F("announced")
    )
    logged = models.Event.objects.filter(task=OuterRef("pk"))
    return age.tasks().filter(~Exists(unheard), Exists(logged))


def archive_logs(age: Age, keys: Sequence[UUID], storage: str) -> Archived:
    """Move the logs of those of the tasks that are old into one file.

    Args:
        age: How old they must be.
        keys: The tasks.
        storage: Its alias in STORAGES; empty: the default folder.

    Raises:
        ArchiveError: The storage has failed.
    """
    with LogFile() as made:
        for key in keys:
            made.add(key, _events(key))
        if not made.places:
            return Archived(0, 0)
        archive = _save(made, storage)
    with atomic():
        old = archivable(age).filter(IsAmong(F("pk"), keys))
        found = {key for (key,) in lock_rows(old, "pk", touch="seq")}
        # Asked once they are locked: another process may have been faster.
        found -= set(_logs_of(found).values_list("pk", flat=True))
        places = [place for place in made.places if place.task_id in found]
        _delete_events([place.task_id for place in places])
        models.ArchivedLog.objects.bulk_create(
            models.ArchivedLog(
                task_id=place.task_id, archive=archive, start=place.start, size=place.size
            )
            for place in places
        )
        _note_stored(archive, made)
    return Archived(len(places), sum(place.events for place in places))


def _logs_of(tasks: set[UUID]) -> "QuerySet[models.ArchivedLog]":
    return models.ArchivedLog.objects.filter(pk__in=tasks)


def _events(task_id: UUID) -> Iterator[LoggedEvent]:
    """Yield a task's events. It has ended, so that they stay as they are."""
    last = 0
    while True:
        found = select_values(
            models.Event,
            LoggedEvent._fields,
            order_by=("seq",),
            limit=READ_LIMIT,
            task=task_id,
            seq__gt=last,
        )
        yield from map(LoggedEvent._make, found)
        if len(found) < READ_LIMIT:
            return
        last = found[-1][0]


def _delete_events(tasks: Sequence[UUID]) -> None:
    if may_skip_django([models.Event]):
        delete_rows([(models.Event, "task")], tasks)
    else:
        models.Event.objects.filter(task__in=tasks).delete()


def _save(made: LogFile, storage: str) -> models.Archive:
    """Store the row of an archive and then its file."""
    key = new_key()
    row = models.Archive.objects.create(
        pk=key,
        storage=storage,
        name=f"a2a/logs/{timezone.now():%Y/%m/%d}/{key.hex}.jsonl.gz",
        size=made.content.tell(),
    )
    made.content.flush()
    with _at_work(storage) as at_work:
        name = at_work.save(row.name, File(made.content, row.name))
    if name != row.name:
        row.name = name
        row.save(update_fields=["name"])
    return row


@contextmanager
def _at_work(storage: str) -> Iterator[Storage]:
    """Yield a storage, and make an ArchiveError of what it raises, unless it lacks a file."""
    try:
        yield get_storage(storage)
    except FileNotFoundError:
        raise
    except Exception as error:  # a storage may raise anything
        raise ArchiveError(f"The storage {storage!r} has failed: {error!r}.") from error


def _note_stored(archive: models.Archive, made: LogFile) -> None:
    models.Archive.objects.filter(pk=archive.pk).update(tasks=len(made.places))


def open_log(task_id: UUID) -> OpenedFile:
    """Open the log of a task in its archive, compressed as it is there.

    Raises:
        LookupError: No archive has a log of this task, or the storage has lost the archive.
    """
    log = _archived_log(task_id)
    while True:
        try:
            with get_storage(log.archive.storage).open(log.archive.name, "rb") as file:
                file.seek(log.start)
                content = file.read(log.size)
        except FileNotFoundError:
            before, log = log, _archived_log(task_id)
            # It may have been put into another file meanwhile.
            if log.archive == before.archive:
                _log_lost(log.archive)
                raise LookupError(f"The archive of task {task_id} is lost.") from None
        else:
            name, agent = f"{task_id}.jsonl.gz", log.task.agent
            return OpenedFile(name, MEDIA_TYPE, log.size, BytesIO(content), agent)


def _archived_log(task_id: UUID) -> models.ArchivedLog:
    log = models.ArchivedLog.objects.select_related("archive", "task").filter(pk=task_id).first()
    if log is None:
        raise LookupError(f"The log of task {task_id} is in no archive.")
    return log


def _log_lost(archive: models.Archive) -> None:
    logger.error("The storage %r has no archive %r any more.", archive.storage, archive.name)


def tidy() -> None:
    """Delete from all archives the logs of tasks that are deleted, and files that are not in use.

    Raises:
        ArchiveError: A storage has failed. The others were tidied, and the next call tries again.
    """
    failure: ArchiveError | None = None
    logs = models.ArchivedLog.objects.filter(archive=OuterRef("pk")).order_by()
    left = logs.values("archive").annotate(count=Count("pk")).values("count")
    rows = models.Archive.objects.annotate(left=Coalesce(Subquery(left), 0)).order_by("pk")
    found = list(rows[:WINDOW])
    while found:
        for row in found:
            try:
                _tidy(row)
            except ArchiveError as error:
                failure = error
        found = list(rows.filter(pk__gt=found[-1].pk)[:WINDOW])
    if failure is not None:
        raise failure


def _tidy(row: Any) -> None:
    """Tidy an archive, whose row has as `left` how many logs it has of tasks that are there."""
    if row.tasks is None:
        if row.created_at < timezone.now() - ABANDONED_AFTER:
            _delete_unused(row)
    elif not row.left:
        _delete_unused(row)
    elif row.left < row.tasks:
        _rewrite(row)


def _rewrite(old: models.Archive) -> None:
    """Put the logs that are left of an archive into another one."""
    places = [LogPlace(log.pk, log.start, log.size) for log in old.logs.order_by("start")]
    with LogFile() as made:
        try:
            with _at_work(old.storage) as storage, storage.open(old.name, "rb") as file:
                for place in places:
                    made.add_from(file, place)
        except FileNotFoundError:
            _log_lost(old)
            # Nothing of the deleted tasks is left in it.
            models.Archive.objects.filter(pk=old.pk).update(tasks=old.logs.count())
            return
        new = _save(made, old.storage)
    with atomic():
        # Another process may be at the same, or delete tasks.
        lock_rows(models.Archive.objects.filter(pk=old.pk), "pk", touch="size")
        kept = {key for (key,) in lock_rows(old.logs.all(), "pk", touch="start")}
        models.ArchivedLog.objects.bulk_update(
            [
                models.ArchivedLog(pk=place.task_id, archive=new, start=place.start)
                for place in made.places
                if place.task_id in kept
            ],
            ["archive", "start"],
        )
        _note_stored(new, made)
    _delete_unused(old)


def _delete_unused(row: models.Archive) -> None:
    """Delete the file of an archive that has no logs any more, and then its row."""
    if not row.logs.exists():
        with _at_work(row.storage) as storage:
            storage.delete(row.name)
        models.Archive.objects.filter(pk=row.pk).delete()
