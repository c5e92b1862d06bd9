"""The overview in the admin: what it shows, to whom, and what it costs."""

import re
from datetime import timedelta

import pytest
from django.contrib.auth.models import Permission, User
from django.test import Client as Browser
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries

from a2a_app import figures, models
from a2a_app.figures import current
from a2a_app.models.owners import Scope
from a2a_app.pages.overview import NAMES, VALUES, WIDTH, read_overview
from a2a_app.protocol import TaskState
from a2a_app.store.writes.append import append
from tests.tasks import begin, begin_and_claim, status

pytestmark = pytest.mark.django_db
PAGE = "/admin/a2a_app/"


@pytest.fixture
def boss() -> Browser:
    browser = Browser()
    browser.force_login(User.objects.create_superuser("boss"))
    return browser


def shown(browser: Browser) -> str:
    response = browser.get(PAGE)
    assert response.status_code == 200
    return response.content.decode()


def test_the_overview_shows_what_runs_and_waits(boss: Browser) -> None:
    begin()
    begin_and_claim("worker-7")
    page = shown(boss)
    assert "worker-7" in page
    assert "All is well." in page
    assert "2 submitted" in page
    assert 'style="' not in page.partition('<div class="a2a">')[2]


def test_what_somebody_should_see_to_stands_above(boss: Browser) -> None:
    begin()
    models.Run.objects.update(created_at=timezone.now() - timedelta(minutes=2))
    page = shown(boss)
    assert re.search(r"The oldest turn has waited for a worker for 1[2-9]\d s\.", page)
    assert "All is well." not in page


def test_a_count_that_ended_says_that_there_are_more(
    boss: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(current, "COUNTED", 1)
    monkeypatch.setattr("a2a_app.pages.overview.COUNTED", 1)
    for _ in range(2):
        begin()
    assert "&gt;&nbsp;1</span>" in shown(boss)


def test_durations_are_drawn_to_the_scale_of_the_longest(boss: Browser) -> None:
    begun = timezone.now() - timedelta(minutes=1)
    for agent, seconds in (("echo", 4), ("load", 1), ("load", 2)):
        claim = begin_and_claim(scope=Scope("load", ""))
        append(claim.head, [status(TaskState.COMPLETED)], run=claim.run)
        models.Task.objects.filter(pk=claim.head.task_id).update(
            agent=agent, created_at=begun, status_at=begun + timedelta(seconds=seconds)
        )
    page = shown(boss)
    assert "load: half within 1.00 s, 95 % within 2.00 s" in page
    [echo, load] = read_overview(figures.read()).durations
    assert (echo.median, echo.percentile95) == (WIDTH - NAMES - VALUES,) * 2
    assert (load.median, load.percentile95) == (echo.median / 4, echo.median / 2)
    assert f'width="{load.median}"' in page


def test_an_overview_without_tasks_says_so(boss: Browser) -> None:
    assert "No task was begun in the last 24 hours." in shown(boss)


def test_the_overview_costs_its_queries_once_in_ten_seconds(
    boss: Browser, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    with django_assert_num_queries(13):  # three are of the session, its user and the menu
        shown(boss)
    with django_assert_num_queries(3):
        shown(boss)


def test_staff_that_may_not_see_what_is_counted_sees_no_figures() -> None:
    user = User.objects.create(username="clerk", is_staff=True)
    user.user_permissions.set(Permission.objects.filter(codename="view_task"))
    browser = Browser()
    browser.force_login(user)
    assert 'id="a2a-now"' not in shown(browser)
    seen = ["view_task", "view_run", "view_pushnotificationconfig"]
    user.user_permissions.set(Permission.objects.filter(codename__in=seen))
    assert 'id="a2a-now"' in shown(browser)
