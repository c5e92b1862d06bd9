"""Budgets in the admin: who is at one, and what was spent each day."""

import pytest
from django.urls import reverse
from django.utils import timezone

from a2a_app import models
from a2a_app.store.budgets import add_spending
from a2a_app.store.quota import note_refusal
from a2a_app.store.token_usage import Used
from tests.admin.test_tasks import browser
from tests.conftest import ChangeSettings

pytestmark = pytest.mark.django_db(transaction=True)

ANN = "tenant:acme/name:ann"


def spend(owner: str, tokens: int, cost: str) -> None:
    add_spending(owner, "load", Used.checked("m", tokens, 0, cost, "USD"))


def test_the_page_of_an_owner_at_a_limit_says_how_each_of_its_budgets_stands(
    a2a: ChangeSettings,
) -> None:
    a2a(
        BUDGETS=[
            {"per": "caller", "period": "day", "tokens": 1200},
            {"per": "caller", "period": "month", "cost": "2.50", "agent": "load"},
            {"per": "agent", "period": "day", "tokens": 7},
        ]
    )
    spend(ANN, 1200, "0.125")
    note_refusal(ANN, "BUDGETS.caller.tokens.day")
    [row] = models.StoredBytes.objects.all()
    page = browser().get(reverse("admin:a2a_app_storedbytes_change", args=[row.pk]))
    text = page.content.decode()
    assert "BUDGETS.caller.tokens.day: 1,200 of 1,200 tokens, used up" in text
    assert "BUDGETS.caller.load.cost.month: 0.125 of 2.5 USD<" in text
    assert "BUDGETS.agent" not in text


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ({}, {("caller", ANN, 3), ("tenant", "acme", 3), ("agent", "load", 8), ("caller", "x", 5)}),
        ({"per": "agent"}, {("agent", "load", 8)}),
        ({"q": "acme"}, {("tenant", "acme", 3)}),
        ({"q": ANN}, {("caller", ANN, 3)}),
    ],
)
def test_the_sums_of_a_day_are_listed_by_caller_tenant_and_agent(
    query: dict[str, str], found: set[tuple[str, str, int]]
) -> None:
    spend(ANN, 3, "1")
    spend("x", 5, "1")
    page = browser().get(reverse("admin:a2a_app_spending_changelist"), query)
    rows = page.context["cl"].result_list
    assert {(row.per, row.spender, row.tokens) for row in rows} == found
    assert {row.day for row in rows} == {timezone.localdate()}
