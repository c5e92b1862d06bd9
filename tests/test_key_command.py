"""`manage.py a2a_key`: what it issues lets a user in, and what it ends does so no more."""

from datetime import timedelta
from io import StringIO

import pytest
from django.contrib.auth.models import User
from django.core.management import CommandError, call_command
from django.utils import timezone

from a2a_app.authentication import user_of
from a2a_app.authentication.api_keys import grant_of
from a2a_app.models import ApiKey

pytestmark = pytest.mark.django_db


def run(*words: str) -> str:
    out = StringIO()
    call_command("a2a_key", *words, stdout=out)
    return out.getvalue().strip()


@pytest.fixture(autouse=True)
def ann() -> User:
    return User.objects.create(username="ann")


def test_it_issues_a_key_with_what_it_may_do(ann: User) -> None:
    key = run("issue", "ann", "nightly", "--scope", "read", "--scope", "send", "--agent", "echo")
    grant = grant_of(key)
    assert grant is not None and grant.identity == ann
    assert (grant.scopes, grant.agents) == (frozenset({"read", "send"}), frozenset({"echo"}))
    row = ApiKey.objects.get()
    assert row.expires_at is not None and row.expires_at > timezone.now() + timedelta(days=300)
    grant = grant_of(run("issue", "ann", "weekly", "--days", "0"))
    assert grant is not None and (grant.scopes, grant.agents) == (None, None)
    assert ApiKey.objects.get(name="weekly").expires_at is None


def test_a_list_has_everything_but_the_keys() -> None:
    key = run("issue", "ann", "nightly", "--scope", "read", "--days", "1")
    other = run("issue", "ann", "weekly")
    run("revoke", other.split("_")[1])
    listed = run("list", "--user", "ann")
    first, second = listed.splitlines()
    assert first.startswith(f"{key.split('_')[1]}  valid  ann, nightly: read, all agents; until ")
    assert first.endswith("; never used")
    assert "  revoked  ann, weekly: all scopes, all agents; until " in second
    assert key not in listed and other not in listed


def test_a_list_may_have_only_what_expires_soon() -> None:
    soon = run("issue", "ann", "nightly", "--days", "3")
    for days in ("0", "30"):
        run("issue", "ann", "weekly", "--days", days)
    run("revoke", run("issue", "ann", "hourly", "--days", "3").split("_")[1])
    [line] = run("list", "--days", "7").splitlines()
    assert line.startswith(soon.split("_")[1])


def test_a_revoked_key_is_refused() -> None:
    key = run("issue", "ann", "nightly")
    run("revoke", key.split("_")[1])
    assert user_of(key) is None


def test_of_a_key_that_is_rotated_both_are_valid_for_a_while(ann: User) -> None:
    old = run("issue", "ann", "nightly", "--scope", "read", "--agent", "echo")
    new = run("rotate", old.split("_")[1], "--hours", "2")
    assert user_of(old) == user_of(new) == ann
    was, now = grant_of(old), grant_of(new)
    assert was and now and (was.scopes, was.agents) == (now.scopes, now.agents)
    row = ApiKey.objects.get(prefix=old.split("_")[1])
    assert row.expires_at is not None and row.expires_at < timezone.now() + timedelta(hours=3)
    newer = run("rotate", new.split("_")[1], "--hours", "0")
    assert (user_of(new), user_of(newer)) == (None, ann)


def test_it_says_what_there_is_not() -> None:
    with pytest.raises(CommandError, match="no user 'eve'"):
        run("issue", "eve", "nightly")
    with pytest.raises(CommandError, match="no key 'x'"):
        run("revoke", "x")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["issue", "ann", "x", "--days", "-1"], "--days: must be a whole number from 0 to 36500"),
        (["issue", "ann", "x", "--days", "99999999"], "--days: must be a whole number"),
        (["list", "--days", "99999999"], "--days: must be a whole number"),
        (["rotate", "0", "--hours", "nan"], "--hours: must be a number from 0 to 876000"),
        (["rotate", "0", "--hours", "-1"], "--hours: must be a number"),
        (["issue", "ann", 101 * "x"], "name: Ensure this value has at most 100 characters"),
        (["issue", "ann", ""], "name: This field cannot be blank"),
        (["issue", "ann", "x", "--agent", "ecko"], "no agent 'ecko'. Did you mean 'echo'?"),
    ],
)
def test_bad_input_is_refused_by_its_name_before_a_key_is_printed(
    words: list[str], said: str
) -> None:
    out = StringIO()
    with pytest.raises(CommandError) as refused:
        call_command("a2a_key", *words, stdout=out)
    assert said in str(refused.value)
    assert out.getvalue() == ""
    assert not ApiKey.objects.exists()


def test_a_revoked_key_is_not_rotated() -> None:
    prefix = run("issue", "ann", "nightly").split("_")[1]
    run("revoke", prefix)
    with pytest.raises(CommandError, match="is revoked"):
        run("rotate", prefix)
    assert ApiKey.objects.count() == 1
