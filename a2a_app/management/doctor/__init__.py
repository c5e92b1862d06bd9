"""What `manage.py a2a_doctor` looks at: `project` from inside, the others from outside."""

from dataclasses import dataclass
from typing import Literal, TypeAlias

Level: TypeAlias = Literal["good", "note", "warning", "fault"]


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at, and what was found."""

    subject: str
    level: Level
    text: str
    """What is so, and where it is no good what to do, in a sentence."""
