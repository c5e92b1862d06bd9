"""Lists of the admin: whatever stands in their URL, they answer."""

import re
from typing import Any

import pytest
from django.contrib import admin
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client as Browser
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from a2a_app import models

LISTS = sorted(model.__name__ for model in admin.site._registry if model in vars(models).values())


def registered(name: str) -> Any:
    return next(each for model, each in admin.site._registry.items() if model.__name__ == name)


def filters_of(name: str) -> list[str]:
    filters = [getattr(each, "parameter_name", each) for each in registered(name).list_filter]
    return [*filters, "q"]


def fields_of(name: str) -> list[str]:
    """Return what the URL of a list may have: its filters, its search, and its fields."""
    fields = [field.name for field in registered(name).model._meta.fields]
    return [*filters_of(name), *fields, "p", "o", "all", "_facets", "_to_field", "%00"]


# What may be long, and no list shows: of which tables, and in which lists.
LONG = {
    "Approval": ["a2a_app_approval.data"],
    "Context": ["a2a_app_context.state"],
    "DirectoryEntry": ["a2a_app_directoryentry.card", "a2a_app_directoryentry.listing"],
    "Run": ["a2a_app_run.error", "a2a_app_run.handed_on", "a2a_app_run.metadata"],
    "Task": ["a2a_app_context.state", "a2a_app_message.parts"],
}


@pytest.mark.django_db
@pytest.mark.parametrize("name", LONG)
def test_a_list_does_not_read_what_may_be_long_and_is_not_shown(name: str) -> None:
    browser = Browser()
    browser.force_login(User.objects.create_superuser("root"))
    with CaptureQueriesContext(connection) as queries:
        browser.get(reverse(f"admin:a2a_app_{name.lower()}_changelist"))
    table = registered(name).model._meta.db_table
    read = [each["sql"].replace('"', "") for each in queries if f'FROM "{table}"' in each["sql"]]
    assert any(f"{table}.id" in sql for sql in read)
    found = [(field, sql) for field in LONG[name] for sql in read if re.search(rf"{field}\b", sql)]
    assert found == []


@pytest.mark.slow
@pytest.mark.django_db
@pytest.mark.parametrize("name", LISTS)
def test_a_list_is_shown_whole_where_its_url_has_what_no_database_stores(name: str) -> None:
    browser = Browser()
    browser.force_login(User.objects.create_superuser("root"))
    page = reverse(f"admin:a2a_app_{name.lower()}_changelist")
    for field in fields_of(name):
        response: Any = browser.get(f"{page}?{field}=a%00b")
        assert (response.status_code, response.url) == (302, f"{page}?e=1"), field
    assert browser.get(f"{page}?e=1").status_code == 200
    # Half of a surrogate pair, of which Django makes the character that replaces it.
    filters = "&".join(f"{filtered}=%ED%A0%80" for filtered in filters_of(name))
    assert browser.get(f"{page}?{filters}").status_code in (200, 302)
