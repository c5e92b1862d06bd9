"""API keys in the admin: a key is on one page, once, and can be revoked."""

import re
from typing import Any

import pytest
from django.contrib.admin.models import ADDITION, CHANGE, DELETION, LogEntry
from django.contrib.auth.models import Permission, User
from django.test import Client as Browser
from django.urls import reverse
from pytest_django import Settings

from a2a_app.admin import actions
from a2a_app.authentication import user_of
from a2a_app.models import ApiKey
from tests.admin.test_actions import form_of

pytestmark = pytest.mark.django_db

LIST = reverse("admin:a2a_app_apikey_changelist")
ADD = reverse("admin:a2a_app_apikey_add")


@pytest.fixture
def ann() -> User:
    return User.objects.create(username="ann")


def browser(*permissions: str) -> Browser:
    user = User.objects.create(username="admin", is_staff=True, is_superuser=not permissions)
    user.user_permissions.set(Permission.objects.filter(codename__in=permissions))
    made = Browser()
    made.force_login(user)
    return made


def issue(admin: Browser, user: User, name: str = "nightly") -> Any:
    return admin.post(ADD, {"name": name, "user": user.pk, "expires_at_0": "", "expires_at_1": ""})


def key_in(page: str) -> str | None:
    found = re.search(r"a2a_[0-9a-f]{16}_[0-9A-Za-z]{49}", page)
    return found[0] if found else None


def test_a_new_key_is_shown_once_and_lets_its_user_in(ann: User) -> None:
    admin = browser()
    response = issue(admin, ann)
    key = key_in(response.content.decode())
    assert key is not None
    assert user_of(key) == ann
    assert "no-store" in response["Cache-Control"]
    row = ApiKey.objects.get()
    for path in (LIST, reverse("admin:a2a_app_apikey_change", args=[row.pk])):
        page = admin.get(path).content.decode()
        assert row.prefix in page
        assert key_in(page) is None


def test_a_key_stays_its_users_and_its_own_when_its_row_is_changed(ann: User) -> None:
    admin = browser()
    key = key_in(issue(admin, ann).content.decode())
    row = ApiKey.objects.get()
    other = User.objects.create(username="bob")
    page = reverse("admin:a2a_app_apikey_change", args=[row.pk])
    changed = {"name": "weekly", "user": other.pk, "expires_at_0": "", "expires_at_1": ""}
    assert admin.post(page, changed).status_code == 302
    row.refresh_from_db()
    assert (row.name, row.user) == ("weekly", ann)
    assert key is not None and user_of(key) == ann


def test_a_revoked_key_is_refused(ann: User) -> None:
    admin = browser()
    key = key_in(issue(admin, ann).content.decode())
    chosen = {"action": "revoke", "confirmed": "1", "_selected_action": [ApiKey.objects.get().pk]}
    assert "Revoked: 1." in admin.post(LIST, chosen, follow=True).content.decode()
    assert key is not None and user_of(key) is None
    assert "Revoked: 0." in admin.post(LIST, chosen, follow=True).content.decode()


def test_an_action_for_very_many_goes_on_where_numbers_are_written_in_groups(
    ann: User, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(actions, "SECONDS", 0)
    settings.USE_THOUSAND_SEPARATOR = True
    rows = [ApiKey(user=ann, name="many", prefix=f"{number:016x}") for number in range(1001)]
    ApiKey.objects.bulk_create(rows)
    admin = browser()
    chosen = {"action": "revoke", "select_across": "1", "_selected_action": ["all"]}
    asks = admin.post(LIST, chosen).content.decode()
    goes_on = admin.post(LIST, form_of(asks)).content.decode()
    assert "100 of 1,001 are dealt with" in goes_on
    assert form_of(goes_on)["total"] == "1001"


def test_the_page_of_a_new_key_leads_to_the_list_those_who_may_see_it(ann: User) -> None:
    link = f'<p><a href="{LIST}">'
    adds = browser("add_apikey", "change_user")
    assert link not in issue(adds, ann).content.decode()
    view = Permission.objects.get(codename="view_apikey")
    User.objects.get(username="admin").user_permissions.add(view)
    assert link in issue(adds, ann).content.decode()


def test_only_staff_with_the_permission_to_add_keys_issues_them(ann: User) -> None:
    assert issue(browser("view_apikey"), ann).status_code == 403
    assert not ApiKey.objects.exists()


def issuer(*permissions: str) -> Browser:
    return browser("add_apikey", "change_apikey", "view_apikey", *permissions)


def test_staff_issues_keys_for_itself_and_for_users_it_may_change(ann: User) -> None:
    admin = issuer()
    page = issue(admin, ann).content.decode()
    assert "You may issue keys for yourself and for users you may change." in page
    assert not ApiKey.objects.exists()
    assert key_in(issue(admin, User.objects.get(username="admin")).content.decode())


def test_staff_that_may_change_users_issues_no_key_for_a_superuser(ann: User) -> None:
    root = User.objects.create(username="root", is_superuser=True)
    admin = issuer("change_user")
    assert key_in(issue(admin, root).content.decode()) is None
    assert key_in(issue(admin, ann).content.decode())
    assert ApiKey.objects.get().user == ann


def test_a_superuser_issues_keys_for_everybody() -> None:
    root = User.objects.create(username="root", is_superuser=True)
    assert key_in(issue(browser(), root).content.decode())


def test_staff_does_not_prolong_the_key_of_a_superuser_but_may_revoke_it() -> None:
    root = User.objects.create(username="root", is_superuser=True)
    row = ApiKey(user=root, name="old")
    row.issue()
    row.save()
    admin = issuer("change_user")
    page = reverse("admin:a2a_app_apikey_change", args=[row.pk])
    changed = {"name": "weekly", "expires_at_0": "", "expires_at_1": ""}
    assert admin.post(page, changed).status_code == 403
    chosen = {"action": "revoke", "confirmed": "1", "_selected_action": [row.pk]}
    assert "Revoked: 1." in admin.post(LIST, chosen, follow=True).content.decode()


def test_what_staff_does_with_keys_is_in_the_log(ann: User) -> None:
    admin = browser()
    issue(admin, ann)
    [row] = ApiKey.objects.all()
    chosen = {"action": "revoke", "confirmed": "1", "_selected_action": [row.pk]}
    admin.post(LIST, chosen)
    admin.post(LIST, chosen)  # it is revoked already
    admin.post(reverse("admin:a2a_app_apikey_delete", args=[row.pk]), {"post": "yes"})
    entries = LogEntry.objects.filter(object_id=str(row.pk)).order_by("pk")
    assert [(entry.action_flag, entry.user.get_username()) for entry in entries] == [
        (ADDITION, "admin"), (CHANGE, "admin"), (DELETION, "admin"),
    ]  # fmt: skip  # as one list
    assert entries[1].get_change_message() == "Changed state to “revoked”."


def test_the_form_knows_which_scopes_and_agents_there_are(ann: User) -> None:
    admin = browser()
    form = {"name": "nightly", "user": ann.pk, "expires_at_0": "", "expires_at_1": ""}
    page = admin.post(ADD, {**form, "scopes": "read write", "agents": "echo nobody"})
    assert "Unknown: write. There are send, read, cancel, push." in page.content.decode()
    assert "Unknown: nobody." in page.content.decode()
    admin.post(ADD, {**form, "scopes": " read  send", "agents": "echo"})
    row = ApiKey.objects.get()
    assert (row.scopes, row.agents) == ("read send", "echo")
