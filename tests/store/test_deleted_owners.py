"""Deleted owners: whoever has the key of a deleted user sees nothing of that user's."""

from typing import Any

import pytest
from django.contrib.auth.models import Group, User
from django.core import serializers
from django.db import connection, transaction
from django.db.models import Model, ProtectedError
from django.forms import modelform_factory
from django.test import Client as Browser
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from a2a_app import models
from a2a_app.models.deletion import OwnsConversations
from a2a_app.models.owners import Scope
from a2a_app.protocol import Role
from a2a_app.store import people
from a2a_app.store.deleted_owners import watch
from a2a_app.store.writes.contexts import record
from tests.conftest import ChangeSettings
from tests.people import fill, rows, scope_of
from tests.tasks import begin, new_message

pytestmark = pytest.mark.usefixtures("runtime", "empty_storages")

OWNED = (models.Task, models.Context, models.IdempotencyKey)


def made(kind: str) -> Model:
    return User.objects.create(username="x") if kind == "user" else Group.objects.create(name="x")


def again(kind: str, key: Any) -> Model:
    """Make a row with the key that a deleted one had."""
    if kind == "user":
        return User.objects.create(pk=key, username="another")
    return Group.objects.create(pk=key, name="another")


def owned(scope: Scope) -> int:
    return sum(model.objects.filter(**scope.tasks()).count() for model in OWNED)


