"""A durable turn that is cut at any moment ends in the log that it has without a cut."""

import asyncio
from collections import Counter
from collections.abc import Awaitable
from typing import Any
from uuid import UUID

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from a2a_app import database, models
from a2a_app.agents import ArtifactWriter, AskError, StepError, Turn
from a2a_app.protocol import TaskState
from a2a_app.store.task_head import read_task_head
from a2a_app.store.updates import MessageReceived
from a2a_app.store.writes.append import append
from a2a_app.testing import agent_for_test
from tests.conftest import ChangeSettings
from tests.cuts import Cut, attempts, said_in
from tests.sleepers import asleep, until
from tests.tasks import new_message

pytestmark = pytest.mark.usefixtures("runtime")

KINDS = ("say", "plain", "whole", "chunk", "data", "step", "fails", "ask", "sleep", "event", "both")
# What is asked of another agent, and how many moments each has besides its end.
CALLS = {"calls": 2, "refused": 2, "converses": 3, "gathers": 4}
PROGRAMS = 20
# More attempts than a program has cuts and waits.
ATTEMPTS = 40


class Program:
    """A few verbs, steps and calls of another agent in some order."""

    def __init__(self, kinds: list[str], *, is_slow: bool) -> None:
        self.kinds, self.is_slow = kinds, is_slow
        self.called: Counter[str] = Counter()
        self.cut = Cut()

    async def run(self, turn: Turn, cut: Cut) -> None:
        """Do it all, and come to the cut between any two, and while another agent is at work."""
        self.cut = cut
        writer = turn.open_artifact(name="chunks")
        await cut()
        for number, kind in enumerate(self.kinds):
            if kind in CALLS:
                await self.ask_others(turn, kind, f"{number}")
            else:
                await (self.say(turn, kind, number) or self.work(turn, kind, number, writer))
            await cut()

    def say(self, turn: Turn, kind: str, number: int) -> Awaitable[None] | None:
        match kind:
            case "say":
                return turn.working(f"{number}")
            case "plain":
                return turn.working()
            case "whole":
                return turn.artifact(f"{number}", b"\xff", {"of": number}, name=f"{number}")
            case "data":
                return turn.working({"number": number, "half": 0.5})
            case "ask":
                return turn.auth_required(f"{number}")
            case _:
                return None

    async def work(self, turn: Turn, kind: str, number: int, writer: ArtifactWriter) -> None:
        match kind:
            case "chunk":
                await writer.write(f"{number} ")
            case "step":
                await turn.working(await turn.step("step", self.call, number))
            case "fails":
                try:
                    await turn.step("fails", self.fail, number)
                except StepError as error:
                    await turn.working(error.text)
            case "sleep":
                await turn.sleep(60)
            case "event":
                await turn.working(f"{await turn.wait_for('event')}")
            case "both":
                waits = turn.wait_for("event", timeout=60), turn.sleep(30)
                said, event, _ = await asyncio.gather(turn.step("step", self.call, number), *waits)
                await turn.working(f"{said}, {event}")

    async def ask_others(self, turn: Turn, kind: str, number: str) -> None:
        match kind:
            case "calls":
                await turn.working((await turn.ask("other", number)).text)
            case "refused":
                try:
                    await turn.ask("other", number, {"fail": True})
                except AskError as error:
                    await turn.working(f"{error.kind}: {error.text}")
            case "converses":
                asked = await turn.ask("other", number, {"which": True}, asks_client=False)
                await turn.working((await turn.ask("other", f"{number}b", task=asked)).text)
            case "gathers":
                asked, stepped, _, answered = await turn.gather(
                    turn.ask("other", f"{number}a"),
                    # Not counted: a step that is cut while it is at work is done again.
                    turn.step("step", str, number),
                    self.cut(),
                    turn.ask("other", f"{number}b"),
                )
                await turn.working(f"{asked.text}, {stepped}, {answered.text}")

    async def answer(self, turn: Turn) -> str | None:
        """Answer as the other agent, while the process of the one that asks may be gone."""
        self.cut.come_by()
        if self.is_slow:
            await until(asleep)  # as the turn that asks is by then
        said, asked = self.call(turn.message.text), [part.data for part in turn.message.parts]
        if {"which": True} in asked:
            await turn.input_required(said)
        elif {"fail": True} in asked:
            await turn.fail(said)
        else:
            return said
        return None

    def call(self, number: int | str) -> str:
        self.called[f"{number}"] += 1
        return f"{number} for the {self.called[f'{number}']}. time"

    def fail(self, number: int) -> None:
        raise ValueError(self.call(number))


