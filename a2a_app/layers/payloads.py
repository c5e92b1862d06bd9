"""The conversion of a message to the payloads that NOTIFY takes, and back.

NOTIFY takes less than 8000 bytes, so a message may have to be sent in pieces. PostgreSQL delivers
the notifications of a transaction in the order in which they were sent, and puts none of another
transaction between them. So a listener that gets the first piece gets the others next, or loses the
connection.
"""

from base64 import b64decode, b64encode
from typing import Any, TypeAlias

import msgpack
from channels.exceptions import MessageTooLarge

Message: TypeAlias = dict[str, Any]

# Channels asks for messages of 1 MB of JSON. Lists of short floats take twice as much here.
MAX_BYTES = 4 * 1024 * 1024
# With its header, a piece stays below the limit of NOTIFY.
PIECE_CHARACTERS = 7_800
_MAX_PIECES = -(-MAX_BYTES * 4 // 3 // PIECE_CHARACTERS) + 1


def pack(channel: str, message: Message) -> bytes:
    """Encode a message and the channel that it is for.

    Args:
        channel: Empty for a message to a group, whose members the receiver knows.
        message: A dict, as for every channel layer.

    Raises:
        TypeError: The message is no dict, or has a value that no channel layer can carry.
        MessageTooLarge: It has more than `MAX_BYTES` bytes when packed.
    """
    if not isinstance(message, dict):
        raise TypeError(f"A message is a dict, not {type(message).__name__}.")
    data: bytes = msgpack.packb((channel, message))
    if len(data) > MAX_BYTES:
        raise MessageTooLarge(f"A message of {len(data)} bytes; {MAX_BYTES} are the most.")
    return data


def unpack(data: bytes) -> tuple[str, Message]:
    """Decode the channel and the message from the result of `pack`; raise ValueError for others."""
    match msgpack.unpackb(data):
        case [str(channel), dict(message)]:
            return channel, message
    raise ValueError("No channel and message.")


def cut(data: bytes, name: str) -> list[bytes]:
    """Split packed data into the payloads of notifications.

    Args:
        data: The result of `pack`.
        name: A name that no other message has. PostgreSQL delivers equal payloads of one
            transaction only once.
    """
    text = b64encode(data)
    starts = range(0, len(text), PIECE_CHARACTERS)
    header = f"{name} {len(starts)}".encode()
    return [
        b"%s %d %s" % (header, number, text[start : start + PIECE_CHARACTERS])
        for number, start in enumerate(starts)
    ]


class Assembly:
    """The message whose pieces arrive at present on one connection."""

    def __init__(self) -> None:
        self._header: tuple[str, str] | None = None
        self._pieces: list[str] = []

    def add(self, payload: str) -> bytes | None:
        """Add the next payload, and return the packed data once it is complete.

        A message that another one interrupts is dropped.

        Raises:
            ValueError: The payload is none that `cut` makes, or comes without those before it.
        """
        name, count, number, piece = payload.split(" ", 3)
        if int(number) == 0:
            self._header, self._pieces = (name, count), []
        elif self._header != (name, count) or len(self._pieces) != int(number):
            raise ValueError("A piece without those before it.")
        self._pieces.append(piece)
        if len(self._pieces) > _MAX_PIECES:
            self._header, self._pieces = None, []
            raise ValueError("A message with too many pieces.")
        if len(self._pieces) < int(count):
            return None
        text = "".join(self._pieces)
        self._header, self._pieces = None, []
        return b64decode(text, validate=True)
