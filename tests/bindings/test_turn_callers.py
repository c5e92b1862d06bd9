"""What an agent knows of who sent a message, and what the project hands on of its request."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from django.contrib.auth.models import User
from django.core.checks import run_checks

from a2a_app import database, models
from a2a_app.agents import Turn, TurnCaller, registry
from a2a_app.agents.registry import make_agent
from a2a_app.models import ApiKey
from tests.bindings import resolvers, users
from tests.clients.json_rpc import JsonRpcClient, error_of
from tests.conftest import ChangeSettings
from tests.wire import message

WHO = users.__name__
SECONDS = 20


class Heard(list[TurnCaller]):
    """The callers of the turns, and what each turn is to do: it goes on when it is told to."""

    def __init__(self) -> None:
        self.begun, self.may_end = asyncio.Event(), asyncio.Event()

    async def run(self, turn: Turn) -> None:
        self.append(turn.caller)
        if turn.text == "ask":
            await turn.input_required("What?")
        elif turn.text == "wait":
            self.begun.set()
            await self.may_end.wait()


@pytest.fixture
async def heard(rpc: JsonRpcClient) -> AsyncIterator[Heard]:
    made = Heard()

    async def agent(turn: Turn) -> None:
        await made.run(turn)

    with registry.registered(make_agent(agent, slug="heard", attempts=2)):
        yield made
        made.may_end.set()


async def say(rpc: JsonRpcClient, text: str = "hello", **more: Any) -> Any:
    params = {"message": message(text, **more.pop("message", {})), **more.pop("params", {})}
    answer = await rpc.call("SendMessage", params, agent="heard", **more)
    return answer["result"]["task"] if "result" in answer else answer


async def test_a_turn_knows_a_caller_that_is_a_name(
    a2a: ChangeSettings, rpc: JsonRpcClient, heard: Heard
) -> None:
    a2a(AUTHENTICATION=[f"{WHO}.by_grant"], TENANT_RESOLVER=f"{resolvers.__name__}.by_name")
    await say(rpc, params={"tenant": "acme"}, X_User="ann")
    [caller] = heard
    assert (caller.owner, caller.name, caller.user) == ("name:ann", "ann", None)
    assert (caller.key, caller.scopes) == ("key 1", frozenset({"send", "read"}))
    assert caller.tenant == "acme"
    assert caller.handed_on == {}


async def test_a_turn_knows_a_user_and_the_key_of_each_message(
    a2a: ChangeSettings, rpc: JsonRpcClient, heard: Heard
) -> None:
    a2a(AUTHENTICATION=["a2a_app.authentication.ApiKeyAuth"])

    def issue() -> list[tuple[ApiKey, str]]:
        ann = User.objects.create(username="ann")
        keys = []
        for scopes, agents in (("send read", ""), ("", "heard")):
            row = ApiKey(user=ann, name="nightly", scopes=scopes, agents=agents)
            keys.append((row, row.issue()))
            row.save()
        return keys

    keys = await sync_to_async(issue)()
    task = await say(rpc, "ask", Authorization=f"Bearer {keys[0][1]}")
    await say(rpc, message={"taskId": task["id"]}, Authorization=f"Bearer {keys[1][1]}")
    assert [caller.key for caller in heard] == [str(row.pk) for row, _ in keys]
    assert [caller.scopes for caller in heard] == [{"send", "read"}, None]
    assert [caller.agents for caller in heard] == [None, {"heard"}]
    assert {(caller.name, caller.owner) for caller in heard} == {
        ("ann", f"user:{keys[0][0].user_id}")
    }
    assert heard[0].user.username == "ann"


async def test_a_turn_of_nobody_knows_nothing(
    a2a: ChangeSettings, rpc: JsonRpcClient, heard: Heard
) -> None:
    a2a(ANONYMOUS="share", AUTHENTICATION=[])
    await say(rpc)
    assert heard == [TurnCaller("", "", None, "", None, None, "")]


def stored() -> list[str]:
    return list(models.Run.objects.order_by("turn", "attempt").values_list("handed_on", flat=True))


@pytest.mark.parametrize("hook", ["hand_on", "hand_on_later"])
async def test_what_the_project_hands_on_is_encrypted_and_gone_when_the_turn_ends(
    a2a: ChangeSettings, rpc: JsonRpcClient, heard: Heard, hook: str
) -> None:
    a2a(AUTHENTICATION=[f"{WHO}.by_name"], HAND_ON=f"{WHO}.{hook}")
    who = {"X_User": "ann", "X_Token": "s3cret"}
    task = await say(rpc, "ask", **who)
    async with asyncio.timeout(SECONDS):
        while await database.run(stored) != [""]:
            pass
    immediately = {"params": {"configuration": {"returnImmediately": True}}}
    await say(rpc, "wait", message={"taskId": task["id"]}, **immediately, **who)
    async with asyncio.timeout(SECONDS):
        await heard.begun.wait()
    assert [caller.handed_on for caller in heard] == [
        {"token": "s3cret", "path": "/a2a/heard/"}
    ] * 2
    assert "s3cret" not in repr(heard)
    [_, sealed] = await database.run(stored)
    assert sealed and "s3cret" not in sealed
    await rpc.call("CancelTask", {"id": task["id"]}, agent="heard", **who)
    assert await database.run(stored) == ["", ""]


async def test_a_turn_that_waits_in_the_database_gets_what_was_handed_on(
    a2a: ChangeSettings, rpc: JsonRpcClient, heard: Heard
) -> None:
    """It is claimed from its row later, as a worker does."""
    a2a(AUTHENTICATION=[f"{WHO}.by_grant"], HAND_ON=f"{WHO}.hand_on", MAX_RUNS=1)
    immediately = {"params": {"configuration": {"returnImmediately": True}}}
    for text in ("wait", "at last"):
        await say(rpc, text, **immediately, X_User="ann", X_Token=text)
    heard.may_end.set()
    async with asyncio.timeout(SECONDS):
        while await models.Run.objects.filter(outcome="completed").acount() < 2:
            pass
    assert [caller.handed_on["token"] for caller in heard] == ["wait", "at last"]
    assert {(caller.key, caller.scopes) for caller in heard} == {
        ("key 1", frozenset({"send", "read"}))
    }
    assert await database.run(stored) == ["", ""]


async def test_a_hook_refuses_a_message_or_is_found_to_be_wrong(
    a2a: ChangeSettings, rpc: JsonRpcClient, heard: Heard
) -> None:
    a2a(AUTHENTICATION=[f"{WHO}.by_name"], HAND_ON=f"{WHO}.refuse")
    answer = await say(rpc, X_User="ann")
    assert answer["error"]["message"] == "No token for you."
    a2a(HAND_ON=f"{WHO}.hand_on_nonsense")
    assert error_of(await say(rpc, X_User="ann")) == (-32603, "INTERNAL")
    assert not heard and not await models.Task.objects.aexists()
    for path, reason in (("WHO", "cannot be called"), ("nothing", "nothing")):
        a2a(HAND_ON=f"{__name__}.{path}")
        [found] = [each for each in run_checks() if each.id == "a2a.E001"]
        assert reason in found.msg
