"""Media types (section 3.1.1): what an agent takes, and what its client wants back."""

from typing import Any

import pytest

from a2a_app.agents import Agent, AgentSkill, Turn, registry
from a2a_app.agents.registry import make_agent
from tests.clients.http_json import HttpJsonClient, json_of, refusal_of, without_version
from tests.clients.json_rpc import JsonRpcClient, error_of
from tests.clients.ways import WAYS, Way, answers_of, code_of, task_id_of
from tests.wire import message

REFUSED = (-32005, "CONTENT_TYPE_NOT_SUPPORTED")
PNG = {"raw": "AAAA", "mediaType": "image/png"}


class Listener:
    """An agent that notes the output modes of its turns."""

    def __init__(self) -> None:
        self.modes: list[list[str]] = []

    async def run(self, turn: Turn) -> None:
        """Ask for more, each time."""
        self.modes.append(list(turn.accepted_output_modes))
        await turn.input_required("More?")


def takes(*modes: str, skill: tuple[str, ...] = (), slug: str = "takes") -> Agent:
    skills = [
        AgentSkill(id="a", name="A", description="Does.", tags=["a"], input_modes=list(skill))
    ]
    return make_agent(Listener().run, slug=slug, input_modes=modes, skills=skills)


@pytest.mark.parametrize(
    ("modes", "part", "fits"),
    [
        (("text/plain",), {"text": "hello"}, True),
        (("text/plain",), {"text": "hello", "mediaType": "TEXT/Plain; charset=utf-8"}, True),
        (("text/plain; charset=utf-8",), {"text": "hello"}, True),
        (("text/plain",), {"text": "# hello", "mediaType": "text/markdown"}, False),
        (("text/*",), {"text": "# hello", "mediaType": "text/markdown"}, True),
        (("text/plain",), {"data": {"a": 1}}, False),
        (("application/json",), {"data": None}, True),
        (("application/json",), {"text": "hello"}, False),
        (("application/json",), {"data": 1, "mediaType": "application/geo+json"}, False),
        (("text/plain",), PNG, False),
        (("image/png",), PNG, True),
        (("image/*",), PNG, True),
        (("*/*",), PNG, True),
        (("imag/*", "image/p"), PNG, False),
        (("text/plain",), {"url": "https://example.com/a.png", "mediaType": "image/png"}, False),
        (("text/plain",), {"url": "https://example.com/a.png"}, True),
        (("text/plain",), {"raw": "AAAA"}, True),
        (("text/plain",), {"raw": "AAAA", "mediaType": "*/*"}, False),
    ],
)
async def test_a_part_is_taken_where_a_declared_type_covers_its_own(
    rpc: JsonRpcClient, modes: tuple[str, ...], part: dict[str, Any], fits: bool
) -> None:
    with registry.registered(takes(*modes)):
        said = {"message": message(parts=[part])}
        answer = await rpc.call("SendMessage", said, agent="takes")
    assert ("result" in answer) == fits, answer
    assert fits or error_of(answer) == REFUSED


def message_with(*parts: dict[str, Any]) -> dict[str, Any]:
    return {"message": message(parts=[{"text": "see"}, *parts])}


async def test_the_error_names_the_part_its_type_and_what_is_taken(rpc: JsonRpcClient) -> None:
    with registry.registered(takes("text/plain", skill=("text/csv", "text/plain"))):
        answer = await rpc.call("SendMessage", message_with(PNG), agent="takes")
        refusal = await HttpJsonClient("takes").post("/message:send", message_with(PNG))
        csv = {"raw": "AAAA", "mediaType": "text/csv"}
        assert "result" in await rpc.call("SendMessage", message_with(csv), agent="takes")
    told = "Part 2 of the message is image/png; the agent takes text/plain, text/csv."
    assert answer["error"]["message"] == json_of(refusal)["error"]["message"] == told
    named = {"partIndex": "1", "mediaType": "image/png", "supported": "text/plain, text/csv"}
    assert answer["error"]["data"][0]["metadata"] == named
    assert refusal_of(refusal) == (400, REFUSED[1])


@pytest.mark.parametrize("way", WAYS, ids=str)
async def test_a_message_that_is_not_taken_makes_no_task_whichever_way_it_comes(
    rpc: JsonRpcClient, way: Way
) -> None:
    part: dict[str, Any] = {"file": {"bytes": "AAAA", "mimeType": "image/png"}}
    params = message_with(PNG if way.version == "1.0" else part)
    with registry.registered(takes("text/plain")):
        [answer] = await answers_of(await way.send(rpc, params, agent="takes"))
        listed = await rpc.result("ListTasks", agent="takes")
    assert code_of(answer)[0] in REFUSED
    assert listed["tasks"] == []


async def test_a_later_message_of_a_task_is_held_to_the_same(rpc: JsonRpcClient) -> None:
    with registry.registered(takes("text/plain")):
        said = {"message": message()}
        [first] = await answers_of(await WAYS[0].send(rpc, said, agent="takes"))
        more = {"message": message(parts=[PNG], taskId=task_id_of(first))}
        assert error_of(await rpc.call("SendMessage", more, agent="takes")) == REFUSED
        task = await rpc.result("GetTask", id=task_id_of(first), agent="takes")
    assert len([each for each in task["history"] if each["role"] == "ROLE_USER"]) == 1


async def test_data_of_0_3_is_json(rpc: JsonRpcClient) -> None:
    said = {"messageId": "1", "role": "ROLE_USER", "content": [{"data": {"data": {"a": 1}}}]}
    with registry.registered(takes("application/json")):
        await without_version("takes").result("POST", "/v1/message:send", {"message": said})


@pytest.mark.parametrize("way", WAYS, ids=str)
async def test_the_modes_that_a_client_accepts_reach_each_turn(
    rpc: JsonRpcClient, way: Way
) -> None:
    listener = Listener()
    wanted: list[list[str]] = [["image/png", "text/plain"], [], ["application/json"]]
    with registry.registered(make_agent(listener.run, slug="listens")):
        named: dict[str, str] = {}
        for modes in wanted:
            params = {
                "message": message(**named),
                "configuration": {"acceptedOutputModes": modes} if modes else {},
            }
            answer, *_ = await answers_of(await way.send(rpc, params, agent="listens"))
            named = named or {"taskId": task_id_of(answer)}
    assert listener.modes == wanted


async def test_of_a_long_media_type_the_error_shows_the_beginning(rpc: JsonRpcClient) -> None:
    part = {"raw": "AAAA", "mediaType": "image/" + "a" * 5000}
    with registry.registered(takes("text/plain")):
        answer = await rpc.call("SendMessage", message_with(part), agent="takes")
        assert len(answer["error"]["data"][0]["metadata"]["mediaType"]) == 100
    with registry.registered(takes(part["mediaType"], "text/plain")):
        assert "result" in await rpc.call("SendMessage", message_with(part), agent="takes")


async def test_the_travel_desk_takes_its_destination_as_data(rpc: JsonRpcClient) -> None:
    said = {**message(), "parts": [{"data": {"destination": "Oslo"}}]}
    task = (await rpc.result("SendMessage", agent="travel-desk", message=said))["task"]
    assert "Oslo" in task["status"]["message"]["parts"][0]["text"]
