"""`manage.py a2a_init`: what it changes in a project's files, and what it leaves to their owner."""

from io import StringIO
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command
from pytest_django import Settings

from a2a_app.management import start
from a2a_app.management.start import Change

INCLUDED = 'path("", include("a2a_app.urls"))'


def edited(change: Change | None) -> str | None:
    assert change is not None
    return change.after


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (
            "from django.urls import path  # ours\n\nurlpatterns = []\n",
            f"from django.urls import include, path  # ours\n\nurlpatterns = [\n    {INCLUDED},]\n",
        ),
        (
            "from django.urls import (\n    path,  # ours\n)\n\nurlpatterns = []\n",
            None,  # a comment would be lost
        ),
        (
            "from django.urls import include, path\r\nurlpatterns = [\r\n]\r\n",
            f"from django.urls import include, path\r\nurlpatterns = [\r\n    {INCLUDED},\r\n]\r\n",
        ),
        (
            "from django.urls import include, path\nä = 'é'; urlpatterns = [path('ü', ä)]\n",
            "from django.urls import include, path\n"
            f"ä = 'é'; urlpatterns = [\n    {INCLUDED},path('ü', ä)]\n",
        ),
        ("from django.urls import path\nurlpatterns = i18n_patterns(path('', v))\n", None),
        ("from os import path\nfrom django.urls import re_path\nurlpatterns = []\n", None),
        ("from django.urls import re_path as path\nurlpatterns = []\n", None),
        ("from views import *\nfrom django.urls import path\nurlpatterns = []\n", None),
        ("from django.urls import path\nurlpatterns = [\n", None),
    ],
    ids=[
        "a list",
        "comments",
        "CRLF",
        "letters",
        "i18n",
        "another path",
        "a name",
        "star",
        "no Python",
    ],
)
def test_urls_get_one_pattern_where_it_is_certain_how(
    tmp_path: Path, before: str, after: str | None
) -> None:
    file = tmp_path / "urls.py"
    file.write_bytes(before.encode())
    found = start.in_urls(file)
    assert edited(found) == after
    assert found is not None and INCLUDED in found.advice


def test_a_file_that_is_not_utf_8_is_left_to_its_owner(tmp_path: Path) -> None:
    file = tmp_path / "urls.py"
    file.write_bytes(b"# -*- coding: latin-1 -*-\n# \xe4\nurlpatterns = []\n")
    assert edited(start.in_urls(file)) is None


def test_the_asgi_application_gets_one_other_import(tmp_path: Path) -> None:
    file = tmp_path / "asgi.py"
    file.write_text("from django.core.asgi import get_asgi_application as get\nx = get()\n")
    ours = "from a2a_app.asgi import get_asgi_application as get\nx = get()\n"
    assert edited(start.in_asgi(file, "mysite.settings")) == ours
    file.write_text(ours)
    assert start.in_asgi(file, "mysite.settings") is None
    file.write_text("from daphne import application\n")
    assert edited(start.in_asgi(file, "mysite.settings")) is None
    assert '"mysite.settings"' in str(edited(start.in_asgi(tmp_path / "new.py", "mysite.settings")))


def test_settings_that_come_from_another_file_are_left_to_their_owner(
    tmp_path: Path, settings: Settings
) -> None:
    file = tmp_path / "settings.py"
    file.write_text("from base import *\n")
    found = start.in_settings(file, asgi="mysite.asgi", app="hello")
    assert edited(found) is None
    assert found is not None and '"hello"]' in found.advice
    file.write_text("INSTALLED_APPS = []\nDATABASES = {}\n")
    del settings.A2A
    after = str(edited(start.in_settings(file, asgi="mysite.asgi", app="hello")))
    # Where nothing says that this is a place to try things out, nobody is let in.
    assert 'A2A = {"ANONYMOUS": "refuse"}' in after


def test_an_app_that_is_not_there_is_named() -> None:
    with pytest.raises(CommandError, match="no app 'nowhere'"):
        call_command("a2a_init", "nowhere", stdout=StringIO())


def test_what_is_not_certain_is_not_written_and_fails_the_command(
    tmp_path: Path, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    site = tmp_path / "unclear"
    site.mkdir()
    urls = "from django.urls import path\nurlpatterns = list()\n"
    for name, text in (("__init__", ""), ("urls", urls), ("settings", "from base import *\n")):
        (site / f"{name}.py").write_text(text)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("DJANGO_SETTINGS_MODULE", "unclear.settings")
    settings.ROOT_URLCONF = "unclear.urls"
    settings.ASGI_APPLICATION = "unclear.asgi.application"
    with pytest.raises(CommandError, match=r"Not written: .*settings\.py, .*urls\.py$"):
        call_command("a2a_init", "unclear", "--write", stdout=StringIO())
    assert (site / "urls.py").read_text() == urls
    assert (
        'setdefault("DJANGO_SETTINGS_MODULE", "unclear.settings")' in (site / "asgi.py").read_text()
    )


def test_it_says_what_to_do_next(
    tmp_path: Path, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    site = tmp_path / "bare"
    site.mkdir()
    urls = "from django.urls import path\nurlpatterns = []\n"
    names = "INSTALLED_APPS = []\nDATABASES = {}\n"
    for name, text in (("__init__", ""), ("urls", urls), ("settings", names)):
        (site / f"{name}.py").write_text(text)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("DJANGO_SETTINGS_MODULE", "bare.settings")
    settings.ROOT_URLCONF = "bare.urls"
    settings.ASGI_APPLICATION = "bare.asgi.application"
    shown, written = StringIO(), StringIO()
    call_command("a2a_init", "bare", stdout=shown)
    assert (site / "urls.py").read_text() == urls
    call_command("a2a_init", "bare", "--write", stdout=written)
    assert INCLUDED in (site / "urls.py").read_text()
    last = [each.getvalue().splitlines()[-1] for each in (shown, written)]
    assert last == [
        "These changes are not written yet: add --write.",
        "Next: manage.py migrate, and manage.py runserver.",
    ]
