"""Sizes: arrays of a message may have so many elements, and an error names field and limit."""

from typing import Any

import pytest

from tests.clients.json_rpc import JsonRpcClient
from tests.clients.ways import WAYS, Way, answers_of, code_of, task_id_of
from tests.conftest import ChangeSettings
from tests.wire import WEBHOOK, load_message, message

SMALL: dict[str, Any] = {"MAX_PARTS": 3, "MAX_REFERENCES": 2}


def with_many(field: str, count: int) -> dict[str, Any]:
    """Make parameters in which an array has many elements."""
    said, configuration = load_message(), {}
    if field == "parts":
        said["parts"] += [{"text": ""}] * (count - 1)
    elif field == "acceptedOutputModes":
        configuration[field] = ["text/plain"] * count
    else:
        said[field] = [f"https://example.com/{index}" for index in range(count)]
    return {"message": said, **({"configuration": configuration} if configuration else {})}


async def ask(rpc: JsonRpcClient, way: Way, params: dict[str, Any], agent: str = "load") -> Any:
    answer, *_ = await answers_of(await way.send(rpc, params, agent=agent))
    return answer


@pytest.mark.parametrize("way", [way for way in WAYS if not way.streams], ids=str)
@pytest.mark.parametrize(
    ("field", "most"),
    [
        ("message.parts", 3),
        ("message.referenceTaskIds", 2),
        ("message.extensions", 100),
        ("configuration.acceptedOutputModes", 100),
    ],
)
async def test_an_array_that_is_too_long_is_refused_by_its_name_and_limit(
    rpc: JsonRpcClient, a2a: ChangeSettings, way: Way, field: str, most: int
) -> None:
    a2a(**SMALL)
    name = field.partition(".")[2]
    code, text = code_of(await ask(rpc, way, with_many(name, most + 1)))
    assert code in (-32602, "INVALID_PARAMS")
    assert f"{name} must not have more than {most} elements" in text.replace("content", "parts")
    # As many as that are taken, by an agent that does not mind what is said.
    assert task_id_of(await ask(rpc, way, with_many(name, most), agent="echo"))


async def test_the_limits_are_those_of_the_settings(rpc: JsonRpcClient) -> None:
    way = WAYS[0]
    for name, most in (("parts", 1_000), ("referenceTaskIds", 100)):
        _, text = code_of(await ask(rpc, way, with_many(name, most + 1)))
        assert f"must not have more than {most} elements" in text


async def test_a_url_of_megabytes_is_no_webhook(rpc: JsonRpcClient) -> None:
    config = {"url": WEBHOOK + "x" * 5_000_000}
    params = {"message": message(), "configuration": {"taskPushNotificationConfig": config}}
    for way in WAYS[:1]:
        _, text = code_of(await ask(rpc, way, params))
        assert "taskPushNotificationConfig.url must not be longer than" in text
