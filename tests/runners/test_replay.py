"""Replay: an agent's present code against recorded turns, without a step done or a row written."""

from datetime import timedelta
from io import StringIO
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from asgiref.sync import sync_to_async
from django.contrib.auth.models import User
from django.core.management import CommandError, call_command
from django.db import connection
from pydantic import ValidationError

from a2a_app import database, events, models
from a2a_app.agents import Turn
from a2a_app.protocol import Part, TaskState
from a2a_app.runners.replay import record, replay
from a2a_app.store.durable.recordings import Recording
from a2a_app.testing import agent_for_test, areplay
from a2a_app.testing import replay as replay_in_thread
from tests.approvals import answer
from tests.clients.operations import OperationsClient, client_of
from tests.conftest import ChangeSettings
from tests.sleepers import ended, is_asleep
from tests.tasks import new_message
from tests.threads import in_thread

pytestmark = pytest.mark.usefixtures("runtime")

DURABLE: dict[str, Any] = {"slug": "orders", "durable": True}
called: list[str] = []


def charge(order: str) -> dict[str, str]:
    called.append(order)
    return {"receipt": order}


def lose() -> None:
    called.append("lose")
    raise ValueError("lost")


async def orders(turn: Turn) -> None:
    """Use a bit of everything that is recorded."""
    await turn.working("Charging.")
    receipt = await turn.step("charge", charge, turn.text)
    await turn.artifact(receipt, name="receipt")
    try:
        await turn.step("lose", lose)
    except Exception as error:
        await turn.working(str(error))
    await turn.usage("m", input_tokens=1)
    await turn.sleep(0)
    paid = await turn.wait_for("paid")
    writer = turn.open_artifact()
    for word in ("Paid", " ", str(paid)):
        await writer.write(word)
    turn.context.state["orders"] = 1


async def other_step(turn: Turn) -> None:
    await turn.working("Charging.")
    await turn.step("pay", charge, turn.text)


async def other_text(turn: Turn) -> None:
    await turn.working("I charge.")
    await turn.artifact(await turn.step("charge", charge, turn.text), name="receipt")
    await turn.step("ship", charge, turn.text)


async def raises(turn: Turn) -> None:
    await turn.working("Charging.")
    raise RuntimeError("broken")


async def says_more(turn: Turn) -> None:
    await orders(turn)
    await turn.working("Shipped.")


async def says_less(turn: Turn) -> None:
    await turn.working("Charging.")
    await turn.step("charge", charge, turn.text)


async def a_step_more(turn: Turn) -> None:
    await orders(turn)
    await turn.step("ship", charge, turn.text)


def in_a_thread(turn: Turn) -> None:
    turn.working("Charging.")
    turn.artifact(turn.wait(turn.step("charge", charge, turn.text)), name="receipt")
    turn.wait(turn.step("lose", lose))


def ships_in_a_thread(turn: Turn) -> None:
    turn.working("Charging.")
    turn.artifact(turn.wait(turn.step("charge", charge, turn.text)), name="receipt")
    turn.wait(turn.step("ship", charge, turn.text))


async def writes(turn: Turn) -> None:
    await turn.working("Charging.")
    await User.objects.acreate(username="sneaky")


async def recorded(client: OperationsClient) -> str:
    """Let the agent answer, and return the id of its task."""
    task = await client.send("order 7", return_immediately=True)
    await events.asend(task.id, "paid", 120)
    await ended(client, task)
    return task.id


def told(*options: str) -> tuple[int, str]:
    """Call the command in a thread that ends, and return its exit code and what it prints."""
    out = StringIO()
    try:
        call_command("a2a_replay", *options, stdout=out)
    except SystemExit as ending:
        return int(str(ending.code)), out.getvalue()
    return 0, out.getvalue()


def contents() -> list[Any]:
    """Return all rows of all tables."""
    with connection.cursor() as cursor:
        tables = sorted(connection.introspection.table_names(cursor))
        rows = []
        for table in tables:
            cursor.execute(f"SELECT * FROM {connection.ops.quote_name(table)}")
            rows.append((table, sorted(map(repr, cursor.fetchall()))))
    return rows


