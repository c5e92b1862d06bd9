"""Idempotent sending (section 3.3.1): under one key, a message is taken once."""

import asyncio
import json
from datetime import timedelta
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from django.utils import timezone

from a2a_app import models
from a2a_app.agents import Agent, Message, Turn, registry
from a2a_app.agents.extensions import IDEMPOTENT_SENDING
from a2a_app.agents.registry import make_agent
from a2a_app.store.writes.idempotency import PRUNE_LIMIT
from tests.clients.json_rpc import JsonRpcClient, bad_fields
from tests.clients.ways import WAYS, Way, answers_of, code_of, task_id_of
from tests.servers import ROOT
from tests.wire import UNKNOWN_TASK, message, strict_json

INVALID = (-32602, "INVALID_PARAMS")
KEY = {"Idempotency_Key": "the-key"}


class Counting:
    """An agent that counts its turns, and ends each when it may."""

    def __init__(self) -> None:
        self.turns = 0
        self.may_end = asyncio.Event()
        self.may_end.set()

    async def run(self, turn: Turn) -> None:
        """Ask for more, each time."""
        self.turns += 1
        await turn.working("Counting…")
        await self.may_end.wait()
        await turn.input_required(f"{self.turns}, and more?")


class Answering(Agent):
    """Answers without a task."""

    slug = "answers"
    answers = 0
    both = asyncio.Barrier(1)

    async def answer(self, message: Message) -> str:
        """Count the answers."""
        await self.both.wait()
        self.answers += 1
        return f"answer {self.answers}"


def counted(counting: Counting, **declared: Any) -> Agent:
    return make_agent(counting.run, slug="counts", **declared)


async def sent(
    rpc: JsonRpcClient, way: Way, said: dict[str, Any], **headers: str
) -> list[dict[str, Any]]:
    agent = headers.pop("agent", "counts")
    return await answers_of(await way.send(rpc, {"message": said}, agent=agent, **headers))


async def keys() -> int:
    return await models.IdempotencyKey.objects.acount()


@pytest.mark.parametrize("way", WAYS, ids=str)
async def test_a_message_sent_again_by_any_way_joins_the_first(
    rpc: JsonRpcClient, way: Way
) -> None:
    counting = Counting()
    with registry.registered(counted(counting)):
        first, *_ = await sent(rpc, WAYS[0], message("hello"), **KEY)
        # Another messageId: libraries make a new one each time.
        again, *more = await sent(rpc, way, message("hello"), **KEY)
        assert task_id_of(again) == task_id_of(first)
        # A stream of 0.3 says its last status again, as an event that is final.
        final = [event.get("statusUpdate", event)["final"] for event in more]
        assert final == [True] * (way.streams and way.version == "0.3")
        listed = await rpc.result("ListTasks", agent="counts")
    assert counting.turns == 1
    assert [task["id"] for task in listed["tasks"]] == [task_id_of(first)]


@pytest.mark.parametrize("way", WAYS, ids=str)
async def test_a_message_that_is_still_worked_on_is_joined_and_waited_for(
    rpc: JsonRpcClient, way: Way
) -> None:
    counting = Counting()
    counting.may_end.clear()
    with registry.registered(counted(counting)):
        params = {"message": message("hello"), "configuration": {"returnImmediately": True}}
        [first] = await answers_of(await WAYS[0].send(rpc, params, agent="counts", **KEY))
        async with asyncio.TaskGroup() as group:
            joined = group.create_task(sent(rpc, way, message("hello"), **KEY))
            subscribed = await rpc.post(
                {"jsonrpc": "2.0", "id": 1, "method": "SubscribeToTask",
                 "params": {"id": task_id_of(first)}},
                path="/a2a/counts/", A2A_Version="1.0",
            )  # fmt: skip  # a request on two lines
            assert subscribed.status_code == 200
            counting.may_end.set()
        answers = joined.result()
    assert task_id_of(answers[0]) == task_id_of(first)
    assert "1, and more?" in json.dumps(answers[-1])
    assert counting.turns == 1


