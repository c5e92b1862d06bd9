"""Questions that a person decides: how an agent asks, who may decide, and how its turn goes on."""

import asyncio
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from a2a_app import database, models, runners, signals
from a2a_app.agents import Decision, Turn
from a2a_app.models.approval import Ending
from a2a_app.operations.approvals import decide
from a2a_app.protocol import (
    InvalidParamsError,
    Part,
    PermissionDeniedError,
    TaskState,
)
from a2a_app.store.refusals import DecidedError
from tests.approvals import PERMISSION, Heard, answer, approvals, of_staff, question, said
from tests.clients.operations import client_of
from tests.tasks import new_message

pytestmark = pytest.mark.usefixtures("runtime")

SECONDS = 20
OLD = timedelta(seconds=-1)


async def asks_caller(turn: Turn) -> None:
    turn.context.state["begun"] = turn.context.state.get("begun", 0) + 1
    decision = await turn.approve("Refund?", data={"amount": 120})
    begun = turn.context.state["begun"]
    await turn.complete(f"{turn.text}: {decision.choice}, {bool(decision)}, {turn.number}, {begun}")


async def asks_staff(turn: Turn) -> None:
    decision = await turn.approve("Refund?", permission=PERMISSION)
    by = decision.user and decision.user.get_username()
    await turn.complete(f"{turn.text}: {decision.choice} {decision.comment} by {by}")


def asks_in_a_thread(turn: Turn) -> None:
    decision = turn.wait(turn.approve("Refund?", choices=("all", "half", "none")))
    turn.complete(f"{turn.text}: {decision.choice}, {bool(decision)}")


@pytest.fixture
def heard() -> Iterator[Heard]:
    """Hear the signals of tasks."""
    queues = Heard()
    for signal in queues.by_signal:
        signal.connect(queues.hear)
    yield queues
    for signal in queues.by_signal:
        signal.disconnect(queues.hear)


async def test_the_caller_decides_and_the_turn_goes_on_with_its_own_message() -> None:
    with client_of(asks_caller) as client:
        task = await client.send("order 5")
        assert task.status.state is TaskState.INPUT_REQUIRED
        wanted = question(task)
        assert said(task) == "Refund?"
        assert wanted == {
            "approval": wanted["approval"],
            "choices": ["yes", "no"],
            "decidedBy": "caller",
            "data": {"amount": 120},
        }
        done = await client.send(answer(task, Part(text=" Yes ")))
    # What the first attempt has done to the state of the conversation is not saved.
    assert said(done) == "order 5: yes, True, 1, 1"
    [row] = await database.run(approvals)
    assert (row.ending, row.choice, row.decided_as) == ("decided", "yes", "caller")
    assert [message.text for message in done.history] == ["order 5", "Refund?", " Yes "]


@pytest.mark.parametrize(("choice", "expected"), [("all", True), ("half", False)])
async def test_a_synchronous_agent_asks_and_has_choices_of_its_own(
    choice: str, expected: bool
) -> None:
    with client_of(asks_in_a_thread) as client:
        task = await client.send("order 5")
        data = {"approval": question(task)["approval"], "choice": choice}
        done = await client.send(answer(task, Part(data=data)))
    assert said(done) == f"order 5: {choice}, {expected}"


