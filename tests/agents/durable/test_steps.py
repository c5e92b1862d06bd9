"""Steps of a turn: each counts once, whatever becomes of the processes that work on the turn."""

import asyncio
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Annotated, Any
from uuid import UUID

import pytest
from pydantic import BaseModel

from a2a_app import database, models
from a2a_app.agents import StepError, Turn
from a2a_app.agents.durable.steps import Tries
from a2a_app.protocol import Part, TaskState
from a2a_app.store.refusals import RunLostError
from tests.approvals import answer, said
from tests.clients.operations import client_of
from tests.conftest import ChangeSettings
from tests.cuts import SECONDS, Cut, attempts, said_in

pytestmark = pytest.mark.usefixtures("runtime")


class Receipt(BaseModel):
    """A model of pydantic."""

    amount: Decimal
    on: date


@dataclass
class Point:
    """A dataclass."""

    x: int


@dataclass
class Size:
    """Another one, with the same JSON."""

    x: int


class Scores(BaseModel):
    """A model with numbers that need not be finite."""

    of: list[float]


SCORES = [0.5, float("nan"), float("-inf")]


def receipt() -> Receipt:
    return Receipt(amount=Decimal("1.20"), on=date(2026, 1, 2))


async def point() -> Point:
    return Point(3)


def raw() -> bytes:
    return b"\xff\x00"


def large() -> bytes:
    return b"\xff" * 5000


def untyped():  # type: ignore[no-untyped-def]  # what it returns is not said
    return {"price": Decimal("1.20"), "text": "a\x00b"}


def steps() -> list[models.Step]:
    return list(models.Step.objects.order_by("number"))


async def end_of(task_id: Any) -> models.Task:
    return await database.run(lambda: models.Task.objects.get(pk=task_id))


async def error_of(task_id: Any) -> str:
    found = models.Run.objects.filter(task=task_id).exclude(error="")
    return await database.run(lambda: found.get().error)


async def test_results_come_back_in_the_next_attempt_with_their_types(a2a: ChangeSettings) -> None:
    a2a(RAW_LIMIT=1000)
    got: list[list[Any]] = []
    called: list[str] = []

    def count() -> None:
        called.append("count")

    cuts = [Cut(0), Cut()]

    async def agent(turn: Turn) -> None:
        got.append(
            [
                await turn.step("charge", receipt),
                await turn.step("charge", point),
                await turn.step("charge", raw),
                await turn.step("large", large),
                await turn.step("untyped", untyped),
                await turn.step("told", untyped, returns=dict[str, Any]),
                await turn.step("none", count),
            ]
        )
        await cuts[turn.attempt - 1]()

    task_id = await attempts(agent, *cuts, attempts=2)
    plain = {"price": "1.20", "text": "a\ufffdb"}
    assert got[0] == [receipt(), Point(3), raw(), large(), plain, plain, None]
    assert got[1] == got[0]
    assert called == ["count"]
    rows = await database.run(steps)
    assert [row.name for row in rows[:4]] == ["charge", "charge#2", "charge#3", "large"]
    assert rows[3].file.startswith("a2a-file:")
    assert (await end_of(task_id)).state == TaskState.COMPLETED


async def test_types_of_results_are_told_apart_by_the_order_of_a_union_and_by_annotations() -> None:
    got: list[Any] = []

    async def agent(turn: Turn) -> None:
        kinds: list[Any] = [Point | Size, Size | Point, Annotated[Point, {"has": "no hash"}]]
        got.extend([await turn.step("ask", point, returns=kind) for kind in kinds * 2])

    await attempts(agent, Cut())
    assert got == [Point(3), Size(3), Point(3)] * 2


async def test_numbers_that_json_has_not_come_back_as_their_type_and_else_as_text() -> None:
    got: list[list[Any]] = []
    cuts = [Cut(0), Cut()]

    def score() -> list[float]:
        return SCORES

    def scores() -> Scores:
        return Scores(of=score())

    async def agent(turn: Turn) -> None:
        got.append(
            [
                *await turn.step("typed", score),
                *await turn.step("plain", score, returns=Any),
                await turn.step("model", scores),
            ]
        )
        await cuts[turn.attempt - 1]()

    await attempts(agent, *cuts, attempts=2)
    texts = [0.5, "NaN", "-Infinity"]
    assert str(got[0]) == str([*SCORES, *texts, Scores(of=SCORES)])
    assert str(got[1]) == str(got[0])


async def test_a_failed_step_is_kept_and_raised_again() -> None:
    tried: list[int] = []
    caught: list[StepError] = []
    cuts = [Cut(0), Cut()]

    def charge(amount: int) -> None:
        tried.append(amount)
        raise KeyError("no card")

    async def agent(turn: Turn) -> None:
        try:
            await turn.step("charge", charge, 5, retries=2, backoff=0.01)
        except StepError as error:
            caught.append(error)
        await cuts[turn.attempt - 1]()

    await attempts(agent, *cuts, attempts=2)
    assert tried == [5, 5, 5]
    assert [(e.name, e.kind, e.text) for e in caught] == 2 * [
        ("charge", "builtins.KeyError", "'no card'")
    ]
    [row] = await database.run(steps)
    assert row.tries == 3