@pytest.mark.parametrize("way", WAYS, ids=str)
async def test_other_content_under_the_same_key_is_refused(rpc: JsonRpcClient, way: Way) -> None:
    counting = Counting()
    with registry.registered(counted(counting)):
        await sent(rpc, WAYS[0], message("hello"), **KEY)
        [refused] = await sent(rpc, way, message("goodbye"), **KEY)
    assert code_of(refused)[0] in INVALID
    assert "Idempotency-Key was used before, for another message" in code_of(refused)[1]
    assert counting.turns == 1


@pytest.mark.parametrize(
    "other",
    [
        {"metadata": {"a": 1}},
        {"configuration": {"acceptedOutputModes": ["text/csv"]}},
        {"message": message("hello", contextId="another")},
        {"message": message("hello", metadata={"a": 1})},
    ],
)
async def test_content_is_more_than_text(rpc: JsonRpcClient, other: dict[str, Any]) -> None:
    with registry.registered(counted(Counting())):
        await sent(rpc, WAYS[0], message("hello"), **KEY)
        params = {"message": message("hello"), **other}
        answer = await rpc.call("SendMessage", params, agent="counts", **KEY)
        assert bad_fields(answer) == ["Idempotency-Key"]


async def test_without_a_key_a_message_sent_again_is_another(rpc: JsonRpcClient) -> None:
    counting = Counting()
    with registry.registered(counted(counting)):
        said = message("hello")
        [first], [second] = await sent(rpc, WAYS[0], said), await sent(rpc, WAYS[0], said)
    assert task_id_of(first) != task_id_of(second)
    assert counting.turns == 2
    assert await keys() == 0


async def test_a_later_message_of_a_task_is_taken_once_too(rpc: JsonRpcClient) -> None:
    counting = Counting()
    with registry.registered(counted(counting)):
        [first] = await sent(rpc, WAYS[0], message("hello"), **KEY)
        said = message("more", taskId=task_id_of(first))
        for way in WAYS:
            await sent(rpc, way, said, Idempotency_Key="the next")
        assert counting.turns == 2
        await rpc.result("CancelTask", agent="counts", id=task_id_of(first))
        # Its task takes no more messages, and this one was taken before.
        [again] = await sent(rpc, WAYS[0], said, Idempotency_Key="the next")
    assert again["task"]["status"]["state"] == "TASK_STATE_CANCELED"


@pytest.mark.parametrize("way", WAYS, ids=str)
async def test_an_agent_may_know_messages_by_their_id(rpc: JsonRpcClient, way: Way) -> None:
    counting = Counting()
    with registry.registered(counted(counting, idempotent=True)):
        said = message("hello")
        first, *_ = await sent(rpc, WAYS[0], said)
        again, *_ = await sent(rpc, way, said)
        assert task_id_of(again) == task_id_of(first)
        [other] = await sent(rpc, way, {**said, "parts": [{"text": "goodbye"}]})
        assert "message.messageId was used before" in code_of(other)[1]
        # The header says more.
        third, *_ = await sent(rpc, way, said, **KEY)
        assert task_id_of(third) != task_id_of(first)
    assert counting.turns == 2


@pytest.mark.parametrize("way", WAYS, ids=str)
async def test_an_answer_without_a_task_comes_again(rpc: JsonRpcClient, way: Way) -> None:
    answering = Answering()
    answering.complete_declaration("Answering", "Answers.")
    with registry.registered(answering):
        first = await sent(rpc, WAYS[0], message("hello"), agent="answers", **KEY)
        again = await sent(rpc, way, message("hello"), agent="answers", **KEY)
        assert "answer 1" in json.dumps(first) and "answer 1" in json.dumps(again)
        assert len(again) == 1
    assert answering.answers == 1
    assert await models.Message.objects.acount() == 2


async def test_of_two_answers_at_the_same_moment_one_is_kept_and_both_get_it(
    rpc: JsonRpcClient,
) -> None:
    answering = Answering()
    answering.both = asyncio.Barrier(2)
    answering.complete_declaration("Answering", "Answers.")
    with registry.registered(answering):
        both = await asyncio.gather(
            *[sent(rpc, way, message("hello"), agent="answers", **KEY) for way in WAYS[:2]]
        )
    told = {each["message"]["parts"][0]["text"] for [each] in both}
    assert len(told) == 1
    assert await models.Message.objects.acount() == 2


