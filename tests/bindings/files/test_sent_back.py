"""Links that clients send back: their own, those of others, and texts that look like one."""

from typing import Any

import pytest
from asgiref.sync import sync_to_async

from a2a_app import models
from a2a_app.agents import Agent, Message, Turn, registry
from a2a_app.agents.registry import make_agent
from a2a_app.files.links import SCHEME
from tests.bindings.files.conftest import FilesClient, file_of, found_links, made, rows, said_with
from tests.clients.json_rpc import JsonRpcClient, bad_fields
from tests.clients.ways import WAYS, Way, answers_of, code_of
from tests.conftest import ChangeSettings
from tests.storages import stored_names


async def test_a_link_of_the_clients_own_may_be_sent_to_any_agent_however_old_it_is(
    a2a: ChangeSettings, ann: FilesClient
) -> None:
    [link] = found_links(await ann.send(made(100_000)))
    a2a(LINK_SECONDS=1e-9)
    assert (await ann.get(link)).status_code == 403

    async def reader(turn: Turn) -> str:
        """Read one file."""
        return str(len(await turn.read(turn.message.parts[0])))

    with registry.registered(make_agent(reader, input_modes=("*/*",))):
        task = await ann.send(said_with({"url": link}), agent="reader")
    assert task["artifacts"][0]["parts"] == [{"text": "100000"}]
    a2a(LINK_SECONDS=60)
    # One file, of two tasks: it stays for the one when the other goes.
    assert (await rows(), len(stored_names())) == (2, 1)
    await sync_to_async(lambda: models.Task.objects.earliest("id").delete())()
    [again] = found_links(task["history"])
    assert len(await ann.bytes_of(again)) == 100_000
    await sync_to_async(lambda: models.Task.objects.get().delete())()
    assert stored_names() == []


async def test_a_link_of_another_caller_stays_a_plain_url(
    ann: FilesClient, bob: FilesClient
) -> None:
    [link] = found_links(await ann.send(made(100_000)))
    task = await bob.send(said_with({"url": link}), agent="mirror")
    assert task["history"][0]["parts"] == [{"url": link}]
    assert (await bob.get(link)).status_code == 404
    assert await rows() == 1


@pytest.mark.parametrize("way", WAYS, ids=str)
async def test_a_reference_that_is_not_the_clients_is_a_bad_field(
    rpc: JsonRpcClient, ann: FilesClient, way: Way
) -> None:
    await ann.send(made(100_000))
    key = await sync_to_async(lambda: models.File.objects.get().pk)()
    for url in (f"{SCHEME}{key}", f"{SCHEME}x", SCHEME):
        part = {"url": url} if way.version == "1.0" else {"kind": "file", "file": {"uri": url}}
        params = {"message": said_with(part, version=way.version)}
        response = await way.send(rpc, params, agent="courier", X_User="bob")
        [refused] = await answers_of(response)
        assert "names a file that there is not, or is not yours" in code_of(refused)[1]
    assert await models.Task.objects.acount() == 1


async def test_a_bad_reference_is_named_also_where_the_agent_would_answer_at_once(
    rpc: JsonRpcClient, bob: FilesClient
) -> None:
    class Careless(Agent):
        """Answers whatever comes."""

        slug = "careless"
        input_modes = ("*/*",)

        async def answer(self, message: Message) -> str:
            """Say the same."""
            return "yes"

    with registry.registered(make_agent(Careless)):
        said = said_with({"text": "x"}, {"url": f"{SCHEME}x"})
        answer = await bob.call("SendMessage", {"message": said}, agent="careless")
    assert bad_fields(answer) == ["message.parts[1].url"]


async def test_data_and_text_that_look_like_a_reference_go_out_as_they_came(
    ann: FilesClient, rpc: JsonRpcClient
) -> None:
    [link] = found_links(await ann.send(made(100_000)))
    key = await sync_to_async(lambda: str(models.File.objects.get().pk))()
    reference = f"{SCHEME}{key}"
    parts: list[dict[str, Any]] = [
        {"data": {"url": reference, "parts": [{"url": reference}]}},
        {"text": f'"url":"{reference}"'},
        {"text": "x", "metadata": {"url": reference}},
        file_of(),
    ]
    task = await ann.send(said_with(*parts), agent="mirror")
    assert task["history"][0]["parts"][:3] == parts[:3]
    assert found_links(task["history"][0]["parts"][3]) != []
    assert link


async def test_the_same_bytes_sent_again_under_a_key_join_the_first_and_are_kept_once(
    rpc: JsonRpcClient, ann: FilesClient
) -> None:
    said = said_with(file_of())
    for _ in range(2):
        answer = await rpc.call(
            "SendMessage", {"message": said}, agent="courier", X_User="ann", Idempotency_Key="k"
        )
        assert "result" in answer, answer
    assert await models.Task.objects.acount() == 1
    assert (await rows(), len(stored_names())) == (1, 1)
