"""Revisions: a turn goes on where there is code of the revision under which it began."""

import logging
from collections.abc import Callable
from datetime import timedelta
from io import StringIO
from typing import Any
from uuid import UUID

import pytest
from django.core.management import call_command
from django.test import Client as Browser
from django.urls import reverse
from django.utils import timezone

from a2a_app import database, figures, models, runners
from a2a_app.agents import Agent, Turn
from a2a_app.agents.registry import make_agent
from a2a_app.concurrency.shares import Shares
from a2a_app.conf import current
from a2a_app.models.owners import Scope
from a2a_app.protocol import Part
from a2a_app.store import runs, waiting
from a2a_app.store.claims import WorkerSlot
from a2a_app.testing import agent_for_test
from tests.admin.test_tasks import browser
from tests.approvals import answer
from tests.clients.operations import client_of
from tests.tasks import LEASE, begin

pytestmark = pytest.mark.usefixtures("runtime")

RENEWALS = Scope("renewals", "")


async def renewals(turn: Turn) -> str:
    return f"began under {turn.revision!r}"


def begun(revision: str = "1", *, minutes: float = 0) -> UUID:
    """Store a task whose turn began under a revision and waits, since some minutes, to go on."""
    task_id = begin(scope=RENEWALS).head.task_id
    slot = WorkerSlot("gone", LEASE)
    claim = runs.claim(task_id, slot, agents=[RENEWALS.agent], admit=lambda head, began: revision)
    assert claim is not None
    over = timezone.now() - timedelta(seconds=1)
    models.Run.objects.filter(pk=claim.run.id).update(lease_until=over)
    assert runs.retry(next(each for each in runs.lost(limit=9) if each.id == claim.run.id))
    since = timezone.now() - timedelta(minutes=minutes)
    models.Run.objects.filter(task=task_id, ended_at=None).update(lease_until=since)
    return task_id


def revisions_of(task_id: Any) -> list[tuple[str, str]]:
    rows = models.Run.objects.filter(task=task_id).order_by("turn", "attempt")
    return list(rows.values_list("revision", "outcome"))


@pytest.mark.parametrize("stored_as_claimed", [True, False])
async def test_a_turn_has_the_revision_of_the_code_with_which_it_begins(
    stored_as_claimed: bool,
) -> None:
    with agent_for_test(renewals, slug="renewals", revision="3") as agent:
        if stored_as_claimed:
            with client_of(renewals, slug="renewals", revision="3") as client:
                task_id: Any = (await client.send()).id
        else:
            task_id = (await database.run(lambda: begin(scope=RENEWALS))).head.task_id
            assert await database.run(revisions_of, task_id) == [("", "")]
            worker = runners.current().worker
            await worker.work_on(task_id)
    assert agent.revision == "3"
    assert await database.run(revisions_of, task_id) == [("3", "completed")]
    event = await database.run(models.Artifact.objects.get)
    assert event.parts[0]["text"] == "began under '3'"


async def test_a_turn_of_another_revision_is_left_alone_until_there_is_its_code() -> None:
    task_id = await database.run(begun)
    worker = runners.current().worker
    with agent_for_test(renewals, slug="renewals", revision="2"):
        await worker.work_on(task_id)
        for _ in range(2):
            await runners.current().sweep()
        assert worker.revisions.missing() == [("renewals", "1")]
        assert await database.run(revisions_of, task_id) == [("1", "lost"), ("1", "")]
    with agent_for_test(renewals, slug="renewals", revision="3", accepts_revisions=("2", "1")):
        assert worker.revisions.missing() == []
        await worker.work_on(task_id)
    assert await database.run(revisions_of, task_id) == [("1", "lost"), ("1", "completed")]
    artifact = await database.run(models.Artifact.objects.get)
    assert artifact.parts[0]["text"] == "began under '1'"


async def test_a_sweep_takes_up_what_the_new_code_accepts() -> None:
    task_id = await database.run(begun)
    accepts = {"revision": "2", "accepts_revisions": lambda revision: revision == "1"}
    with client_of(renewals, slug="renewals", **accepts) as client:
        stream = client.subscribe(str(task_id))
        await anext(stream)
        await runners.current().sweep()
        events = [event async for event in stream]
    assert events[-1]["statusUpdate"]["status"]["state"] == "TASK_STATE_COMPLETED"


async def test_a_decision_goes_on_with_the_revision_that_has_asked() -> None:
    async def asks(turn: Turn) -> str:
        return f"{turn.revision}: {(await turn.approve('Renew?')).choice}"

    with client_of(asks, slug="asks", revision="1") as client:
        task = await client.send()
        with agent_for_test(asks, slug="asks", revision="2", accepts_revisions=("1",)):
            done = await client.send(answer(task, Part(text="yes")))
    assert done.artifacts[0].parts[0].text == "1: yes"
    assert await database.run(revisions_of, task.id) == [("1", "asked"), ("1", "completed")]


class Renewals(Agent):
    """Accepts by a method."""

    slug = "renewals"

    def accepts_revisions(self, revision: str) -> bool:
        return revision.startswith("1")