async def replayed_by_command(code: Any, task_id: str, *options: str) -> tuple[int, str]:
    """Replay a task with other code, and check that nothing was done and nothing written."""
    called.clear()
    before = await sync_to_async(contents)()
    with agent_for_test(code, **DURABLE):
        found = await in_thread(told, task_id, *options)
    assert await sync_to_async(contents)() == before
    assert called == []
    return found


ALL = (
    "  TASK_STATE_WORKING 'Charging.'\n"
    "  step 'charge'\n"
    "  1-1 '…'\n"
    "  step 'lose'\n"
    "  TASK_STATE_WORKING \"The step 'lose' has failed: builtins.ValueError: lost\"\n"
    "  sleep\n"
    "  event 'paid'\n"
    "  1-2 'Paid'\n"
    "  1-2 ' '\n"
    "  1-2 '120'\n"
)


@pytest.mark.slow
async def test_the_command_shows_that_the_code_does_what_it_has_done_or_what_it_would_do() -> None:
    with client_of(orders, **DURABLE) as client:
        task_id = await recorded(client)
    title = f"Turn 1 of task {task_id}, orders:\n"

    code, text = await replayed_by_command(orders, task_id)
    assert (code, text.startswith(f"{title}{ALL}")) == (0, True), text
    assert text.endswith("  … the code has returned\n")

    code, text = await replayed_by_command(other_step, task_id)
    assert code == 1
    assert "- step 'charge'\n+ step 'pay'\n" in text
    assert text.endswith("  … the steps differ\n")

    code, text = await replayed_by_command(other_text, task_id)
    assert code == 1
    assert "- TASK_STATE_WORKING 'Charging.'\n+ TASK_STATE_WORKING 'I charge.'\n" in text
    assert "  step 'charge'\n  1-1 '…'\n- step 'lose'\n+ step 'ship'\n" in text

    code, text = await replayed_by_command(raises, task_id)
    assert code == 1
    assert "+ raises RuntimeError: broken\n" in text
    assert "- step 'charge'\n" in text

    code, text = await replayed_by_command(says_more, task_id)
    assert code == 1
    assert "+ TASK_STATE_WORKING 'Shipped.'\n" in text

    code, text = await replayed_by_command(says_less, task_id)
    assert code == 1
    assert "- step 'lose'\n" in text and "- 1-1 '…'\n" in text

    code, text = await replayed_by_command(a_step_more, task_id)
    assert code == 1
    assert "+ step 'ship'\n" in text

    code, text = await replayed_by_command(in_a_thread, task_id)
    assert code == 1
    assert "+ raises StepError: The step 'lose' has failed" in text

    code, text = await replayed_by_command(ships_in_a_thread, task_id)
    assert code == 1
    assert "- step 'lose'\n+ step 'ship'\n" in text
    assert text.endswith("  … the steps differ\n")

    code, text = await replayed_by_command(writes, task_id)
    assert code == 1
    assert "+ raises WriteRefusedError: Nothing may be written here: INSERT INTO" in text


async def test_a_turn_under_way_is_replayed_to_where_it_is(a2a: ChangeSettings) -> None:
    a2a(PUT_AWAY_SECONDS=0)

    async def waits(turn: Turn) -> None:
        await turn.step("charge", charge, "x")
        await turn.working("Asleep.")
        await turn.sleep(timedelta(days=3))
        await turn.working("Awake.")

    with client_of(waits, **DURABLE) as client:
        task = await client.send(return_immediately=True)
        await is_asleep()
    code, text = await replayed_by_command(waits, task.id)
    assert (code, text.splitlines()[1:]) == (
        0,
        ["  step 'charge'", "  TASK_STATE_WORKING 'Asleep.'", "  sleep", "  … sleep is not over"],
    )
    code, text = await replayed_by_command(other_step, task.id)
    assert code == 1 and "- sleep\n" in text


