"""People: all that belongs to one of them is exported or forgotten, and nothing of others."""

import asyncio
import json
from collections.abc import AsyncIterator
from io import BytesIO, StringIO
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import pytest
from asgiref.sync import sync_to_async
from django.apps import apps
from django.contrib.auth.models import User
from django.core.files.storage import InvalidStorageError, storages
from django.core.management import CommandError, call_command
from django.db.models import Model

from a2a_app import models
from a2a_app.agents import Turn
from a2a_app.management.export import WITH_USER, WITHHELD, write_export
from a2a_app.store import people
from a2a_app.store.people import BY_OWNER, PERSONAL, Person
from a2a_app.store.removal import remove_contexts
from tests.clients.operations import client_of
from tests.people import BYTES, CONVERSATIONS, TASKS, fill, rows, scope_of
from tests.wire import state

pytestmark = pytest.mark.usefixtures("runtime", "empty_storages")

SECONDS = 20
# Models without data of anybody, each with its reason.
NOBODYS: dict[type[Model], str] = {
    models.WaitingTask: "a choice of the rows of Task",
    models.DirectoryEntry: "an agent elsewhere, which staff has registered",
    models.Upkeep: "how far a work has come",
    models.Worker: "a process",
    models.Failure: "what the code of the project has raised, which is not said to be of anybody",
    models.Archive: "where a file is; what is in it belongs to the rows of ArchivedLog",
}


def run(command: str, *options: str) -> str:
    out = StringIO()
    call_command(command, *options, stdout=out, stderr=out)
    return out.getvalue()


def two_people() -> tuple[User, User]:
    """Fill the tables for two users, of whom the first has data in a tenant and elsewhere."""
    ann, bob = (User.objects.create(username=name) for name in ("ann", "bob"))
    fill(scope_of(ann), ann)
    fill(scope_of(ann, tenant="acme"), ann)
    fill(scope_of(bob), bob)
    return ann, bob


def exported(user: User) -> ZipFile:
    written = BytesIO()
    write_export(Person.of_row(user), written)
    return ZipFile(written)


def lines(archive: ZipFile, model: type[Model]) -> list[Any]:
    text = archive.read(f"{model._meta.model_name}.jsonl").decode()
    return [json.loads(line) for line in text.splitlines()]


def test_every_model_says_how_its_rows_belong_to_a_person_or_why_to_nobody() -> None:
    known = {*PERSONAL, *WITH_USER, *BY_OWNER, *NOBODYS}
    assert known == set(apps.get_app_config("a2a_app").get_models())


@pytest.mark.slow
def test_what_is_forgotten_is_all_of_one_person_and_nothing_of_another() -> None:
    before = rows()
    bob = User.objects.create(username="bob")
    fill(scope_of(bob), bob)
    bobs = rows()
    personal = {model.__name__ for model in [*PERSONAL, *WITH_USER, *BY_OWNER]}
    assert all(bobs[name] > before[name] for name in personal), bobs
    ann = User.objects.create(username="ann")
    for tenant in ("", "acme"):
        fill(scope_of(ann, tenant), ann)
    assert {name: 3 * number for name, number in bobs.items()} == rows()
    would = run("a2a_forget", "--user", "ann", "--dry-run")
    assert (
        would
        == f"Would delete: {2 * TASKS} tasks, {2 * CONVERSATIONS} conversations, 2 API keys.\n"
    )
    assert rows()["Task"] == 3 * TASKS
    assert run("a2a_forget", "--user", str(ann.pk)) == would.replace("Would delete", "Deleted")
    assert rows() == bobs
    assert len(storages["memory"].listdir("a2a")[0]) == 1
    assert models.File.objects.get().filename.startswith(f"user:{bob.pk}")
    assert run("a2a_forget", "--user", "ann") == (
        "Deleted: 0 tasks, 0 conversations, 0 API keys.\n"
    )


@pytest.mark.slow
def test_an_owner_is_forgotten_within_its_tenant_only() -> None:
    ann, _ = two_people()
    assert run("a2a_forget", "--owner", f"tenant:acme/user:{ann.pk}") == (
        f"Deleted: {TASKS} tasks, {CONVERSATIONS} conversations, 0 API keys.\n"
    )
    assert models.Task.objects.filter(owner=f"user:{ann.pk}").count() == TASKS


@pytest.mark.slow
def test_what_ctrl_c_stops_goes_on_when_it_is_run_again(monkeypatch: pytest.MonkeyPatch) -> None:
    two_people()
    with monkeypatch.context() as patched:
        patched.setattr(people, "BATCH", 1)
        removed = remove_contexts

        def interrupted(contexts: Any) -> int:
            removed(contexts)
            raise KeyboardInterrupt

        patched.setattr(people, "remove_contexts", interrupted)
        with pytest.raises(CommandError, match="Run it again"):
            run("a2a_forget", "--user", "ann")
    left = models.Context.objects.exclude(owner__contains="/").count()
    assert left in (2 * CONVERSATIONS - 1, 2 * CONVERSATIONS)
    run("a2a_forget", "--user", "ann")
    assert models.Context.objects.count() == CONVERSATIONS


