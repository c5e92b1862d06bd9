"""Payloads: a message as the texts that NOTIFY takes, and back.

NOTIFY takes less than 8000 bytes, so a message may have to go in pieces. PostgreSQL gives the
notifications of a transaction in the order in which they were sent, and none of another transaction
between them: whoever hears the first piece hears the others next, or has lost the connection.
"""

from base64 import b64decode, b64encode
from typing import Any, TypeAlias

import msgpack
from channels.exceptions import MessageTooLarge

Message: TypeAlias = dict[str, Any]

# Channels asks for 1 MB of JSON; small floats take twice as much here.
MAX_BYTES = 4 * 1024 * 1024
# With its head, a piece stays below what NOTIFY takes.
PIECE_CHARACTERS = 7_800
_MAX_PIECES = -(-MAX_BYTES * 4 // 3 // PIECE_CHARACTERS) + 1


def pack(channel: str, message: Message) -> bytes:
    """Encode a message and the channel it is for; empty where a group tells the channels.

    Raises TypeError for what no channel layer can carry, and MessageTooLarge.
    """
    if not isinstance(message, dict):
        raise TypeError(f"A message is a dict, not {type(message).__name__}.")
    data: bytes = msgpack.packb((channel, message))
    if len(data) > MAX_BYTES:
        raise MessageTooLarge(f"A message of {len(data)} bytes; {MAX_BYTES} are the most.")
    return data


def unpack(data: bytes) -> tuple[str, Message]:
    """Decode what `pack` made; raises ValueError."""
    match msgpack.unpackb(data):
        case [str(channel), dict(message)]:
            return channel, message
    raise ValueError("No channel and message.")


def cut(data: bytes, name: str) -> list[bytes]:
    """Make the payloads that carry packed data.

    The name is the message's own: PostgreSQL gives equal payloads of one transaction only once.
    """
    text = b64encode(data)
    places = range(0, len(text), PIECE_CHARACTERS)
    head = f"{name} {len(places)}".encode()
    return [
        b"%s %d %s" % (head, number, text[place : place + PIECE_CHARACTERS])
        for number, place in enumerate(places)
    ]


class Assembly:
    """The message whose pieces are arriving on one connection."""

    def __init__(self) -> None:
        self._head: tuple[str, str] | None = None
        self._pieces: list[str] = []

    def add(self, payload: str) -> bytes | None:
        """Take the next payload; gives the packed data when it is whole.

        Raises ValueError for what `cut` did not make. What was begun and is not gone on with is
        dropped.
        """
        name, count, number, piece = payload.split(" ", 3)
        if int(number) == 0:
            self._head, self._pieces = (name, count), []
        elif self._head != (name, count) or len(self._pieces) != int(number):
            raise ValueError("A piece without those before it.")
        self._pieces.append(piece)
        if len(self._pieces) > _MAX_PIECES:
            self._head, self._pieces = None, []
            raise ValueError("A message with too many pieces.")
        if len(self._pieces) < int(count):
            return None
        text = "".join(self._pieces)
        self._head, self._pieces = None, []
        return b64decode(text, validate=True)
