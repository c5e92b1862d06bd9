"""Bytes above a limit go out as links, by every binding in every version."""

import json
from base64 import b64encode
from hashlib import sha256

import pytest

from a2a_app import conf, models, protocol
from a2a_app.agents import Agent, Message, Part, Turn, registry
from a2a_app.agents.registry import make_agent
from a2a_app.files.links import SCHEME
from tests.bindings.files.conftest import (
    ABOUT,
    LARGE,
    FilesClient,
    file_of,
    found_links,
    made,
    rows,
    said_with,
)
from tests.clients.json_rpc import JsonRpcClient, events_of
from tests.clients.ways import WAYS, Way, answers_of
from tests.conftest import ChangeSettings
from tests.receiver import receiving
from tests.storages import stored_names
from tests.wire import envelope, message


@pytest.mark.parametrize("way", WAYS, ids=str)
async def test_bytes_above_the_limit_come_back_as_links_by_every_way(
    rpc: JsonRpcClient, ann: FilesClient, way: Way
) -> None:
    params = {"message": said_with(file_of(version=way.version), version=way.version)}
    answers = await answers_of(await way.send(rpc, params, agent="courier", X_User="ann"))
    shown = json.dumps(answers)
    assert SCHEME not in shown
    assert b64encode(LARGE).decode() not in shown
    assert sha256(LARGE).hexdigest() in shown  # the agent has read it
    links = found_links(answers)
    assert len(links) >= 2  # what the client said, and what the agent passed on
    assert all(link.startswith("http://testserver/a2a/files/") for link in links)
    for link in links:
        assert await ann.bytes_of(link) == LARGE
    assert shown.count("all.bin") == shown.count("application/x-all") == len(links)
    assert await rows() == len(stored_names()) == 1


async def test_bytes_up_to_the_limit_stay_where_they_are(ann: FilesClient) -> None:
    limit = conf.current().raw_limit
    task = await ann.send(said_with(file_of(bytes(limit)), file_of(bytes(limit + 1))))
    small, large = task["history"][0]["parts"]
    assert small == file_of(bytes(limit))
    assert set(large) == {"url", *ABOUT}
    assert len(stored_names()) == 1


async def test_with_a_limit_of_0_all_bytes_stay_where_they_are(
    a2a: ChangeSettings, ann: FilesClient
) -> None:
    a2a(RAW_LIMIT=0)
    task = await ann.send(said_with(file_of()))
    assert task["history"][0]["parts"] == [file_of()]
    assert stored_names() == []


async def test_a_file_of_an_agent_is_a_link_in_streams_tasks_and_lists(ann: FilesClient) -> None:
    request = envelope("SendStreamingMessage", {"message": made(100_000)})
    response = await ann.post(request, A2A_Version="1.0")
    events = [event["result"] for event in await events_of(response)]
    task = await ann.result("GetTask", id=events[0]["task"]["id"])
    listed = await ann.result("ListTasks", includeArtifacts=True)
    for shown in (events, task, listed):
        [link] = found_links(shown)
        assert await ann.bytes_of(link) == bytes([7]) * 100_000
    assert task["artifacts"][0]["parts"][0]["filename"] == "made.bin"


async def test_chunks_with_bytes_are_links_while_the_artifact_grows_and_after(
    ann: FilesClient,
) -> None:
    async def growing(turn: Turn) -> None:
        """Write two files, and ask between turns."""
        artifact = turn.open_artifact(artifact_id="growing")
        for number in range(2):
            await artifact.write(Part(raw=bytes([number]) * 100_000))
        if turn.number == 1:
            await turn.input_required("More?")

    with registry.registered(make_agent(growing)):
        asked = await ann.send(message("go"), agent="growing")
        ended = await ann.send(message("go on", taskId=asked["id"]), agent="growing")
    for task in (asked, ended):
        links = found_links(task["artifacts"])
        assert [(await ann.bytes_of(link))[0] for link in links] == [0, 1]


async def test_the_log_and_the_rows_hold_neither_bytes_nor_links(ann: FilesClient) -> None:
    await ann.send(said_with(file_of()))
    await ann.send(made(100_000))
    stored = [body async for body in models.Event.objects.values_list("body", flat=True)]
    for model in (models.Message, models.Artifact):
        stored += [json.dumps(p) async for p in model.objects.values_list("parts", flat=True)]
    assert max(len(text) for text in stored) < 1000
    assert sum(SCHEME in text for text in stored) == 5
    assert not any("/a2a/files/" in text for text in stored)


