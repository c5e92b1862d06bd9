"""The texts of the pages in other languages."""

import itertools
import re
from datetime import UTC, datetime
from pathlib import Path

import pytest
from babel.messages import mofile, pofile
from django.conf import LazySettings
from django.contrib import admin
from django.contrib.admin.utils import flatten_fieldsets
from django.contrib.auth.models import User
from django.test import Client, RequestFactory
from django.urls import reverse
from django.utils.translation import override

from a2a_app import models
from a2a_app.admin import names
from a2a_app.protocol import TaskState
from a2a_app.store.updates import Returned, Update
from a2a_app.store.writes.append import append
from tests.servers import ROOT
from tests.tasks import begin, begin_and_claim, chunk, status

LOCALES = sorted(ROOT.glob("*/locale/*/LC_MESSAGES/django.po"))
TEMPLATES = sorted(ROOT.glob("*/templates/**/*.html"))
# What of a template is no text of its own: what gettext has, code, and commands to be typed.
NO_TEXT = re.compile(
    r"{% blocktranslate.*?{% endblocktranslate %}|{% comment.*?{% endcomment %}"
    r"|{%.*?%}|{{.*?}}|{#.*?#}|<pre.*?</pre>|<code.*?</code>|&\w+;",
    re.DOTALL,
)
# Names of the protocol's and of formats, which are the same in every language.
NAMES = {"JSON", "contextId"}
# What a browser shows, or says, of an attribute.
SAID = re.compile(r'(?:alt|aria-label|placeholder|title)="([^"]*)"')


@pytest.mark.parametrize("path", TEMPLATES, ids=lambda path: "/".join(path.parts[-3:]))
def test_no_template_has_a_text_that_gettext_does_not_have(path: Path) -> None:
    left = NO_TEXT.sub("", path.read_text())
    texts = [*SAID.findall(left), *re.split(r"<[^>]*>", left)]
    words = {word for text in texts for word in re.findall(r"[^\W\d_]{2,}", text)}
    assert words <= NAMES


@pytest.mark.parametrize("texts", LOCALES, ids=lambda path: "/".join(path.parts[-5:-2]))
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


def test_every_model_and_field_that_the_admin_shows_has_its_texts_in_german(
    rf: RequestFactory,
) -> None:
    request = rf.get("/")
    request.user = User(is_superuser=True, is_active=True)
    shown = {
        model: each
        for model, each in admin.site._registry.items()
        # The name of the last has a number in it, and its page a question in place of fields.
        if model._meta.app_label == "a2a_app" and model is not models.WaitingTask
    }
    assert set(shown) == set(names.MODELS)
    texts = [*itertools.chain(*names.MODELS.values()), *names.FIELDS.values()]
    for model, each in shown.items():
        on_page = flatten_fieldsets(each.get_fieldsets(request, model()))
        for field in model._meta.fields:
            if field.name in on_page or field.name in each.list_display:
                assert field.name in names.FIELDS, f"{model}.{field.name}"
                texts += [label for _, label in field.flatchoices]
            if field.name in on_page and field.help_text:
                texts.append(field.help_text)
    with LOCALES[0].open("rb") as source:
        known = pofile.read_po(source)
    with override(None):
        assert [str(text) for text in texts if str(text) not in known] == []


@pytest.mark.django_db(transaction=True)
def test_the_history_of_a_task_is_in_the_language_of_whoever_reads_it(
    settings: LazySettings,
) -> None:
    claim = begin_and_claim()
    append(claim.head, [status(TaskState.INPUT_REQUIRED, "Where?"), Returned()], run=claim.run)
    boss = Client()
    boss.force_login(User.objects.create_superuser("boss"))
    key = str(claim.head.task_id)
    chosen = {"action": "cancel_tasks", "confirmed": "1", "_selected_action": key}
    boss.post(reverse("admin:a2a_app_task_changelist"), chosen)
    history = reverse("admin:a2a_app_task_history", args=[key])
    assert "Changed state to “canceled”." in boss.get(history).content.decode()
    settings.LANGUAGE_CODE = "de"
    assert "Zustand auf „abgebrochen“ geändert." in boss.get(history).content.decode()


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("field", "text", "said"),
    [
        ("url", "http://example.com", "Die URL muss mit https beginnen."),
        (
            "url",
            f"https://{'a' * 254}.example",
            "Die URL darf keinen Host mit mehr als 253",
        ),
        ("key", "no key", "Der Schlüssel muss in PEM und ohne Passphrase sein: RSA mit mindestens"),
        ("name", "echo", "Ein Agent dieses Projekts"),
    ],
)
def test_what_is_wrong_with_an_agent_elsewhere_is_said_in_a_sentence_that_names_the_field(
    settings: LazySettings, field: str, text: str, said: str
) -> None:
    settings.LANGUAGE_CODE = "de"
    boss = Client()
    boss.force_login(User.objects.create_superuser("boss"))
    given = {"name": "elsewhere", "url": "https://example.com", "signature": "optional"}
    page = boss.post(reverse("admin:a2a_app_directoryentry_add"), {**given, field: text})
    assert said in page.content.decode()


@pytest.mark.django_db
def test_a_new_key_is_shown_in_the_language_of_the_site(settings: LazySettings) -> None:
    settings.LANGUAGE_CODE = "de"
    boss = Client()
    boss.force_login(user := User.objects.create_superuser("boss"))
    add = reverse("admin:a2a_app_apikey_add")
    given = {"name": "nightly", "user": user.pk, "scopes": "dance", "expires_at_0": ""}
    assert "Unbekannt: dance. Es gibt" in boss.post(add, given).content.decode()
    page = boss.post(add, {**given, "scopes": "send"}).content.decode()
    assert "Das ist der Schlüssel von boss für nightly." in page
