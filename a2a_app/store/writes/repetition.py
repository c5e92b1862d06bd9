"""Repetition: an attempt says again what earlier attempts have said, and the log has it once."""

from collections import deque
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple, Self

from pydantic_core import from_json

from a2a_app.protocol import Part, TaskState
from a2a_app.store.durable.approvals import APPROVALS, PASSED_ON
from a2a_app.store.refusals import RepetitionError
from a2a_app.store.updates import LIVE_INPUT, ArtifactUpdate, Returned, StatusUpdate, Update


class Said(NamedTuple):
    """What an update says, as far as it must be the same in each attempt.

    Metadata is left out, since it tells what was used up to then, and so are the ids of messages.
    """

    what: str
    """A state, or the id of an artifact."""
    how: tuple[bool, bool]
    """Of a chunk: whether it is appended, and whether it is the last."""
    parts: Sequence[Any]

    def __str__(self) -> str:
        text = " ".join(str(part.get("text", "…")) for part in self.parts)
        return f"{self.what} {text[:80]!r}"


class Repetition:
    """What earlier attempts at a turn have said and this one has not said again yet."""

    def __init__(self, left: Iterable[tuple[int, Said]]) -> None:
        """Expect updates: each with the number of its event, in order."""
        self._left = deque(left)
        self.on_progress: Callable[[], None] = _do_nothing
        """Called each time that something has been said again."""

    @classmethod
    def of(cls, events: Iterable[tuple[int, str]]) -> Self:
        """Expect what events say, each given by its number and its body."""
        found = [(number, said_in(from_json(body))) for number, body in events]
        return cls((number, said) for number, said in found if said is not None)

    @property
    def is_over(self) -> bool:
        """Whether all has been said again."""
        return not self._left

    def is_past(self, number: int) -> bool:
        """Tell whether all that comes before an event has been said again."""
        return not self._left or self._left[0][0] > number

    def rest(self, updates: Sequence[Update]) -> list[Update]:
        """Return the updates that are not in the log yet.

        Raises:
            RepetitionError: One of them is another one than the log has at its place.
        """
        return [update for update in updates if not self._is_logged(update)]

    def _is_logged(self, update: Update) -> bool:
        if not self._left:
            return False
        number, expected = self._left[0]
        if isinstance(update, Returned):
            raise RepetitionError(f"event {number}", str(expected), "the end of the code")
        said = said_by(update)
        if said is None:
            return False
        if said != expected:
            raise RepetitionError(f"event {number}", str(expected), str(said))
        self._left.popleft()
        self.on_progress()
        return True


def _do_nothing() -> None:
    pass


def said_by(update: Update) -> Said | None:
    """Return what an update says; None: nothing that must be the same."""
    match update:
        # SUBMITTED is what the server says, when a message comes or something was decided.
        case StatusUpdate(state=state, message=message) if state is not TaskState.SUBMITTED:
            parts = message.parts if message else ()
            return Said(state.value, (False, False), _comparable(map(_as_json, parts)))
        case ArtifactUpdate(artifact=artifact):
            parts = _comparable(map(_as_json, artifact.parts))
            return Said(artifact.artifact_id, (update.append, bool(update.last_chunk)), parts)
        case _:
            return None


def said_in(body: Any) -> Said | None:
    """Return what an event says, by its JSON; None: nothing that must be the same."""
    if (chunk := body.get("artifactUpdate")) is not None:
        how = (chunk.get("append", False), chunk.get("lastChunk", False))
        artifact = chunk["artifact"]
        return Said(artifact["artifactId"], how, _comparable(artifact["parts"]))
    status = body.get("statusUpdate", {}).get("status", {})
    message = status.get("message", {})
    is_question = APPROVALS in message.get("extensions", ())
    # A question that was decided is not asked again. Of what was read, other rows tell.
    is_question |= PASSED_ON in message.get("metadata", {})
    is_reading = LIVE_INPUT in body.get("statusUpdate", {}).get("metadata", {})
    if is_question or is_reading or status.get("state") in (None, TaskState.SUBMITTED.value):
        return None
    return Said(status["state"], (False, False), _comparable(message.get("parts", ())))


def _as_json(part: Part) -> Any:
    return from_json(part.to_json())


def _comparable(parts: Iterable[Any]) -> list[Any]:
    """Return parts as JSON without their bytes, which may be in a file in the log."""
    files = {"raw", "url"}
    return [
        {"file": True, **{key: part[key] for key in part if key not in files}}
        if files & part.keys()
        else part
        for part in parts
    ]