async def test_an_agent_reads_the_files_of_history_and_conversation_in_a_thread_too(
    ann: FilesClient,
) -> None:
    def reader(turn: Turn) -> str:
        """Read all there is."""
        task = turn.wait(turn.task())
        talked = turn.wait(turn.context.messages())
        parts = [*task.history[0].parts, *talked[0].parts, Part(raw=b"inline")]
        return " ".join(str(len(turn.wait(turn.read(part)))) for part in parts)

    with registry.registered(make_agent(reader, input_modes=("*/*",))):
        task = await ann.send(said_with(file_of()), agent="reader")
    assert task["artifacts"][0]["parts"] == [{"text": f"{len(LARGE)} {len(LARGE)} 6"}]


@pytest.mark.parametrize(
    "part",
    [Part(text="x"), Part(data=None), Part(url="https://example.com/x"), Part(url=f"{SCHEME}x")],
    ids=["text", "data", "another URL", "a made-up reference"],
)
async def test_an_agent_that_reads_a_part_without_bytes_of_ours_gets_an_error(
    ann: FilesClient, part: Part
) -> None:
    async def reader(turn: Turn) -> str:
        """Read a part that is no file."""
        with pytest.raises(ValueError, match="The part has no bytes"):
            await turn.read(part)
        return "refused"

    with registry.registered(make_agent(reader)):
        task = await ann.send(message("go"), agent="reader")
    assert task["artifacts"][0]["parts"] == [{"text": "refused"}]


class Postman(Agent):
    """Answers at once, with what it was given and more."""

    slug = "postman"
    input_modes = ("*/*",)

    async def answer(self, message: Message) -> Message:
        """Send everything back."""
        assert all(part.raw is not None for part in message.parts)  # nothing is stored yet
        parts = [*message.parts, Part(raw=LARGE[::-1], filename="back")]
        return Message(message_id="1", role=protocol.Role.AGENT, parts=parts)


@pytest.mark.parametrize("way", WAYS, ids=str)
async def test_an_answer_without_a_task_has_links_too(
    rpc: JsonRpcClient, ann: FilesClient, way: Way
) -> None:
    with registry.registered(make_agent(Postman)):
        params = {"message": said_with(file_of(version=way.version), version=way.version)}
        answers = await answers_of(await way.send(rpc, params, agent="postman", X_User="ann"))
    links = found_links(answers)
    assert [await ann.bytes_of(link) for link in links] == [LARGE, LARGE[::-1]]
    assert await models.File.objects.filter(task=None, context__owner__gt="").acount() == 3


@pytest.mark.parametrize("public_url", ["", "https://agents.example.com"])
async def test_a_webhook_gets_the_link_that_its_client_would_get(
    a2a: ChangeSettings, ann: FilesClient, public_url: str
) -> None:
    a2a(PUSH_HOSTS=["127.0.0.1"], PUSH_ALLOW_HTTP=True, PUBLIC_URL=public_url)
    async with receiving() as receiver:
        configuration = {"taskPushNotificationConfig": {"url": receiver.url}}
        await ann.result("SendMessage", message=made(100_000), configuration=configuration)
        await receiver.gets(2)
    [link] = found_links(receiver.bodies)
    assert link.startswith(f"{public_url or 'http://testserver'}/a2a/files/")
    assert len(await ann.bytes_of(link)) == 100_000


async def test_a_webhook_of_0_3_gets_it_too(
    a2a: ChangeSettings, rpc: JsonRpcClient, ann: FilesClient
) -> None:
    a2a(PUSH_HOSTS=["127.0.0.1"], PUSH_ALLOW_HTTP=True)
    async with receiving() as receiver:
        params = {
            "message": said_with(file_of(version="0.3"), version="0.3"),
            "configuration": {"pushNotificationConfig": {"url": receiver.url}},
        }
        request = envelope("message/send", params)
        await rpc.post(request, path="/a2a/courier/", A2A_Version="0.3", X_User="ann")
        await receiver.gets(1)
    for link in found_links(receiver.bodies[-1]):
        assert await ann.bytes_of(link) == LARGE
    assert found_links(receiver.bodies[-1])
