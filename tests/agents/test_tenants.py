"""Tenants, as a project's resolver makes them."""

import dataclasses

import pytest

from a2a_app.agents import Tenant


@pytest.mark.parametrize("key", ["a/b", "a\n", "\x00", "x" * 101])
def test_a_key_that_cannot_be_kept_is_refused_where_it_is_made(key: str) -> None:
    with pytest.raises(ValueError, match="The key of a tenant"):
        Tenant(key)


def test_a_tenant_cannot_be_changed() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        Tenant("acme").key = "globex"  # type: ignore[misc]  # that is what is tried