@pytest.mark.parametrize(
    ("agent", "revision", "has"),
    [
        (make_agent(renewals), "", True),
        (make_agent(renewals), "1", False),
        (make_agent(renewals, revision="1"), "1", True),
        (make_agent(renewals, revision="1"), "", True),
        (make_agent(renewals, revision="2"), "1", False),
        (make_agent(renewals, accepts_revisions=["1"]), "1", True),
        (make_agent(Renewals), "1.5", True),
        (make_agent(Renewals), "2", False),
    ],
)
def test_code_has_its_own_revision_and_those_that_it_accepts(
    agent: Agent, revision: str, has: bool
) -> None:
    assert agent.has_code_of(revision) == has


@pytest.mark.parametrize(
    ("declared", "name"),
    [
        ({"revision": 3}, "revision"),
        ({"revision": "a" * 101}, "revision"),
        ({"revision": "a\n"}, "revision"),
        ({"accepts_revisions": "12"}, "accepts_revisions"),
        ({"accepts_revisions": [1]}, "accepts_revisions"),
    ],
)
def test_a_revision_that_is_none_is_refused_by_its_name(declared: Any, name: str) -> None:
    with pytest.raises(ValueError, match=rf"^{name} of agent 'renewals' is "):
        make_agent(renewals, **declared)


FINDS: list[Callable[..., Any]] = [
    lambda besides: [
        turn.task_id
        for turn in waiting.find_waiting(
            agents=["renewals"], limit=1, room=Shares(9), besides=besides
        ).turns
    ],
    lambda besides: [
        turn.task_id
        for turn in waiting.find_waiting(
            agents=["renewals"], limit=1, room=Shares(9), besides=besides, in_turn=True
        ).turns
    ],
    lambda besides: waiting.overdue(
        agents=["renewals"], patience=timedelta(seconds=-1), limit=1, besides=besides
    ),
]


@pytest.mark.parametrize("find", FINDS)
def test_turns_that_others_are_to_take_up_hold_nobody_up(find: Callable[..., Any]) -> None:
    stranded = [begun(minutes=1) for _ in range(3)]
    task_id = begin(scope=RENEWALS).head.task_id
    assert find([])[0] in stranded
    assert find([("renewals", "1"), ("other", "")]) == [task_id]


def test_a_turn_that_goes_on_is_brought_to_a_worker_each_minute_however_old_it_is() -> None:
    task_id = begun(minutes=600)
    models.Run.objects.update(created_at=timezone.now() - timedelta(hours=10))
    patience = timedelta(seconds=15)
    found = waiting.overdue(agents=["renewals"], patience=patience, limit=9)
    assert found == [task_id]
    again = models.Run.objects.get(task=task_id, ended_at=None).lease_until
    assert again is not None
    assert again <= timezone.now() + waiting.LONGEST_PAUSE


def told() -> tuple[int, str]:
    out = StringIO()
    try:
        call_command("a2a_status", stdout=out)
    except SystemExit as ending:
        return int(str(ending.code)), out.getvalue()
    return 0, out.getvalue()


def test_turns_without_code_are_told_by_the_command_and_in_the_admin() -> None:
    begun(minutes=current().lease_seconds)
    begun("2")
    with agent_for_test(renewals, slug="renewals", revision="2"):
        one, two = figures.read().revisions
        assert (one.name, one.turns, one.waiting, one.is_here) == ("1", 1, 1, False)
        assert (two.name, two.turns, two.waiting, two.is_here) == ("2", 1, 1, True)
        code, text = told()
        staff: Browser = browser()
        overview = staff.get(reverse("admin:app_list", args=["a2a_app"])).content.decode()
        listed = staff.get(reverse("admin:a2a_app_run_changelist")).content.decode()
    assert code == figures.Level.WARNING
    assert (
        "agent renewals, revision 1: 1 turns under way, 1 of them wait for a worker; its code is "
        "not here\nagent renewals, revision 2: 1 turns under way, 1 of them wait for a worker\n"
    ) in text
    warning = "1 turns of the agent renewals wait for a process with its revision 1."
    assert warning in text and warning in overview
    assert '<td class="field-revision">2</td>' in listed
    with agent_for_test(renewals, slug="renewals", accepts_revisions=("1", "2")):
        assert figures.read().stranded == ()


async def test_turns_without_code_are_logged_once_they_have_waited_for_long(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO, "a2a_app.runners.revisions")
    await database.run(begun)
    await database.run(lambda: begun("0", minutes=10))
    with agent_for_test(renewals, slug="renewals", revision="2"):
        for _ in range(2):
            await runners.current().sweep()
    assert sorted((each.levelname, each.getMessage()) for each in caplog.records) == [
        (
            "INFO",
            f"Turns of the agent 'renewals' that began under its revision {revision!r} are left to "
            "processes that have it: here it is '2'.",
        )
        for revision in ("0", "1")
    ] + [
        (
            "WARNING",
            "1 turns of the agent 'renewals' have waited for more than "
            f"{10 * current().lease_seconds:.0f} s for a process with its revision '0'.",
        )
    ]
