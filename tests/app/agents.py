"""Agents that only tests need."""

import asyncio
import json
import logging
import os
import sqlite3
import time
from contextlib import closing, suppress
from hashlib import sha256
from pathlib import Path
from uuid import uuid4

from a2a_app import conf
from a2a_app.agents import Agent, AgentExtension, AgentSkill, Part, Turn, agent
from a2a_app.protocol import Message
from a2a_app.store.refusals import RunLostError

logger = logging.getLogger("a2a_app.tests")

MIRROR_EXTENSION = "https://example.com/extensions/mirror"


@agent(
    name="Mirror",
    input_modes=("*/*",),
    extensions=[AgentExtension(uri=MIRROR_EXTENSION)],
    skills=[
        AgentSkill(
            id="mirror",
            name="Mirror",
            description="Returns what it was told.",
            tags=["test"],
            input_modes=["*/*"],
            output_modes=["application/json"],
        )
    ],
)
async def mirror(turn: Turn) -> None:
    """Return what it was told, as data."""
    told = {
        "metadata": dict(turn.metadata),
        "message_metadata": turn.message.metadata,
        "parts": [part.to_dict() for part in turn.message.parts],
        "accepted_output_modes": list(turn.accepted_output_modes),
        "extensions": list(turn.extensions),
    }
    await turn.artifact(told, name="mirror")


@agent(name="Stubborn")
def stubborn(turn: Turn) -> None:
    """Wait, in a thread, until it is canceled, and try to say something after that."""
    turn.working()
    # The run may be stopped between the look and the read, which is refused then.
    with suppress(RunLostError):
        while not turn.is_canceled:
            turn.wait(turn.task())
    try:
        turn.artifact("too late")
    except RunLostError:
        logger.warning("stubborn: the next write was refused")


@agent(name="Steps")
@agent(name="Steps, three times at most", slug="steps-thrice", attempts=3)
@agent(name="Steps, as often as it takes", slug="steps-for-ever", attempts=10)
async def steps(turn: Turn) -> None:
    """Take so many steps, and name at each the attempt and the step."""
    told = json.loads(turn.text)
    await turn.working()
    artifact = turn.open_artifact(name="steps")
    for step in range(told["steps"]):
        await artifact.write(f"{turn.attempt} {step}", last=step == told["steps"] - 1)
        await asyncio.sleep(told["delay"])


@agent(name="Courier", input_modes=("*/*",))
async def courier(turn: Turn) -> None:
    """Describe the files that it is sent, and pass them on; or make one of some size."""
    for part in turn.message.parts:
        if part.text is not None:
            told = json.loads(part.text)
            content = bytes([told["fill"]]) * told["size"]
            await turn.artifact(Part(raw=content, filename="made.bin"), name="made")
        else:
            content = await turn.read(part)
            seen = {"size": len(content), "sha256": sha256(content).hexdigest()}
            await turn.artifact(seen, name="seen")
            await turn.artifact(part, name="passed on")


@agent(name="Fatal", attempts=3)
async def fatal(turn: Turn) -> None:
    """End the process, as a fault in a library does."""
    os._exit(9)


@agent(name="Speaker", input_modes=("*/*",))
async def speaker(turn: Turn) -> None:
    """Say what it is told, of any kind; a chunk `{"file": …}` waits until there is the file."""
    for said in json.loads(turn.text):
        if "part" in said:
            await turn.artifact(Part.from_dict(said["part"]), name=said.get("name", "part"))
        elif "chunks" in said:
            await _write(turn, said["chunks"], name=said.get("name", "chunks"))
        elif "raise" in said:
            raise RuntimeError(said["raise"])
        elif "approve" in said:
            decision = await turn.approve(said["approve"], permission=said["permission"])
            await turn.artifact(f"{decision.choice}: {decision.comment}", name="decision")
        elif "usage" in said:
            await turn.usage(**said["usage"])
        else:
            await turn.working(said["status"])


async def _write(turn: Turn, chunks: list[str | dict[str, str]], *, name: str) -> None:
    artifact = turn.open_artifact(name=name)
    for chunk in chunks:
        if isinstance(chunk, str):
            await artifact.write(chunk)
        else:
            await _there_is(Path(chunk["file"]))


@agent(name="Relay", durable=True)
async def relay(turn: Turn) -> None:
    """Have the next relay do it; the last one asks for a file, and waits until it is there."""
    if "next" in conf.current().remote_agents:
        reply = await turn.ask("next", turn.text)
        await turn.complete(f"passed {reply.message.text if reply.message else ''}")
    elif turn.number == 1 and turn.text != "hang":
        await turn.input_required("Which file?")
    else:
        await turn.working("Waiting.")
        await _there_is(Path(turn.text))
        await turn.complete("done")


@agent(name="Spender")
async def spender(turn: Turn) -> None:
    """Use so many tokens again and again once there is a file, by itself or in steps."""
    told = json.loads(turn.text)
    await turn.working()
    await _there_is(Path(told["file"]))

    async def use_twice() -> None:
        for _ in range(2):
            await turn.usage("m", input_tokens=told["tokens"])

    for _ in range(told["times"]):
        if told["in_steps"]:
            await turn.step("use twice", use_twice)
        else:
            await turn.usage("m", input_tokens=told["tokens"])


async def _there_is(path: Path) -> None:
    async with asyncio.timeout(60):
        # Another process makes it.
        while not path.exists():  # noqa: ASYNC110, ASYNC240  # which tells us nothing
            await asyncio.sleep(0.05)


@agent(name="Sleepy", durable=True)
async def sleepy(turn: Turn) -> str:
    """Sleep for so many seconds, and say in which attempt that was over."""
    await turn.sleep(float(turn.text))
    return f"attempt {turn.attempt}"


@agent(name="Bookkeeper", durable=True, repeats_artifacts=False)
async def bookkeeper(turn: Turn) -> None:
    """Take so many steps, each of them noted in a database of its own, and say what each noted."""
    told = json.loads(turn.text)
    words = turn.open_artifact(name="words")
    for number in range(told["steps"]):
        noted = (told["book"], turn.task_id, number, told.get("takes", 0.02))
        await words.write(await turn.step("note", note, *noted))
        if number == told["sleeps_after"]:
            await turn.sleep(told["delay"])


def note(book: str, task_id: str, number: int, takes: float) -> str:
    """Write a row that no transaction of the app knows of, and return what makes it unique."""
    word = uuid4().hex
    with closing(sqlite3.connect(book, timeout=60)) as rows, rows:
        rows.execute("INSERT INTO note VALUES (?, ?, ?)", (task_id, number, word))
    time.sleep(takes)
    return f"{word} "


@agent(name="Mistaken", push_notifications=False)
class Mistaken(Agent):
    """Answers with what is no answer, or breaks, and calls no webhooks."""

    async def answer(self, message: Message) -> str:
        """Answer with nothing, or break as told."""
        if any(part.text == "break" for part in message.parts):
            raise RuntimeError("Broken, as told.")
        return ""