@pytest.mark.slow
async def test_only_what_is_worth_it_is_tried_again_and_a_slow_try_is_an_error() -> None:
    tried: list[str] = []

    async def refuses() -> None:
        tried.append("refuses")
        raise ValueError("never")

    async def hangs() -> None:
        tried.append("hangs")
        await Cut(0)()

    async def agent(turn: Turn) -> str:
        kinds = []
        for step, timeout in [(refuses, None), (hangs, 0.05)]:
            more: dict[str, Any] = {"retry_on": TimeoutError, "timeout": timeout}
            try:
                await turn.step("it", step, retries=1, backoff=0, **more)
            except StepError as error:
                kinds.append(error.kind)
        return " ".join(kinds)

    with client_of(agent) as client:
        task = await client.send()
    assert task.artifacts[0].parts[0].text == "builtins.ValueError builtins.TimeoutError"
    assert tried == ["refuses", "hangs", "hangs"]


def test_each_pause_between_tries_is_twice_the_one_before_and_five_minutes_at_most() -> None:
    tries, error = Tries(100, 2.0, OSError, None), OSError()
    pauses = [tries.pause_after(tried, error) for tried in (1, 2, 3, 8, 9, 100, 101)]
    assert pauses == [2.0, 4.0, 8.0, 256.0, 300.0, 300.0, None]
    assert tries.pause_after(1, ValueError()) is None


async def test_the_key_of_a_step_is_the_same_in_each_attempt_and_another_for_each_step() -> None:
    keys: list[str] = []
    cuts = [Cut(0), Cut()]

    async def agent(turn: Turn) -> None:
        async def charge(*, key: str) -> None:
            keys.append(key)
            await cuts[turn.attempt - 1]()

        await turn.step("charge", charge, key_as="key")
        await turn.step("charge", charge, key_as="key")

    await attempts(agent, *cuts, attempts=2)
    assert keys[0] == keys[1]
    assert len(set(keys)) == 2


async def test_a_synchronous_agent_has_steps() -> None:
    def agent(turn: Turn) -> str:
        return str(turn.wait(turn.step("charge", receipt)).amount)

    with client_of(agent) as client:
        task = await client.send()
    assert task.artifacts[0].parts[0].text == "1.20"


async def test_another_order_of_steps_is_said_with_the_step_expected_and_the_step_met() -> None:
    cuts = [Cut(0), Cut()]

    async def agent(turn: Turn) -> None:
        await turn.step("charge" if turn.attempt == 1 else "ship", receipt)
        await cuts[turn.attempt - 1]()

    task_id = await attempts(agent, *cuts, attempts=2)
    assert (await end_of(task_id)).state == TaskState.FAILED
    assert "At step 1 it then came to 'charge', and now to 'ship'." in await error_of(task_id)


async def test_a_run_that_has_lost_its_task_records_no_step() -> None:
    refused = asyncio.Event()

    def lose() -> None:
        models.Task.objects.update(run=None)

    async def agent(turn: Turn) -> None:
        with pytest.raises(RunLostError):
            await turn.step("charge", database.run, lose)
        refused.set()

    with client_of(agent) as client:
        await client.send(return_immediately=True)
        await asyncio.wait_for(refused.wait(), SECONDS)
    assert await database.run(steps) == []


async def test_what_cannot_be_stored_is_refused() -> None:
    class Strange:
        pass

    def strange() -> Any:
        return Strange()

    def typed() -> Strange:
        return Strange()

    def wrong() -> int:
        return "five"  # type: ignore[return-value]  # what the test is about

    refused: list[str] = []

    async def agent(turn: Turn) -> None:
        for function in (strange, typed, wrong):
            try:
                await turn.step("it", function)
            except TypeError as error:
                refused.append(str(error))
        with pytest.raises(ValueError, match="retries"):
            await turn.step("it", receipt, retries=-1)
        with pytest.raises(ValueError, match="timeout"):
            await turn.step("it", receipt, timeout=0)
        with pytest.raises(ValueError, match="name"):
            await turn.step("", receipt)

    with client_of(agent) as client:
        await client.send()
    assert ["what cannot be stored" in text or "returns=" in text for text in refused] == 3 * [True]


async def test_a_decision_that_comes_after_steps_finds_them_done() -> None:
    called: list[str] = []

    def charge() -> str:
        called.append("charge")
        return "charged"

    async def agent(turn: Turn) -> None:
        await turn.working("Looking.")
        charged = await turn.step("charge", charge)
        await turn.working(charged)
        decision = await turn.approve("Ship it?")
        await turn.complete(f"{charged}, {decision.choice}")

    with client_of(agent, durable=True) as client:
        task = await client.send("order 5")
        done = await client.send(answer(task, Part(text="yes")))
    assert said(done) == "charged, yes"
    assert called == ["charge"]
    log = await database.run(said_in, UUID(done.id))
    assert [parts and parts[0]["text"] for _, parts in log] == [
        None, "Looking.", "charged", "Ship it?", None, "charged, yes",
    ]  # fmt: skip  # as one list
