"""Usage in the admin: its sums by owner, agent, model and day, in few queries."""

from datetime import datetime, timedelta
from uuid import UUID

import pytest
from django.db import connection
from django.test import Client as Browser
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from a2a_app import models
from a2a_app.admin import lists
from a2a_app.database.values import first_key_at, new_key
from a2a_app.models.owners import Scope
from a2a_app.store.token_usage import Used, record_usage
from tests.admin.test_tasks import browser
from tests.tasks import begin_and_claim

pytestmark = pytest.mark.django_db(transaction=True)

USAGE = reverse("admin:a2a_app_tokenusage_changelist")
# Each record: its owner, model, input tokens, cost, currency, and how many days ago it was.
RECORDS = [
    ("name:ann", "big", 1000, "0.5", "USD", 0),
    ("name:ann", "small", 10, "0.25", "USD", 0),
    ("name:bob", "big", 500, "0.125", "USD", 40),
    ("name:bob", "small", 5, "2", "EUR", 0),
    ("", "free", 1, None, "", 0),
]


@pytest.fixture
def staff() -> Browser:
    for owner, model, tokens, cost, currency, days in RECORDS:
        claim = begin_and_claim(scope=Scope("load", owner))
        used = Used.checked(model, tokens, 2, cost, currency)
        record_usage(claim.head.task_id, claim.run, 1, used)
        _move(used, timezone.now() - timedelta(days=days))
    return browser()


def _move(used: Used, moment: datetime) -> None:
    """Let something have been used at another moment."""
    key = UUID(int=first_key_at(moment).int + (used.key.int & (1 << 80) - 1))
    models.TokenUsage.objects.filter(pk=used.key).update(id=key, created_at=moment)


def sums(staff: Browser, **query: str) -> dict[str, tuple[int, int, str]]:
    """Return the sums of a page: each group and currency, with times, input tokens and cost."""
    changelist = staff.get(USAGE, query).context["cl"]
    return {
        f"{each['group'] or '-'} {each['currency']}".strip(): (
            each["rows"],
            each["read"],
            "" if each["spent"] is None else f"{each['spent'].normalize():f}",
        )
        for each in changelist.sums
    }


@pytest.mark.slow
def test_sums_are_by_owner_agent_model_and_day(staff: Browser) -> None:
    today, long_ago = (f"{timezone.localdate() - timedelta(days=n):%Y-%m-%d}" for n in (0, 40))
    everything = {"- USD": (3, 1510, "0.875"), "- EUR": (1, 5, "2"), "-": (1, 1, "")}
    assert sums(staff) == everything
    assert sums(staff, by="owner") == {
        "name:ann USD": (2, 1010, "0.75"),
        "name:bob USD": (1, 500, "0.125"),
        "name:bob EUR": (1, 5, "2"),
        "-": (1, 1, ""),
    }
    assert sums(staff, by="model") == {
        "big USD": (2, 1500, "0.625"),
        "small USD": (1, 10, "0.25"),
        "small EUR": (1, 5, "2"),
        "free": (1, 1, ""),
    }
    assert sums(staff, by="agent") == {
        each.replace("-", "load"): value for each, value in everything.items()
    }
    assert sums(staff, by="day") == {
        f"{today} USD": (2, 1010, "0.75"),
        f"{long_ago} USD": (1, 500, "0.125"),
        f"{today} EUR": (1, 5, "2"),
        today: (1, 1, ""),
    }
    assert sums(staff, by="day", time="today", q="name:ann") == {f"{today} USD": (2, 1010, "0.75")}
    assert sums(staff, q="small", agent="load") == {"- USD": (1, 10, "0.25"), "- EUR": (1, 5, "2")}
    assert sums(staff, q="nobody") == {}
    page = staff.get(USAGE, {"by": "owner"}).content.decode()
    assert "Sums of what is chosen" in page
    assert "<td>name:ann</td><td>2</td><td>1010</td>" in page


@pytest.mark.slow
def test_a_page_takes_the_same_queries_however_much_there_is(
    staff: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    def queries() -> int:
        with CaptureQueriesContext(
            connection,
        ) as captured:
            assert staff.get(USAGE, {"by": "owner", "time": "month"}).status_code == 200
        return len([query for query in captured if "a2a_app_tokenusage" in query["sql"]])

    few = queries()
    rows = list(models.TokenUsage.objects.all())
    models.TokenUsage.objects.bulk_create(
        [_copy(row) for row in rows for _ in range(20)],
    )
    assert queries() == few <= 5
    monkeypatch.setattr(lists, "COUNTED", 3)
    assert sum(times for times, _, _ in sums(staff, by="owner").values()) == 3


def _copy(row: models.TokenUsage) -> models.TokenUsage:
    values = {field.attname: getattr(row, field.attname) for field in row._meta.concrete_fields}
    return models.TokenUsage(**{**values, "id": new_key()})


PERIODS = {"today": "0", "yesterday": "1", "week": "0 1 6", "month": "0 1 6", "last": "20"}


@pytest.mark.slow
def test_periods_are_days_of_the_projects_time_zone(monkeypatch: pytest.MonkeyPatch) -> None:
    now = datetime(2026, 3, 15, 0, 30, tzinfo=timezone.get_current_timezone())
    convert = timezone.localtime
    monkeypatch.setattr(
        timezone, "localtime", lambda value=None, zone=None: convert(value or now, zone)
    )
    claim = begin_and_claim()
    for ago in (0, 1, 6, 20, 70):
        used = Used.checked(str(ago), 1, 1, None, "")
        record_usage(claim.head.task_id, claim.run, 1, used)
        _move(used, now - timedelta(days=ago))
    staff = browser()
    found = {time: " ".join(sorted(sums(staff, by="model", time=time))) for time in PERIODS}
    assert found == PERIODS
