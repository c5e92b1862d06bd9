"""The agents of the reference project."""

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from a2a_app.agents import AgentSkill, Part, Turn, agent


@agent(name="Echo")
async def echo(turn: Turn) -> AsyncIterator[str]:
    """Says it again, word by word."""
    for word in turn.text.split():
        yield word + " "


class Load(BaseModel):
    """The instructions to the load agent."""

    model_config = ConfigDict(extra="forbid")

    chunks: Annotated[int, Field(ge=0)] = 1
    size: Annotated[int, Field(ge=0)] = 32
    delay: Annotated[float, Field(ge=0)] = 0
    end: Literal[
        "completed", "failed", "rejected", "input-required", "auth-required", "raise", "hang"
    ] = "completed"


@agent(name="Load")
@agent(name="Load, retried", slug="load-retry", attempts=3)
async def load(turn: Turn) -> None:
    """Work as much as the message says, for measurements and for tests of faults.

    Each chunk has its number, and the time at which it was written.
    """
    try:
        wanted = Load.model_validate_json(turn.text)
    except ValidationError as error:
        await turn.reject(f"The text must be a JSON object. {error}")
        return
    await turn.working()
    artifact = turn.open_artifact(name="load")
    for index in range(wanted.chunks):
        text = f"{index} {time.time():.6f} ".ljust(wanted.size, ".")
        await artifact.write(text, last=index == wanted.chunks - 1)
        if wanted.delay:
            await asyncio.sleep(wanted.delay)
    await _end(turn, wanted.end)


async def _end(turn: Turn, end: str) -> None:
    match end:
        case "failed":
            await turn.fail("Failed, as told.")
        case "rejected":
            await turn.reject("Rejected, as told.")
        case "input-required":
            await turn.input_required("What now?")
        case "auth-required":
            await turn.auth_required("May I?")
        case "raise":
            raise RuntimeError("Raised, as told.")
        case "hang":
            await asyncio.Event().wait()


@agent(
    name="Travel desk",
    slug="travel-desk",
    skills=[
        AgentSkill(
            id="itinerary",
            name="Itineraries",
            description="Asks where you go and for how long, and plans your days.",
            tags=["travel", "planning"],
            examples=["Plan a trip", "Plan a trip to Lisbon"],
        )
    ],
    input_modes=["text/plain", "application/json"],
    output_modes=["text/plain", "text/calendar", "application/json"],
)
async def travel_desk(turn: Turn) -> None:
    """Plans a trip over several turns: it asks, and remembers what you said."""
    trip = turn.context.state
    if "destination" not in trip:
        destination = _destination(turn, has_asked="has_asked" in trip)
        if not destination:
            # Not every client names the task when it answers. Its answer may begin another task,
            # and that task has this state too.
            trip["has_asked"] = True
            await turn.input_required("Where do you want to go?")
            return
        trip["destination"] = destination
    if not turn.text.strip().isdecimal():
        await turn.input_required(f"How many days in {trip['destination']}?")
        return
    await turn.working(f"Planning {trip['destination']}…")
    days = min(int(turn.text), 30)
    plan = {"destination": trip["destination"], "days": [f"Day {n + 1}" for n in range(days)]}
    await turn.artifact(plan, name="itinerary", description="The plan, as data.")
    await turn.artifact(_calendar(plan), name="calendar", description="The plan, as a file.")
    trip.clear()
    await turn.complete(f"{days} days in {plan['destination']}. Have a good trip!")


# For how long the minutes stay open while nobody says anything.
IDLE_SECONDS = 60.0


@agent(
    name="Minutes",
    when_busy="live",
    attempts=3,
    skills=[
        AgentSkill(
            id="minutes",
            name="Minutes",
            description="Writes down what you say, until you say that it is done.",
            tags=["notes", "live input"],
            examples=["The release goes out on Monday"],
        )
    ],
)
async def minutes(turn: Turn) -> None:
    """Take the minutes: go on talking while it writes, and say "done" at the end."""
    lines = [turn.text]
    await turn.working("Noted. Go on, or say: done.")
    while await turn.interrupted.wait(IDLE_SECONDS):
        said = (await turn.inbox.get()).text
        if said.strip().lower() == "done":
            break
        lines.append(said)
        await turn.working(f"Noted, {len(lines)} so far.")
    await turn.artifact("".join(f"- {line}\n" for line in lines), name="minutes")


def _destination(turn: Turn, *, has_asked: bool) -> str:
    """Find the destination in the data of a part, after "to", or in the answer."""
    for part in turn.message.parts:
        if isinstance(part.data, dict) and isinstance(part.data.get("destination"), str):
            return str(part.data["destination"])
    _, _, place = turn.text.partition(" to ")
    return (place or (turn.text if has_asked else "")).strip()


def _calendar(plan: dict[str, Any]) -> Part:
    events = "".join(f"BEGIN:VEVENT\r\nSUMMARY:{day}\r\nEND:VEVENT\r\n" for day in plan["days"])
    text = f"BEGIN:VCALENDAR\r\nVERSION:2.0\r\n{events}END:VCALENDAR\r\n"
    return Part(raw=text.encode(), filename="trip.ics", media_type="text/calendar")
