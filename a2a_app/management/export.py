"""Export: all that belongs to a person, as a zip of JSON lines and files."""

import json
from collections.abc import Iterable, Iterator
from typing import IO, Any
from uuid import UUID
from zipfile import ZIP_DEFLATED, ZipFile

from django.core.serializers.json import DjangoJSONEncoder
from django.db.models import Model, QuerySet

from a2a_app import models
from a2a_app.files.rows import open_row
from a2a_app.store.archives import open_log
from a2a_app.store.log_files import lines_of
from a2a_app.store.people import PERSONAL, Person
from a2a_app.store.removal import BATCH

# What of a row is no data of its person: secrets, and what the server's own code said of an error.
WITHHELD: dict[type[Model], set[str]] = {
    models.ApiKey: {"digest"},
    models.Approval: {"decided_by_id"},
    models.PushNotificationConfig: {"secrets"},
    models.Run: {"error", "handed_on"},
    models.Step: {"error"},
}
# What is a user's own, and in no conversation.
WITH_USER: tuple[type[Model], ...] = (models.ApiKey,)
CHUNK_BYTES = 256 * 1024
READ_ME = """What the agents of this site have stored of one person.

Each .jsonl file has a row of a table in each line, as a JSON object. The folder "files" has the
bytes of the files that messages and artifacts name by "a2a-file:" and the file's id, and "logs" the
events of tasks that were moved into an archive.
Not in here: the digests of API keys, the secrets of webhooks, what the site
hands on to its agents, and tracebacks of errors.
"""


def write_export(person: Person, target: IO[bytes]) -> dict[str, int]:
    """Write all that belongs to a person, and keep little of it in memory.

    What changes meanwhile may be in it in part.

    Args:
        person: The person.
        target: Where the zip goes. It need not be seekable.

    Returns:
        How many rows of each model were written, and under "missing" how many files the storage
        has lost.
    """
    counts = {"missing": 0}
    with ZipFile(target, "w", ZIP_DEFLATED) as archive:
        archive.writestr("README.txt", READ_ME)
        exported: list[type[Model]] = [*PERSONAL, *WITH_USER, models.Spending]
        for model in exported:
            rows = _rows(model, person)
            counts[model.__name__] = _write_rows(archive, model, rows)
        for row in _rows(models.File, person):
            counts["missing"] += not _write_file(archive, row)
        for log in _rows(models.ArchivedLog, person):
            counts["missing"] += not _write_log(archive, log)
    return counts


def _rows(model: type[Model], person: Person) -> Iterator[Any]:
    """Yield a person's rows of a model, those of few conversations at a time."""
    if model is models.ApiKey:
        yield from person.api_keys()
        return
    if model is models.Spending:
        yield from person.spending().order_by("pk").iterator(chunk_size=BATCH)
        return
    for contexts in _contexts(person):
        for path in PERSONAL[model]:
            found: QuerySet[Any] = model._default_manager.filter(**{f"{path}__in": contexts})
            yield from found.order_by("pk").iterator(chunk_size=BATCH)


def _contexts(person: Person) -> Iterator[list[UUID]]:
    """Yield the keys of a person's conversations, BATCH at a time."""
    for caller in person.callers:
        after: dict[str, UUID] = {}
        mine = person.contexts().filter(caller=caller).order_by("pk").values_list("pk", flat=True)
        while keys := list(mine.filter(**after)[:BATCH]):
            yield keys
            after = {"pk__gt": keys[-1]}


def _write_rows(archive: ZipFile, model: type[Model], rows: Iterable[Any]) -> int:
    number = 0
    shown = [
        field.attname
        for field in model._meta.concrete_fields
        if field.attname not in WITHHELD.get(model, set())
    ]
    with archive.open(f"{model._meta.model_name}.jsonl", "w", force_zip64=True) as lines:
        for row in rows:
            values = {name: getattr(row, name) for name in shown}
            text = json.dumps(values, cls=DjangoJSONEncoder, ensure_ascii=False)
            lines.write(text.encode() + b"\n")
            number += 1
    return number


def _write_file(archive: ZipFile, row: models.File) -> bool:
    """Write a file's bytes; return False where the storage has lost them."""
    try:
        opened = open_row(row)
    except LookupError:
        return False
    with archive.open(f"files/{row.pk}", "w", force_zip64=True) as written:
        try:
            while piece := opened.content.read(CHUNK_BYTES):
                written.write(piece)
        finally:
            opened.close()
    return True


def _write_log(archive: ZipFile, log: models.ArchivedLog) -> bool:
    """Write the events of a task that are in an archive; return False where that is lost."""
    try:
        opened = open_log(log.pk)
    except LookupError:
        return False
    archive.writestr(f"logs/{log.pk}.jsonl", "".join(lines_of(opened.content.read())))
    return True
