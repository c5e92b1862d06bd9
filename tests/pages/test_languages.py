"""The texts of the pages in other languages."""

import itertools
import re
from datetime import UTC, datetime
from pathlib import Path

import pytest
from babel.messages import mofile, pofile
from django.conf import LazySettings
from django.contrib import admin
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse
from django.utils.translation import override

from a2a_app import models
from a2a_app.admin import names
from a2a_app.protocol import TaskState
from a2a_app.store.updates import Returned, Update
from a2a_app.store.writes.append import append
from tests.servers import ROOT
from tests.tasks import begin, begin_and_claim, chunk, status

LOCALES = sorted((ROOT / "a2a_app" / "locale").glob("*/LC_MESSAGES/django.po"))


@pytest.mark.parametrize("texts", LOCALES, ids=lambda path: path.parent.parent.name)
def test_every_text_of_a_language_is_translated_and_compiled(texts: Path) -> None:
    with texts.open("rb") as source, texts.with_suffix(".mo").open("rb") as compiled:
        written, used = pofile.read_po(source), mofile.read_mo(compiled)
    for message in written:
        assert not message.fuzzy, message.id
        assert message.string and all(message.string), message.id
        if message.id:
            found = used.get(message.id, message.context)
            assert found is not None and found.string, message.id
            assert list(found.string) == list(message.string), message.id


@pytest.mark.django_db
def test_a_task_is_shown_in_the_language_of_the_site(settings: LazySettings) -> None:
    settings.LANGUAGE_CODE = "de"
    claim = begin_and_claim()
    chunks = [chunk("a", append=False), chunk("b", last=True)]
    updates: list[Update] = [*chunks, status(TaskState.COMPLETED, "Done."), Returned()]
    append(claim.head, updates, run=claim.run)
    boss = Client()
    boss.force_login(User.objects.create_superuser("boss"))
    page = boss.get(reverse("admin:a2a_app_task_change", args=[claim.head.task_id]))
    shown = page.content.decode()
    for text in ("erledigt", "hat die Aufgabe erledigt", "2 Stücke", "Unterhaltung", "Runde 1"):
        assert text in shown, text


@pytest.mark.django_db
def test_what_waits_and_what_may_be_done_is_said_in_the_language_of_the_site(
    settings: LazySettings,
) -> None:
    settings.LANGUAGE_CODE = "de"
    claim = begin_and_claim()
    append(claim.head, [status(TaskState.INPUT_REQUIRED, "Where?"), Returned()], run=claim.run)
    boss = Client()
    boss.force_login(User.objects.create_superuser("boss"))
    key = claim.head.task_id
    tasks = reverse("admin:a2a_app_task_changelist")
    chosen = {"action": "rerun_tasks", "_selected_action": str(key)}
    pages = {
        reverse("admin:a2a_app_waitingtask_changelist"): "Wartende Aufgaben (1)",
        reverse("admin:a2a_app_waitingtask_change", args=[key]): "Ihre Antwort",
        tasks: "Ausgewählte Aufgaben noch einmal ausführen",
    }
    for path, text in pages.items():
        assert text in boss.get(path).content.decode()
    assert "Möglich mit" in boss.post(tasks, chosen).content.decode()


@pytest.mark.django_db
def test_the_page_that_revokes_keys_is_in_the_language_of_the_site(settings: LazySettings) -> None:
    settings.LANGUAGE_CODE = "de"
    boss = Client()
    boss.force_login(User.objects.create_superuser("boss"))
    row = models.ApiKey.objects.create(user=User.objects.get(), prefix="0" * 16, name="key")
    chosen = {"action": "revoke", "_selected_action": str(row.pk)}
    page = boss.post(reverse("admin:a2a_app_apikey_changelist"), chosen).content.decode()
    for text in ("API-Schlüssel widerrufen", "Die Schlüssel werden ab jetzt abgelehnt"):
        assert text in page, text


@pytest.mark.django_db
def test_the_list_of_tasks_is_in_the_language_of_the_site(settings: LazySettings) -> None:
    settings.LANGUAGE_CODE = "de"
    head = begin_and_claim().head
    moment = datetime(2026, 3, 5, 14, 30, tzinfo=UTC)
    models.Task.objects.filter(pk=head.task_id).update(status_at=moment)
    boss = Client()
    boss.force_login(User.objects.create_superuser("boss"))
    page = boss.get(reverse("admin:a2a_app_task_changelist")).content.decode()
    for text in ("Zustand", "Stand vom", "Dauer", "hängt", "Letzte 7 Tage", "5. März 2026 14:30"):
        assert text in page, text
    assert re.search(r"\b1 Aufgabe\s", page)
    begin()
    page = boss.get(reverse("admin:a2a_app_task_changelist")).content.decode()
    assert re.search(r"\b2 Aufgaben\s", page)
    assert "Unterhaltungen" in page
    assert "Läufe" in page


def test_every_model_of_the_admin_and_every_column_of_its_lists_has_a_name() -> None:
    shown = [
        (model, each.list_display)
        for model, each in admin.site._registry.items()
        if model._meta.app_label == "a2a_app"
    ]
    # Its name has the number of the tasks in it.
    assert {model for model, _ in shown} - set(names.MODELS) == {models.WaitingTask}
    fields = {
        column
        for model, columns in shown
        for column in columns
        if isinstance(column, str) and column in {field.name for field in model._meta.fields}
    }
    assert fields - set(names.COLUMNS) == set()
    texts = [*itertools.chain(*names.MODELS.values()), *names.COLUMNS.values()]
    with LOCALES[0].open("rb") as source:
        known = pofile.read_po(source)
    with override(None):
        assert [str(text) for text in texts if str(text) not in known] == []
