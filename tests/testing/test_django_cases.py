"""The clients of `a2a_app.testing` in each of Django's test cases, on whichever database."""

import asyncio
import threading
from typing import Any

import pytest
from asgiref.sync import async_to_sync
from django.contrib.auth.models import User
from django.db import connection, connections, transaction
from django.test import SimpleTestCase, TestCase, TransactionTestCase

from a2a_app import models
from a2a_app.agents import TaskState, Turn
from a2a_app.client import RemoteAgent
from a2a_app.testing import AsyncClient, Client, agent_for_test, app_for_test, text_of


async def greeter(turn: Turn) -> None:
    """Greet the caller, and remember it in the database, as asynchronous code does."""
    await turn.working("Looking…")
    names = [user.username async for user in User.objects.order_by("username")]
    await User.objects.acreate(username=f"friend of {turn.user}")
    await turn.artifact(f"{turn.user} of {len(names)}")


def clerk(turn: Turn) -> str:
    """Do the same in a thread of its own, in a transaction of its own."""
    turn.working()
    with transaction.atomic():
        names = list(User.objects.values_list("username", flat=True))
        User.objects.create(username=f"friend of {turn.user}")
    turn.working("Nearly…")
    return f"{turn.user} of {len(names)}"


class Cases:
    """What must hold in each kind of test case."""

    def test_an_agent_sees_what_the_test_has_stored_and_the_other_way_round(self) -> None:
        alice = User.objects.create_user("alice")
        with Client(greeter, user=alice) as client:
            answer = client.send("hello")
            assert (answer.state, answer.text) == (TaskState.COMPLETED, "alice of 1")
            assert client.get(answer).text == "alice of 1"
            assert [task.task_id for task in client.list()] == [answer.task_id]
        assert User.objects.filter(username="friend of alice").exists()
        assert models.Task.objects.get().user_id == alice.pk

    def test_an_agent_without_async_sees_it_too(self) -> None:
        alice = User.objects.create_user("alice")
        with Client(clerk, user=alice) as client:
            events = list(client.stream("hello"))
        assert text_of(events) == "alice of 1"
        assert [event.number for event in events] == list(range(1, len(events) + 1))
        assert User.objects.filter(username="friend of alice").exists()

    async def test_a_test_with_async_has_a_client_of_its_own(self) -> None:
        alice = await User.objects.acreate(username="alice")
        async with AsyncClient(clerk, user=alice) as one, AsyncClient(greeter) as other:
            assert (await one.send("hello")).text == "alice of 1"
            assert text_of([event async for event in other.stream("hello")]) == "None of 2"
        assert await User.objects.acount() == 3

    async def test_a_test_with_async_has_turns_on_its_own_event_loop(self) -> None:
        loops: list[Any] = []

        async def notes(turn: Turn) -> None:
            loops.append(asyncio.get_running_loop())

        async with AsyncClient(notes) as client:
            await client.send("hello")
        assert loops == [asyncio.get_running_loop()]

    def test_code_without_async_may_ask_an_agent_of_the_project(self) -> None:
        alice = User.objects.create_user("alice")

        async def ask() -> str:
            async with RemoteAgent("clerk", user=alice) as agent:
                return (await agent.send("hello")).text

        with agent_for_test(clerk), app_for_test():
            assert async_to_sync(ask)() == "alice of 1"
            assert models.Task.objects.get().user_id == alice.pk

    def test_nothing_is_left_of_an_earlier_test(self) -> None:
        assert not User.objects.exists()
        assert not models.Task.objects.exists()


class TestInATransaction(Cases, TestCase):
    def test_two_turns_at_once_do_not_meet_in_one_transaction(self) -> None:
        with Client(clerk) as client:
            begun = [client.send("hello", return_immediately=True) for _ in range(5)]
            for task in begun:
                User.objects.filter(username="x").update(username="y")
                assert client.wait(task).state in (TaskState.COMPLETED, TaskState.FAILED)
            ended = [client.get(task) for task in begun]
        # The first has stored the friend, and for the others the name is taken.
        assert [task.state for task in ended].count(TaskState.COMPLETED) == 1
        assert User.objects.count() == 1

    def test_a_call_may_stand_in_a_transaction_of_the_test(self) -> None:
        with Client(greeter) as client, transaction.atomic():
            User.objects.create(username="alice")
            assert client.send("hello").text == "None of 1"

    def test_a_statement_whose_rows_are_not_read_yet_keeps_transactions_of_others_waiting(
        self,
    ) -> None:
        raised: list[Exception] = []

        def open_transaction() -> None:
            try:
                with transaction.atomic():
                    User.objects.count()
            except Exception as error:
                raised.append(error)

        other = threading.Thread(target=open_transaction)
        with Client(greeter), connection.cursor() as cursor:
            cursor.execute("INSERT INTO auth_group (name) VALUES ('one') RETURNING id")
            other.start()
            other.join(0.1)
            assert connection.vendor != "sqlite" or other.is_alive()
            cursor.fetchall()
            cursor.close()
            other.join(10)
        assert not other.is_alive() and raised == []

    def test_a_refusal_by_the_database_does_not_end_the_transaction_of_the_test(self) -> None:
        with Client(greeter) as client:
            with transaction.atomic(), pytest.raises(ValueError), transaction.atomic():
                User.objects.create(username="alice")
                raise ValueError
            assert client.send("hello").text == "None of 0"

    def test_a_verb_in_a_transaction_says_what_is_wrong_with_it(self) -> None:
        def greedy(turn: Turn) -> None:
            with transaction.atomic(), pytest.MonkeyPatch.context() as patched:
                User.objects.create(username="alice")
                patched.setattr("a2a_app.testing.connections.PATIENCE_SECONDS", 0.05)
                turn.complete()

        with Client(greedy) as client, self.assertLogs("a2a_app", "ERROR") as logs:
            assert client.send("hello").state is TaskState.FAILED
        assert "must call no verb inside `atomic()`" in "".join(logs.output)


class TestWithRealTransactions(Cases, TransactionTestCase):
    databases = {"default"}  # noqa: RUF012  # as Django has it


class TestWithoutDatabase(SimpleTestCase):
    def setUp(self) -> None:
        # One that an earlier test has left open would be no new access.
        connections.close_all()

    def test_a_client_needs_a_test_that_may_use_the_database(self) -> None:
        with pytest.raises(AssertionError, match="not allowed in Simple"), Client(greeter):
            pass

    async def test_so_does_one_for_asynchronous_code(self) -> None:
        with pytest.raises(AssertionError, match="not allowed in Simple"):
            async with AsyncClient(greeter):
                pass

    def test_nothing_has_changed_once_no_client_is_left(self) -> None:
        assert "a2a_app" not in type(connections._connections).__module__  # type: ignore[attr-defined]
        assert "a2a_app" not in transaction.Atomic.__enter__.__module__