async def test_a_stream_stays_while_staff_decides_and_the_agent_knows_who_has(
    heard: Heard,
) -> None:
    with client_of(asks_staff) as client:
        streaming = asyncio.create_task(client.stream("order 5"))
        asked = await heard.next(signals.approval_requested)
        user = await database.run(of_staff)
        await decide(asked["approval_id"], "yes", user=user, comment="fine")
        events = await streaming
        told = await heard.next(signals.approval_decided)
    assert (asked["question"], asked["permission"], asked["until"]) == ("Refund?", PERMISSION, None)
    assert (told["approval_id"], told["choice"]) == (asked["approval_id"], "yes")
    assert (told["decided_as"], told["decided_by"]) == ("operator", user.pk)
    states = [event["statusUpdate"]["status"]["state"] for event in events[1:]]
    assert states == [
        "TASK_STATE_AUTH_REQUIRED",
        "TASK_STATE_SUBMITTED",
        "TASK_STATE_COMPLETED",
    ]
    assert events[2]["statusUpdate"]["metadata"] == {
        "urn:a2a-app:approvals:v1": {
            "approval": str(asked["approval_id"]),
            "ending": "decided",
            "choice": "yes",
            "decidedBy": "operator",
        }
    }
    last = events[-1]["statusUpdate"]["status"]["message"]["parts"]
    assert last == [{"text": "order 5: yes fine by ann"}]
    [row] = await database.run(approvals)
    assert (row.decided_by_id, row.decided_as, row.comment) == (user.pk, "operator", "fine")


async def test_a_yes_of_the_client_does_not_count_where_staff_must_decide(heard: Heard) -> None:
    with client_of(asks_staff) as client:
        task = await client.send("order 5")
        data = {"approval": question(task)["approval"], "choice": "yes"}
        with pytest.raises(PermissionDeniedError):
            await client.send(answer(task, Part(data=data)))
        # A text reaches the agent, which asks once more: the question before is withdrawn.
        again = await client.send(answer(task, Part(text="yes")))
        assert again.status.state is TaskState.AUTH_REQUIRED
        first, second = await database.run(approvals)
        assert (first.ending, second.ended_at, second.turn) == (Ending.WITHDRAWN, None, 2)
        user = await database.run(of_staff)
        with pytest.raises(DecidedError):
            await decide(first.pk, "yes", user=user)
        await decide(second.pk, "no", user=user)
        done = await heard.ended(client, again)
    assert said(done) == "yes: no  by ann"


async def test_who_may_not_decide_is_refused_and_the_question_stays_open() -> None:
    with client_of(asks_staff) as client, client_of(asks_caller) as other:
        await client.send()
        await other.send()
        mine, callers = await database.run(approvals)
        nobody = await database.run(of_staff, "bob", permitted=False)
        permitted = await database.run(of_staff)
        for approval, user in [(mine, nobody), (callers, permitted)]:
            with pytest.raises(PermissionDeniedError):
                await decide(approval.pk, "yes", user=user)
        with pytest.raises(InvalidParamsError, match="choice"):
            await decide(mine.pk, "perhaps", user=permitted)
    assert [row.ended_at for row in await database.run(approvals)] == [None, None]


@pytest.mark.parametrize(
    ("data", "field"),
    [
        ({"approval": "another", "choice": "yes"}, "approval"),
        ({"approval": "", "choice": "perhaps"}, "choice"),
    ],
)
async def test_an_answer_to_another_question_or_with_no_choice_is_refused(
    data: dict[str, str], field: str
) -> None:
    with client_of(asks_caller) as client:
        task = await client.send()
        data = {**data, "approval": data["approval"] or question(task)["approval"]}
        with pytest.raises(InvalidParamsError, match=field):
            await client.send(answer(task, Part(data=data)))
        assert (await client.get(task.id)).status.state is TaskState.INPUT_REQUIRED


async def test_a_message_that_decides_nothing_begins_another_turn() -> None:
    with client_of(asks_caller) as client:
        task = await client.send("order 5")
        again = await client.send(answer(task, Part(text="order 6, please")))
        done = await client.send(answer(again, Part(text="no")))
    assert said(done) == "order 6, please: no, False, 2, 1"
    assert [row.ending for row in await database.run(approvals)] == ["withdrawn", "decided"]


