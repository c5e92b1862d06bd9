"""The official SDK's client of 0.3 against real servers, over all bindings of 0.3."""

import json
import subprocess
from collections.abc import Iterator
from typing import Any

import pytest

from tests.acceptance import installed
from tests.servers import ROOT, Process, served
from tests.wire import chunk_numbers

SDK = "a2a-sdk[grpc]==0.3.*"
SECONDS = 90
CLIENT = ROOT / "tests" / "acceptance" / "old_client.py"
Report = dict[str, Any]

# The first run of all installs the SDK.
pytestmark = pytest.mark.timeout(installed.SECONDS + SECONDS)


@pytest.fixture(scope="module")
def old_server() -> Iterator[Process]:
    with served("sqlite", "daphne", grpc=True) as process:
        yield process


@pytest.fixture(scope="module", params=["JSONRPC", "HTTP+JSON", "GRPC"])
def report(old_server: Process, request: pytest.FixtureRequest) -> Report:
    """Let the client do all that it can, and return what it saw."""
    command = [installed.python_with(SDK), CLIENT, old_server.url, request.param]
    done = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS)
    assert done.returncode == 0, done.stderr + old_server.output()
    seen: Report = json.loads(done.stdout)
    return {"transport": request.param, **seen}


def test_the_old_place_of_the_card_has_one_that_it_reads(report: Report) -> None:
    card = report["card"]
    assert (card["name"], card["protocolVersion"]) == ("Echo", "0.3.0")
    transports = [each["transport"] for each in card["additionalInterfaces"]]
    assert transports == ["JSONRPC", "HTTP+JSON", "GRPC"]


def test_it_sends_a_message_and_gets_the_task(report: Report) -> None:
    sent, found = report["sent"]["sent"], report["sent"]["found"]
    assert sent == found
    assert sent["status"]["state"] == "completed"
    assert [said["role"] for said in sent["history"]] == ["user"]
    [artifact] = sent["artifacts"]
    assert chunk_numbers(artifact) == [0, 1]
    # "If 0, the history will be unlimited", says the proto.
    assert bool(report["sent"]["brief"].get("history")) == (report["transport"] == "GRPC")


def test_it_streams_every_event_once_and_in_order(report: Report) -> None:
    first, *updates, last = report["streamed"]
    assert (first["kind"], first["status"]["state"]) == ("task", "submitted")
    chunks = [each["artifact"] for each in updates if "artifact" in each]
    assert [number for chunk in chunks for number in chunk_numbers(chunk)] == [0, 1, 2]
    assert (last["status"]["state"], last["final"]) == ("completed", True)


def test_it_has_the_text_of_a_generator_once(report: Report) -> None:
    [artifact] = report["yielded"]
    assert [part["text"] for part in artifact["parts"]] == ["Lisbon is lovely "]


def test_it_answers_what_the_agent_asks(report: Report) -> None:
    assert report["conversation"] == ["input-required", "input-required", "completed"]


def test_it_comes_back_to_a_stream_and_cancels_the_task(report: Report) -> None:
    seen = report["resubscribed and canceled"]
    assert seen["begun"] in ("submitted", "working")
    assert seen["first"]["kind"] == "task"
    assert seen["canceled"]["status"]["state"] == "canceled"
    assert (seen["last"]["status"]["state"], seen["last"]["final"]) == ("canceled", True)


def test_it_reads_a_refusal_as_an_error(report: Report) -> None:
    errors = report["errors"]
    if errors["getting"] in (-32001, "NOT_FOUND"):
        assert set(errors.values()) == {errors["getting"]}
    else:
        # The SDK looks at the media type of a resubscription before it looks at the status, and
        # raises an error of its own.
        assert errors == {"getting": 404, "canceling": 404, "streaming": 404, "resubscribing": 400}


def test_it_reads_a_fault_as_an_error(report: Report) -> None:
    codes = {
        # Over HTTP+JSON the SDK keeps the status only, and there is no envelope.
        "JSONRPC": {"cut off": -32700, "of another version": -32600, "broken": -32603},
        "HTTP+JSON": {"cut off": 400, "of another version": None, "broken": 500},
        "GRPC": {},
    }
    assert report["faults"] == codes[report["transport"]]