async def rest_of(stream: AsyncIterator[dict[str, Any]]) -> list[dict[str, Any]]:
    return [item async for item in stream]


async def test_what_is_at_work_is_canceled_before_it_is_forgotten() -> None:
    stopped = asyncio.Event()

    async def endless(turn: Turn) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            stopped.set()

    endless_agent: Any = endless
    with client_of(endless_agent, cancelable=False) as client:
        task = await client.send(return_immediately=True)
        stream = client.subscribe(task.id)
        await anext(stream)
        reading = asyncio.ensure_future(rest_of(stream))
        await sync_to_async(run)("a2a_forget", "--owner", client.call.scope.owner)
        async with asyncio.timeout(SECONDS):
            seen = await reading
            await stopped.wait()
    assert [state(item) for item in seen if "statusUpdate" in item][-1:] == ["CANCELED"]
    assert not await models.Task.objects.aexists()


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        (["--user", "nobody"], "There is no user 'nobody'"),
        (["--user", "99"], "There is no user '99'"),
        ([], "one of the arguments --user --owner is required"),
        (["--user", "ann", "--owner", "x"], "not allowed with"),
    ],
)
def test_a_person_that_is_none_is_refused(options: list[str], reason: str) -> None:
    with pytest.raises(CommandError, match=reason):
        run("a2a_forget", *options)


def test_a_name_that_is_another_users_key_is_refused() -> None:
    ann = User.objects.create(username="ann")
    User.objects.create(username=str(ann.pk))
    with pytest.raises(CommandError, match="the primary key of another"):
        run("a2a_forget", "--user", str(ann.pk))


@pytest.mark.slow
def test_an_export_has_every_row_of_one_person_and_none_of_another() -> None:
    ann, bob = two_people()
    archive = exported(ann)
    for model in [*PERSONAL, *WITH_USER]:
        all_rows = model._default_manager.count()
        written = lines(archive, model)
        assert len(written) == all_rows * 2 // 3, model
        columns = {field.attname for field in model._meta.concrete_fields}
        assert set(written[0]) == columns - WITHHELD.get(model, set())
    sums = {each["spender"] for each in lines(archive, models.Spending)}
    assert sums == {f"user:{ann.pk}", f"tenant:acme/user:{ann.pk}"}
    text = b"".join(archive.read(name) for name in archive.namelist()).decode()
    assert f"user:{bob.pk} load asked" not in text
    assert f"user:{ann.pk} load asked" in text


@pytest.mark.slow
def test_an_export_has_the_bytes_of_files_and_no_secrets() -> None:
    ann, _ = two_people()
    models.PushNotificationConfig.objects.update(secrets="planted secret")
    models.Run.objects.update(error="planted traceback")
    models.ApiKey.objects.update(digest="planted digest")
    archive = exported(ann)
    files = [name for name in archive.namelist() if name.startswith("files/")]
    assert [archive.read(name) for name in files] == [BYTES, BYTES]
    text = b"".join(archive.read(name) for name in archive.namelist()).decode()
    assert "planted" not in text


@pytest.mark.slow
def test_an_export_is_a_file_that_only_its_writer_reads_and_never_overwrites(
    tmp_path: Path,
) -> None:
    two_people()
    path = tmp_path / "ann.zip"
    assert f"{2 * TASKS} Task" in run("a2a_export", "--user", "ann", "--output", str(path))
    assert path.stat().st_mode & 0o777 == 0o600
    assert ZipFile(path).testzip() is None
    with pytest.raises(CommandError, match="File exists"):
        run("a2a_export", "--user", "ann", "--output", str(path))


@pytest.mark.slow
def test_an_export_says_where_the_storage_has_lost_a_file(tmp_path: Path) -> None:
    two_people()
    storages["memory"].delete(models.File.objects.order_by("pk")[0].name)
    path = tmp_path / "ann.zip"
    with pytest.raises(CommandError, match="lost 1 of the files"):
        run("a2a_export", "--user", "ann", "--output", str(path))
    assert ZipFile(path).testzip() is None


@pytest.mark.slow
def test_an_export_that_fails_leaves_no_file(tmp_path: Path) -> None:
    two_people()
    models.File.objects.update(storage="nowhere")
    path = tmp_path / "ann.zip"
    with pytest.raises(InvalidStorageError):
        run("a2a_export", "--user", "ann", "--output", str(path))
    assert not path.exists()


@pytest.mark.slow
def test_an_export_goes_to_the_standard_output(capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    two_people()
    run("a2a_export", "--user", "ann", "--output", "-")
    archive = ZipFile(BytesIO(capfdbinary.readouterr().out))
    assert len(lines(archive, models.Task)) == 2 * TASKS
