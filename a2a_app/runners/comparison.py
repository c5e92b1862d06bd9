"""Comparison: what an agent's code does, beside what was recorded of its turn."""

from collections import deque
from dataclasses import dataclass, field
from datetime import datetime

from a2a_app.protocol import TaskState
from a2a_app.store.durable.recordings import RecordedStep, Recording
from a2a_app.store.durable.steps import Kind, Place
from a2a_app.store.updates import Ask
from a2a_app.store.writes.repetition import Said, said_in

_RETURNED = Said(TaskState.COMPLETED.value, (False, False), [])


@dataclass(slots=True)
class Replayed:
    """What a replay has met, beside what was recorded."""

    lines: list[str] = field(default_factory=list)
    """What was met: two blanks before what is as recorded, `+ ` before what is not, and `- ` before
    what is recorded and was not met."""
    end: str = ""
    """Where the replay has ended, in words."""

    @property
    def is_same(self) -> bool:
        """Whether all was met as recorded."""
        return not any(line.startswith(("+", "-")) for line in self.lines)

    def __str__(self) -> str:
        return "\n".join([*self.lines, f"  … {self.end}"])


class Script:
    """What is recorded, of which each thing is met once."""

    def __init__(self, recording: Recording) -> None:
        self.recording, self.replayed = recording, Replayed()
        found = [(event.seq, said_in(event.body)) for event in recording.events]
        self._said = deque((seq, said) for seq, said in found if said is not None)
        self._steps = {step.number: step for step in recording.steps}
        self._has_gap = False

    def meet_step(self, place: Place) -> RecordedStep | None:
        """Return what is recorded of a step; None: nothing, or another one, and the replay ends."""
        recorded, name = self._steps.pop(place.number, None), _named(place.kind, place.name)
        if recorded is None:
            # What follows in the recording was said without it.
            self._add("+" if self._said else " ", name)
            self._end_at(f"{name} is not recorded")
            return None
        if (recorded.kind, recorded.name) != (place.kind, place.name):
            self._add("-", _named(recorded.kind, recorded.name))
            self._add("+", name)
            self._end_at("the steps differ")
            return None
        self._add(" ", name)
        if not _is_over(recorded, self.recording.recorded_at):
            self._end_at(f"{name} is not over")
            return None
        return recorded

    def meet(self, said: Said) -> bool:
        """Compare what is said; return False where the replay ends."""
        if not self._said:
            goes_on = self._is_under_way and not self._steps
            self._add(" " if goes_on else "+", str(said))
            self._end_at("what the code says next is not recorded")
            return False
        _, expected = self._said.popleft()
        if said == expected:
            self._add(" ", str(said))
            return True
        self._add("-", str(expected))
        self._add("+", str(said))
        if said[:2] == expected[:2]:
            return True  # a text that differs: what comes after it may be the same
        self._end_at("what is said differs")
        return False

    def meet_question(self, ask: Ask) -> None:
        """Compare a question that was not decided yet, at which the replay ends."""
        is_open = self.recording.asks == (ask.digest, ask.number)
        self._add(" " if is_open else "+", f"asks {ask.question!r}")
        self._end_at("it waits for a decision")

    def meet_end(self) -> None:
        """Compare the return of the code."""
        if self._said and self._said[0][1] == _RETURNED:
            self._said.popleft()

    def raised(self, error: Exception) -> None:
        """Compare an exception of the code."""
        text = f"raises {type(error).__name__}: {error}"
        if self._said and self._said[0][1].what == TaskState.FAILED.value:
            self._said.popleft()
            self._add(" ", text)
        else:
            self._add("+", text)
        self._end_at("the code has raised")

    def end(self) -> None:
        """Add what was not met."""
        for _, said in self._said:
            self._add("-", str(said))
        # Steps that go on side by side may be recorded after one that is not.
        for step in () if self._has_gap else self._steps.values():
            self._add("-", _named(step.kind, step.name))

    @property
    def _is_under_way(self) -> bool:
        body = self.recording.events[-1].body if self.recording.events else {}
        state = body.get("statusUpdate", {}).get("status", {}).get("state", "")
        return not (state and TaskState(state).is_terminal)

    def is_past(self, seq: int) -> bool:
        """Tell whether all that was said before an event has been met."""
        return not self._said or self._said[0][0] > seq

    def wait_for_message(self) -> None:
        """Note that the code waits for a message, which is not recorded."""
        self._end_at("it waits for a message")

    def _end_at(self, where: str) -> None:
        self._has_gap = where.endswith(("is not recorded", "is not over"))
        self.replayed.end = self.replayed.end or where

    def _add(self, mark: str, text: str) -> None:
        self.replayed.lines.append(f"{mark} {text}")


def _named(kind: str, name: str) -> str:
    noun = "step" if kind == Kind.WORK else kind
    return f"{noun} {name!r}" if name else noun


def _is_over(step: RecordedStep, now: datetime) -> bool:
    if step.kind == Kind.SLEEP:
        return step.until is not None and step.until <= now
    return step.ended_at is not None