def fill_tenants(row: Model) -> list[Scope]:
    scopes = [scope_of(row, tenant) for tenant in ("", "acme")]
    for scope in scopes:
        fill(scope, row if isinstance(row, User) else None)
    return scopes


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["user", "group"])
@pytest.mark.parametrize("way", ["row", "queryset"])
def test_the_next_row_with_a_deleted_rows_key_owns_nothing(
    kind: str, way: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(people, "BATCH", 1)
    row = made(kind)
    key = row.pk
    scopes = fill_tenants(row)
    assert all(owned(scope) for scope in scopes)
    kept = rows()
    found: Any = row if way == "row" else type(row)._default_manager.filter(pk=key)
    found.delete()
    again(kind, key)
    assert [owned(scope) for scope in scopes] == [0, 0]
    assert rows() == {**kept, "ApiKey": 0}
    owners = [set(model.objects.values_list("owner", flat=True)) for model in OWNED]
    assert owners[0] == owners[1] == owners[2]
    plain, in_tenant = sorted(owners[0])
    assert plain.startswith("deleted:")
    assert in_tenant == f"tenant:acme/{plain}"
    assert not models.Task.objects.exclude(user=None).exists()


def test_a_user_that_is_deleted_as_a_proxy_leaves_nothing_either() -> None:
    class Persona(User):
        class Meta:
            app_label = "auth"
            proxy = True

    watch()
    row = made("user")
    [plain, _] = fill_tenants(row)
    Persona.objects.get(pk=row.pk).delete()
    assert owned(plain) == 0


def test_a_deletion_that_is_rolled_back_leaves_the_tasks_to_their_user() -> None:
    row = made("user")
    scopes = fill_tenants(row)
    before = [owned(scope) for scope in scopes]
    with pytest.raises(ZeroDivisionError), transaction.atomic():
        row.delete()
        _ = 1 / 0
    assert [owned(scope) for scope in scopes] == before


def test_a_new_user_owns_nothing_of_one_that_plain_sql_has_deleted() -> None:
    row = made("user")
    scopes = fill_tenants(row)
    models.ApiKey.objects.all().delete()
    models.Task.objects.update(user=None)
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM auth_user WHERE id = %s", [row.pk])
    again("user", row.pk)
    assert [owned(scope) for scope in scopes] == [0, 0]


def test_what_a_request_writes_while_its_user_is_deleted_goes_to_nobody_either() -> None:
    row = made("user")
    key, late = row.pk, scope_of(row)
    row.delete()
    begin(scope=late)
    assert owned(late)
    again("user", key)
    assert owned(late) == 0


def test_a_user_that_is_loaded_from_a_dump_has_its_tasks() -> None:
    row = made("user")
    scope = scope_of(row)
    begin(scope=scope)
    User(pk=row.pk, username="x").save_base(raw=True, force_update=True)
    assert owned(scope) == 2


@pytest.mark.slow
def test_forget_deletes_a_users_data_with_the_user_and_nobody_elses(a2a: ChangeSettings) -> None:
    a2a(OWNER_DELETED="forget")
    before, row, other = rows(), made("user"), User.objects.create(username="other")
    fill(scope_of(other), other)
    others = rows()
    fill_tenants(row)
    row.delete()
    assert rows() == others != before


@pytest.mark.slow
def test_refuse_lets_no_user_be_deleted_that_owns_anything(a2a: ChangeSettings) -> None:
    a2a(OWNER_DELETED="refuse")
    user, group = made("user"), made("group")
    fill_tenants(user)
    models.Task.objects.filter(owner__startswith="tenant").update(user=None)
    fill(scope_of(group))
    before = rows()
    for row in (user, group):
        with pytest.raises(ProtectedError):
            row.delete()
        with pytest.raises(ProtectedError):
            type(row)._default_manager.filter(pk=row.pk).delete()
    assert rows() == before
    User.objects.create(username="idle").delete()


@pytest.fixture
def browser() -> Browser:
    """Return the browser of a superuser."""
    made = Browser()
    made.force_login(User.objects.create(username="root", is_staff=True, is_superuser=True))
    return made


def test_the_admin_says_why_a_user_may_not_be_deleted(
    a2a: ChangeSettings, browser: Browser
) -> None:
    a2a(OWNER_DELETED="refuse")
    row = made("user")
    begin(scope=scope_of(row), user_id=row.pk)
    page = browser.get(reverse("admin:auth_user_delete", args=[row.pk])).content.decode()
    assert "Cannot delete user" in page
    assert "<li>task</li>" in page


@pytest.mark.parametrize("kind", ["user", "group"])
def test_the_admin_says_so_where_only_answers_are_left(
    a2a: ChangeSettings, browser: Browser, kind: str
) -> None:
    a2a(OWNER_DELETED="refuse")
    watch()
    row, idle = made(kind), again(kind, 1000)
    record(scope_of(row), "some", new_message(), new_message("yes", Role.AGENT), None)
    confirmed = {"post": "yes"}
    chosen = {"action": "delete_selected", "_selected_action": [row.pk], **confirmed}
    alone, many = f"admin:auth_{kind}_delete", f"admin:auth_{kind}_changelist"
    for response in (
        browser.get(reverse(alone, args=[row.pk])),
        browser.post(reverse(alone, args=[row.pk]), confirmed),
        browser.post(reverse(many), chosen),
    ):
        assert f"Cannot delete {kind}" in response.content.decode()
        assert "<li>context</li>" in response.content.decode()
    assert browser.post(reverse(alone, args=[idle.pk]), confirmed).status_code == 302
    assert [each.pk for each in type(row)._default_manager.filter(pk__in=[row.pk, 1000])] == [
        row.pk
    ]


def test_no_statement_of_a_deletion_changes_more_rows_than_a_batch(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(people, "BATCH", 2)
    row = made("user")
    scope = scope_of(row)
    for _ in range(5):
        begin(scope=scope, user_id=row.pk)
    with CaptureQueriesContext(connection) as queries:
        row.delete()
    changes = [each["sql"] for each in queries if each["sql"].startswith('UPDATE "a2a_app_task"')]
    # Three batches, and Django's own, which finds nothing left.
    assert len(changes) == 4
    assert owned(scope) == 0


def test_a_model_whose_rows_may_own_tasks_is_validated_and_edited_as_before(
    a2a: ChangeSettings,
) -> None:
    a2a(OWNER_DELETED="refuse")
    watch()
    assert OwnsConversations in map(type, Group._meta.private_fields)
    group = Group(name="a")
    group.full_clean()
    group.save()
    assert set(modelform_factory(Group, fields="__all__").base_fields) == {"name", "permissions"}
    assert serializers.serialize("json", [group])
    assert {field.name for field in Group._meta.fields} == {"id", "name"}
