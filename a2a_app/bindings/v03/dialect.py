"""The dialects of 0.3, one for each of its methods."""

import re
from collections.abc import Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any, TypeAlias

from pydantic_core import from_json, to_json

from a2a_app import protocol
from a2a_app.bindings.dialects import Dialect
from a2a_app.bindings.v03 import results
from a2a_app.operations.generations import NUMBERED
from a2a_app.operations.streams import Stream, StreamItem
from a2a_app.protocol import FieldViolation, InvalidParamsError

Json: TypeAlias = dict[str, Any]
Renames: TypeAlias = Sequence[tuple[str, str]]

_ERROR_NAMES: dict[type, str] = {
    protocol.ExtendedAgentCardNotConfiguredError: "AuthenticatedExtendedCardNotConfiguredError"
}


@dataclass(frozen=True, slots=True)
class Dialect03(Dialect):
    """The way in which 0.3 writes the parameters, results and errors of one method."""

    read: Callable[[Json], Json]
    """Converts parameters of 0.3 to those of 1.0."""
    write: Callable[[Json], Any]
    """Converts results and events of 1.0 to those of 0.3."""
    renames: Renames = ()
    """Patterns of the names of fields in 1.0, each with the name in 0.3."""
    words: Renames = ()
    """Patterns of words in the descriptions of errors, each with the word of 0.3."""

    version = protocol.VERSION_03
    extensions_header = protocol.EXTENSIONS_HEADER_03
    media_types = ("application/json",)
    push_payload = protocol.VERSION_03
    numbered_push_payload = f"{protocol.VERSION_03}+{NUMBERED}"
    may_cancel_again = False  # "already reached a terminal state" (section 8.2 of 0.3)
    stays_while_waiting = False

    def params(self, given: Json) -> Json:
        """Convert parameters to those of 1.0; raise InvalidParamsError."""
        return self.read(given)

    def tenant(self, given: Json) -> str:
        """Return none, since 0.3 has no tenants."""
        return ""

    def result(self, body: str) -> str:
        """Convert a result to one of 0.3."""
        return _json(self.write(from_json(body)))

    async def stream(self, stream: Stream) -> Stream:
        """Convert the events of a stream, up to the first that is final.

        A client of 0.3 waits for such an event. Where the stream ends without one, as it does if
        the task has ended or waits at the beginning, the last status is sent again as the final.
        """
        final: StreamItem | None = None
        async with aclosing(stream):
            async for batch in stream:
                items, is_over, final = self._items(batch, final)
                yield items
                if is_over:
                    return
                del batch, items  # An idle stream holds nothing of what it has sent.
        if final is not None:
            yield [final]

    def _items(
        self, batch: Sequence[StreamItem], final: StreamItem | None
    ) -> tuple[list[StreamItem], bool, StreamItem | None]:
        """Return items of 0.3, whether one is final, and the final event to end with if none is."""
        items = []
        for item in batch:
            event = from_json(item.body)
            items.append(StreamItem(item.seq, _json(self.write(event))))
            if results.is_final(event):
                return items, True, None
            final = self._final(item.seq, event, final)
        return items, False, final

    def _final(self, seq: int | None, event: Json, before: StreamItem | None) -> StreamItem | None:
        """Return the final event that a stream has to end with after an event; None if none."""
        if "artifactUpdate" in event:
            return None if before is None else StreamItem(seq, before.body)
        update = results.final_update(event)
        return None if update is None else StreamItem(seq, _json(self.write(update)))

    def error(self, error: protocol.A2AError) -> protocol.A2AError:
        """Replace the names of fields in an error by those of 0.3."""
        if not isinstance(error, InvalidParamsError) or not error.violations:
            return error
        return InvalidParamsError(
            violations=[
                FieldViolation(
                    _renamed(violation.field, self.renames),
                    _renamed(violation.description, self.words),
                )
                for violation in error.violations
            ]
        )

    def status_text(self, error: protocol.A2AError) -> str:
        """Return an error's text with its name first, by which clients of 0.3 tell errors apart."""
        named = next(kind for kind in type(error).__mro__ if "code" in vars(kind))
        return f"{_ERROR_NAMES.get(named, named.__name__)}: {error.message}"

    def plain_error(self, error: protocol.A2AError) -> Json:
        """Return an error for HTTP+JSON, as JSON-RPC writes it (section 7 of 0.3)."""
        return {"code": error.code, "message": error.message, "data": error.details()}


class CardDialect03(Dialect03):
    """The way in which 0.3 writes the extended card, and that there is none."""

    def error(self, error: protocol.A2AError) -> protocol.A2AError:
        """Replace the error of an agent that has none by the one of 0.3 for it (section 8.2)."""
        if type(error) is protocol.UnsupportedOperationError:
            return protocol.ExtendedAgentCardNotConfiguredError(error.message)
        return super().error(error)


def _json(value: Any) -> str:
    return to_json(value).decode()


def _renamed(text: str, renames: Renames) -> str:
    for pattern, name in renames:
        text = re.sub(pattern, name, text)
    return text
