"""Terminal: the events of a task as people read them: what is said on one way, states on another.

So what goes into a file or another program is the agent's text alone.
"""

from django.core.management.base import OutputWrapper

from a2a_app.client import Event
from a2a_app.pages.states import words
from a2a_app.protocol import Artifact


class EventPrinter:
    """Prints events as they come."""

    def __init__(self, texts: OutputWrapper, states: OutputWrapper) -> None:
        """Print texts to the one, and what is told of the task to the other."""
        self._texts, self._states = texts, states
        # Whether the line of the terminal has text, and which artifact wrote it.
        self._is_open = False
        self._artifact = ""
        self._said: dict[str, str] = {}

    def print(self, event: Event) -> None:
        """Print an event: a chunk goes on where the one before it of its artifact ended."""
        response = event.response
        for artifact in event.artifacts:
            update = response.artifact_update
            self._print_artifact(artifact, is_appended=update is not None and update.append)
        if response.task is not None:
            self._tell(f"Task {event.task_id}")
        if event.state is not None:
            self._tell(words(event.state.value))
        if event.message is not None:
            self.end_line()
            self._write("".join(part.text or "" for part in event.message.parts))
            self.end_line()

    def end_line(self) -> None:
        """End the line, where it has text."""
        if self._is_open:
            self._texts.write("")
            self._is_open = False

    def _print_artifact(self, artifact: Artifact, *, is_appended: bool) -> None:
        key, text = artifact.artifact_id, "".join(part.text or "" for part in artifact.parts)
        before = self._said.get(key)
        self._said[key] = (before or "") + text if is_appended else text
        if before and not is_appended and text.endswith(before):
            return  # an artifact's last chunk may repeat all of it, and more than was to be shown
        if key != self._artifact or not is_appended:
            self.end_line()
        self._artifact = key
        self._write(text)
        if others := sum(part.text is None for part in artifact.parts):
            self._tell(f"parts without text: {others}")

    def _write(self, text: str) -> None:
        if text:
            self._texts.write(text, ending="")
            self._texts.flush()
            self._is_open = not text.endswith("\n")

    def _tell(self, line: str) -> None:
        self.end_line()
        self._states.write(f"-- {line}", lambda text: text)