async def test_what_was_decided_is_given_and_an_open_question_ends_the_replay() -> None:
    async def asks(turn: Turn) -> str:
        decision = await turn.approve("Refund 120 €?")
        return f"{decision.choice} by the {decision.decided_as}"

    async def asks_more(turn: Turn) -> str:
        return f"{(await turn.approve('Refund 130 €?')).choice}"

    with client_of(asks, slug="asks") as client:
        task = await client.send()
        recording = await record(UUID(task.id))
        assert str(await replay(client.call.agent, recording)) == (
            "  asks 'Refund 120 €?'\n  … it waits for a decision"
        )
        with agent_for_test(asks_more, slug="asks") as changed:
            assert "+ asks 'Refund 130 €?'" in str(await replay(changed, recording))
        await client.send(answer(task, Part(text="yes")))
        again = await replay(client.call.agent, await record(UUID(task.id), of_last_attempt=True))
    assert again.is_same, str(again)
    assert again.lines == ["  1-1 'yes by the caller'"]


async def test_a_recording_is_a_fixture_for_tests_without_a_database(
    tmp_path: Path, empty_storages: None
) -> None:
    async def reads(turn: Turn) -> None:
        [part] = [part for part in turn.message.parts if part.text is None]
        await turn.working(f"{[each.text for each in await turn.context.messages()]}")
        await turn.working(f"{len(await turn.read(part))} bytes for {turn.text}")
        await turn.working(f"{[each.text for each in await turn.history()]}")
        await turn.artifact(await turn.step("large", lambda: "x" * 100_000))

    path = tmp_path / "reads.json"
    with client_of(reads, **DURABLE) as client:
        parts = [Part(text="me"), Part(raw=b"b" * 100_000, filename="b")]
        message = new_message().model_copy(update={"parts": parts})
        task = await client.send(message)
    assert task.status.state is TaskState.COMPLETED
    assert await replayed_by_command(reads, task.id, "--export", str(path)) == (
        0,
        f"Wrote turn 1 of task {task.id}.\n",
    )
    await database.run(models.Task.objects.all().delete)
    with agent_for_test(reads, **DURABLE) as agent:
        assert (await areplay(agent, path)).end == "the code has returned"
        await in_thread(replay_in_thread, agent, path)
    with (
        agent_for_test(other_step, **DURABLE) as changed,
        pytest.raises(AssertionError, match=r"orders differs from .*\n(.*\n)*\+ "),
    ):
        await areplay(changed, str(path))


async def test_messages_that_the_turn_has_read_are_given_at_their_places(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def listens(turn: Turn) -> None:
        await turn.working("Go on.")
        first = await turn.inbox.get()
        await turn.working(f"Heard {first.text}.")

    with client_of(listens, slug="listens", when_busy="live") as client:
        task = await client.send(return_immediately=True)
        await client.send(new_message("stop", task_id=task.id), return_immediately=True)
        await ended(client, task)
        recording = await record(UUID(task.id))
        same = await replay(client.call.agent, recording)
        recording.read = []
        monkeypatch.setattr("a2a_app.runners.replay.QUIET_SECONDS", 0.01)
        waits = await replay(client.call.agent, recording)
    assert same.lines == ["  TASK_STATE_WORKING 'Go on.'", "  TASK_STATE_WORKING 'Heard stop.'"]
    assert waits.end == "it waits for a message"


async def test_attempts_at_a_turn_that_is_not_durable_are_not_added_up() -> None:
    async def asks(turn: Turn) -> str:
        await turn.working("Looking.")
        return f"{(await turn.approve('Go?')).choice}"

    with client_of(asks, slug="asks") as client:
        task = await client.send()
        await client.send(answer(task, Part(text="yes")))
        code, text = await in_thread(told, task.id)
    assert (code, text.count("Looking.")) == (0, 1), text


@pytest.mark.parametrize(
    ("options", "text"),
    [
        (["none"], "There is no task 'none'."),
        (["--turn", "9"], "no such turn of it has begun"),
    ],
)
async def test_a_turn_that_there_is_not_is_refused(options: list[str], text: str) -> None:
    with client_of(says_less, **DURABLE) as client:
        task = await client.send()
        given = options if options == ["none"] else [task.id, *options]
        with pytest.raises(CommandError, match=text):
            await in_thread(told, *given)


def test_a_file_that_is_no_recording_is_refused() -> None:
    with pytest.raises(ValidationError, match=r"a2a_app\.recording\.v1"):
        Recording.from_text('{"format": "another"}')