async def log_of(
    kinds: list[str], *at: int, is_slow: bool = False
) -> tuple[list[Any], "Counter[str]"]:
    """Return a program's log, where its attempts are cut at these numbers, and its calls.

    Where the other agent is slow, the turn that asks it is always put away meanwhile.
    """
    program = Program(kinds, is_slow=is_slow)
    cuts = [*map(Cut, at), *(Cut() for _ in range(ATTEMPTS))]

    async def agent(turn: Turn) -> None:
        await program.run(turn, cuts[turn.attempt - 1])

    with agent_for_test(program.answer, slug="other", input_modes=["*/*"]):
        task_id = await attempts(agent, *cuts, durable=True)
    return await database.run(said_in, task_id), program.called


@st.composite
def programs(draw: st.DrawFn) -> tuple[list[str], list[int]]:
    """Draw what a program does, and where its attempts are cut."""
    kinds = [*draw(st.lists(st.sampled_from([*KINDS, *CALLS]), min_size=1, max_size=7)), "say"]
    moments = len(kinds) + sum(CALLS.get(kind, 0) for kind in kinds)
    return kinds, draw(st.lists(st.integers(0, moments), min_size=1, max_size=3))


# The fixture is the same for all examples, each of which has a task of its own.
@settings(
    max_examples=PROGRAMS,
    derandomize=True,
    database=None,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(programs())
async def test_a_turn_that_is_cut_at_any_moments_has_the_log_of_one_that_is_not(
    a2a: ChangeSettings, program: tuple[list[str], list[int]]
) -> None:
    a2a(PUT_AWAY_SECONDS=0, RUNNER="tests.cuts.PlainRunner")
    kinds, cuts = program
    expected, _ = await log_of(kinds)
    found, called = await log_of(kinds, *cuts)
    assert found == expected
    assert expected[-1][0] == TaskState.COMPLETED.value
    assert set(called.values()) <= {1}


@pytest.mark.slow
@pytest.mark.parametrize("kind", CALLS)
async def test_a_turn_that_asks_others_may_be_cut_at_each_moment(
    a2a: ChangeSettings, kind: str
) -> None:
    a2a(PUT_AWAY_SECONDS=0, RUNNER="tests.cuts.PlainRunner")
    expected, _ = await log_of([kind, "say"])
    assert expected[-1][0] == TaskState.COMPLETED.value
    for moment in range(CALLS[kind] + 1):
        for is_slow in (False, True):
            found, called = await log_of([kind, "say"], moment, is_slow=is_slow)
            assert found == expected
            assert set(called.values()) == {1}


@pytest.mark.parametrize(
    ("now", "expected"),
    [
        ("another", "came to TASK_STATE_WORKING 'first', and now to TASK_STATE_WORKING 'another'."),
        ("", "came to TASK_STATE_WORKING 'first', and now to the end of the code."),
    ],
)
async def test_code_that_says_something_else_fails_and_its_error_names_both(
    now: str, expected: str
) -> None:
    cuts = [Cut(0), Cut()]

    async def agent(turn: Turn) -> None:
        text = "first" if turn.attempt == 1 else now
        if text:
            await turn.working(text)
            await turn.history()  # waits until it is committed
        await cuts[turn.attempt - 1]()

    task_id = await attempts(agent, *cuts, durable=True)
    failed = models.Run.objects.filter(task=task_id).exclude(error="")
    assert expected in (await database.run(failed.get)).error


async def test_an_agent_that_is_not_durable_says_it_again() -> None:
    cuts = [Cut(0), Cut()]

    async def agent(turn: Turn) -> None:
        await turn.working("hello")
        await turn.history()
        await cuts[turn.attempt - 1]()

    task_id = await attempts(agent, *cuts, attempts=2)
    log = await database.run(said_in, task_id)
    assert [text for _, text in log].count([{"text": "hello"}]) == 2


async def test_a_message_that_came_meanwhile_is_nothing_that_the_agent_has_said() -> None:
    cuts = [Cut(0), Cut()]

    def receive(task_id: str) -> None:
        head = read_task_head(UUID(task_id))
        append(head, [MessageReceived(new_message("more"))])

    async def agent(turn: Turn) -> None:
        await turn.working("first")
        await turn.history()
        if turn.attempt == 1:
            await database.run(receive, turn.task_id)
        await turn.working("second")
        await turn.history()
        await cuts[turn.attempt - 1]()

    task_id = await attempts(agent, *cuts, durable=True)
    log = await database.run(said_in, task_id)
    assert [parts[0]["text"] for _, parts in log if parts] == ["first", "second"]