@pytest.mark.slow
async def test_many_at_the_same_moment_make_one_task(rpc: JsonRpcClient) -> None:
    counting = Counting()
    with registry.registered(counted(counting)):
        answers = await asyncio.gather(
            *[sent(rpc, way, message("hello"), **KEY) for way in WAYS * 3]
        )
    assert len({task_id_of(first) for first, *_ in answers}) == 1
    assert counting.turns == 1
    assert await models.Task.objects.acount() == await models.Run.objects.acount() == 1


async def test_a_key_is_its_callers_own_and_for_one_agent(rpc: JsonRpcClient, a2a: Any) -> None:
    a2a(ANONYMOUS="refuse", AUTHENTICATION=["tests.bindings.users.by_name"])
    counting = Counting()
    other = make_agent(counting.run, slug="other")
    with registry.registered(counted(counting), other):
        said = message("hello")
        answers = [
            await sent(rpc, WAYS[0], said, agent=agent, X_User=user, **KEY)
            for agent, user in (("counts", "ann"), ("counts", "bob"), ("other", "ann"))
        ]
    assert len({task_id_of(first) for first, *_ in answers}) == 3


async def test_a_key_that_has_expired_is_new_and_old_ones_are_forgotten(rpc: JsonRpcClient) -> None:
    counting = Counting()
    with registry.registered(counted(counting)):
        for key in ("a", "b", "c", "the-key"):
            await sent(rpc, WAYS[0], message("hello"), Idempotency_Key=key)
        past = timezone.now() - timedelta(seconds=1)
        await models.IdempotencyKey.objects.aupdate(expires_at=past)
        await sent(rpc, WAYS[0], message("goodbye"), **KEY)
        assert counting.turns == 5
        assert await keys() <= 4 - PRUNE_LIMIT + 1
        for _ in range(2):
            await sent(rpc, WAYS[0], message("goodbye"), **KEY)
        assert await keys() == 1


async def test_the_setting_says_for_how_long_a_key_is_kept(rpc: JsonRpcClient, a2a: Any) -> None:
    a2a(IDEMPOTENCY_SECONDS=60)
    with registry.registered(counted(Counting())):
        await sent(rpc, WAYS[0], message("hello"), **KEY)
    key = await models.IdempotencyKey.objects.aget()
    assert key.expires_at - key.created_at < timedelta(seconds=61)


async def test_a_refused_message_uses_up_no_key_and_a_task_takes_its_key_along(
    rpc: JsonRpcClient,
) -> None:
    counting = Counting()
    with registry.registered(counted(counting)):
        [refused] = await sent(rpc, WAYS[0], message("hello", taskId=UNKNOWN_TASK), **KEY)
        assert code_of(refused)[0] == -32001
        assert await keys() == 0
        [first] = await sent(rpc, WAYS[0], message("hello"), **KEY)
        task = models.Task.objects.get
        await sync_to_async(lambda: task(pk=task_id_of(first)).delete())()
        assert await keys() == 0


@pytest.mark.parametrize("key", ["x" * 256, "Schlüssel"])
async def test_a_key_that_is_none_is_named(rpc: JsonRpcClient, key: str) -> None:
    said = {"message": message()}
    answer = await rpc.call("SendMessage", said, agent="echo", Idempotency_Key=key)
    assert bad_fields(answer) == ["Idempotency-Key"]


def test_the_page_on_the_extension_shows_what_cards_say() -> None:
    page = (ROOT / "docs" / "extensions" / "idempotent-sending.md").read_text()
    declaration = page.partition("```json\n")[2].partition("```")[0]
    assert strict_json(declaration) == IDEMPOTENT_SENDING.to_dict()
    by_id = counted(Counting(), idempotent=True).declared_extensions[-1]
    assert (by_id.uri, by_id.params) == (IDEMPOTENT_SENDING.uri, {"messageId": True})
