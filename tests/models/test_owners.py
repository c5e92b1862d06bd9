"""Owners: no two callers, in whatever tenants, have the same (R11)."""

import pytest
from django.contrib.auth.models import Group, User
from django.core.exceptions import ImproperlyConfigured
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from a2a_app.models.owners import MAX_OWNER, is_active, may_own, owner_in, owner_models, tenant_of
from tests.conftest import ChangeSettings

# Few letters, so that what might be confused often meets.
KEYS = st.text("a:", max_size=100)
CALLERS = st.one_of(
    st.just(""),
    st.builds("user:{}".format, st.integers(0, 9)),
    st.builds("name:{}".format, st.text("a:/t", max_size=300)),
    st.builds("auth.group:{}".format, st.integers(0, 9)),
)
PAIRS = st.tuples(KEYS, CALLERS)
MANY = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])


@MANY
@given(PAIRS, PAIRS)
@example(("a", "name:a/b"), ("a", "name:b"))
@example(("", "name:tenant:a/user:1"), ("a", "user:1"))
@example(("a", ""), ("", ""))
@example(("", "name:" + 300 * "x" + "a"), ("", "name:" + 300 * "x" + "b"))
@example((100 * "a", "name:" + 200 * "x"), (100 * "a", "name:" + 201 * "x"))
def test_no_two_pairs_of_tenant_and_caller_have_the_same_owner(
    one: tuple[str, str], other: tuple[str, str]
) -> None:
    assert (owner_in(*one) == owner_in(*other)) == (one == other)


@MANY
@given(KEYS, CALLERS)
def test_an_owner_has_room_in_its_column_and_tells_its_tenant(tenant: str, caller: str) -> None:
    owner = owner_in(tenant, caller)
    assert len(owner) <= MAX_OWNER
    assert tenant_of(owner) == tenant


@pytest.mark.django_db
@pytest.mark.parametrize("tenant", ["", "acme"])
def test_an_owner_is_active_for_as_long_as_its_row_is(tenant: str) -> None:
    user, group = User.objects.create(username="ann"), Group.objects.create(name="all")
    rows = [owner_in(tenant, f"user:{user.pk}"), owner_in(tenant, f"auth.group:{group.pk}")]
    names = [owner_in(tenant, name) for name in ("", "name:a.b:1", "name:user:1", "digest:1")]
    unknown = [owner_in(tenant, name) for name in ("shop.customer:1", "auth.group:x")]
    assert all(is_active(owner) for owner in [*rows, *names, *unknown])
    User.objects.update(is_active=False)
    group.delete()
    assert [is_active(owner) for owner in rows] == [False, False]
    user.delete()
    assert not is_active(rows[0])
    assert not is_active(owner_in(tenant, "deleted:1"))


def test_rows_own_tasks_only_where_their_model_is_the_users_or_is_named(
    a2a: ChangeSettings,
) -> None:
    a2a(OWNER_MODELS=[])
    assert (may_own(User()), may_own(Group())) == (True, False)
    a2a(OWNER_MODELS=["auth.Group"])
    assert (may_own(User()), may_own(Group())) == (True, True)


@pytest.mark.parametrize("label", ["auth.Nobody", "nowhere.Group", "Group"])
def test_a_name_that_is_no_model_is_refused(a2a: ChangeSettings, label: str) -> None:
    a2a(OWNER_MODELS=[label])
    with pytest.raises(ImproperlyConfigured, match="OWNER_MODELS"):
        owner_models()