async def test_a_decision_counts_for_just_what_was_asked() -> None:
    amounts = iter([120, 240, 240, 240, 5])

    async def agent(turn: Turn) -> None:
        decisions = [
            await turn.approve("Refund?", data=next(amounts)),
            await turn.approve("Really?"),
            await turn.approve("Really?"),
        ]
        await turn.complete(" ".join(decision.choice for decision in decisions))

    with client_of(agent) as client:
        task = await client.send()
        asked = []
        for choice in ("no", "yes", "no", "yes"):
            asked.append(question(task).get("data"))
            task = await client.send(answer(task, Part(text=choice)))
    # The second attempt has asked for another amount, and so its "no" did not count.
    assert asked == [120, 240, None, None]
    assert task.status.state is TaskState.INPUT_REQUIRED
    assert question(task)["data"] == 5


async def expire_all() -> None:
    def change() -> None:
        models.Approval.objects.update(until=timezone.now() + OLD)

    await database.run(change)


async def test_a_question_that_nobody_decides_in_time_is_answered_by_the_sweep(
    heard: Heard,
) -> None:
    decisions: list[Decision] = []

    async def agent(turn: Turn) -> None:
        decisions.append(
            await turn.approve("Refund?", permission=PERMISSION, until=timedelta(hours=1))
        )

    with client_of(agent) as client:
        task = await client.send()
        assert "until" in question(task)
        [approval] = await database.run(approvals)
        user = await database.run(of_staff)
        await expire_all()
        with pytest.raises(DecidedError):
            await decide(approval.pk, "yes", user=user)
        await runners.current().sweep()
        done = await heard.ended(client, task)
    assert done.status.state is TaskState.COMPLETED
    assert [(d.is_expired, bool(d), d.choice) for d in decisions] == [(True, False, "")]


@pytest.mark.parametrize("agent", [asks_caller, asks_staff])
async def test_a_cancel_withdraws_the_question(agent: Callable[..., Any]) -> None:
    with client_of(agent) as client:
        task = await client.send()
        await client.cancel(task.id)
    [row] = await database.run(approvals)
    assert row.ending == Ending.WITHDRAWN
    assert await database.run(open_runs) == 0


def open_runs() -> int:
    return models.Run.objects.filter(ended_at=None).count()


async def test_a_question_is_withdrawn_where_another_message_waits_already(heard: Heard) -> None:
    asked, goes_on = asyncio.Event(), asyncio.Event()

    async def agent(turn: Turn) -> None:
        if turn.text == "first":
            asked.set()
            await goes_on.wait()
            await turn.approve("Refund?", permission=PERMISSION)
        await turn.complete(turn.text)

    with client_of(agent) as client:
        task = await client.send("first", return_immediately=True)
        await asyncio.wait_for(asked.wait(), SECONDS)
        await client.send(new_message("second", task_id=task.id), return_immediately=True)
        goes_on.set()
        done = await heard.ended(client, task)
    assert said(done) == "second"
    assert [row.ending for row in await database.run(approvals)] == [Ending.WITHDRAWN]
    assert await database.run(open_runs) == 0


async def test_code_that_catches_errors_does_not_go_on_after_it_has_asked() -> None:
    went_on: list[str] = []

    async def agent(turn: Turn) -> None:
        try:
            await turn.approve("Refund?")
        except Exception:
            went_on.append("except")
        went_on.append("after")

    with client_of(agent) as client:
        task = await client.send()
        assert went_on == []
        done = await client.send(answer(task, Part(text="yes")))
    assert done.status.state is TaskState.COMPLETED
    assert went_on == ["after"]


@pytest.mark.parametrize(
    "asked",
    [
        {"choices": ()},
        {"choices": ("Yes", "yes ")},
        {"choices": ("x" * 101,)},
        {"permission": "refund"},
        {"until": timezone.now().replace(tzinfo=None)},
    ],
)
async def test_what_can_never_be_decided_is_refused(asked: dict[str, Any]) -> None:
    errors: list[ValueError] = []

    async def agent(turn: Turn) -> None:
        try:
            await turn.approve("Refund?", **asked)
        except ValueError as error:
            errors.append(error)

    with client_of(agent) as client:
        await client.send()
    assert len(errors) == 1
