"""Workload: work that the servers do in turn, and what came of it."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any

from benchmarks.figures import Cell, Figure
from benchmarks.peer import Peer
from benchmarks.running import Running
from benchmarks.servers import SERVERS, Server

SECONDS = 60.0


class NotDoneError(Exception):
    """Raised where a server does not do this work. The text goes into its cell of the table."""


@dataclass(frozen=True)
class Workload:
    """A kind of work, the servers that do it, and how often they do."""

    name: str
    do: Callable[[Peer], Awaitable[Figure]]
    servers: tuple[Server, ...] = SERVERS
    undone: Mapping[Server, str] = field(default_factory=dict)
    """The servers that cannot do it, each with the reason."""
    start: Mapping[str, Any] | None = None
    """How servers are started for this work alone. None: those that run anyway do it."""
    afresh: bool = False
    """Whether each round starts new servers. Then all rounds count."""
    at_once: bool = False
    """Whether the first round counts too, because the work itself leaves out its beginning."""
    one_in: int = 1
    """It takes part in one of so many rounds. Above 1, where it takes long, all of them count."""
    less: bool = False
    """Whether less is better."""

    def compare(self, running: Running, rounds: int) -> dict[str, Cell]:
        """Have the servers do the work in turn, and return their rounds by name.

        A server that fails gets no more turns, and its cell says why.
        """
        cells: dict[Server, Cell] = {
            server: self.undone.get(server, [])
            for server in self.servers
            if server in running.servers
        }
        unseen = 0 if self.afresh or self.at_once or self.one_in > 1 else 1
        with ExitStack() as stack:
            own: dict[Server, Peer] = {}
            for number in range(unseen + -(-rounds // self.one_in)):
                for server, cell in cells.items():
                    if isinstance(cell, str):
                        continue
                    figure = self._turn(server, running, own, stack)
                    if isinstance(figure, str):
                        cells[server] = figure
                    elif number >= unseen:
                        cell.append(figure)
        return {server.name: cell for server, cell in cells.items()}

    def _turn(
        self,
        server: Server,
        running: Running,
        own: dict[Server, Peer],
        stack: ExitStack,
    ) -> Figure | str:
        """Have a server do the work once. Return its figure, or why there is none."""
        try:
            with self._peer(server, running, own, stack) as peer:
                return asyncio.run(self._limited(peer))
        except NotDoneError as reason:
            return str(reason)
        except TimeoutError:
            return f"not done in {SECONDS:.0f} s"
        except Exception as error:  # whatever failed, the other servers go on
            return f"failed: {type(error).__name__} {str(error).strip()[-200:]!r}".replace("|", "/")

    async def _limited(self, peer: Peer) -> Figure:
        async with asyncio.timeout(SECONDS):
            return await self.do(peer)

    @contextmanager
    def _peer(
        self,
        server: Server,
        running: Running,
        own: dict[Server, Peer],
        stack: ExitStack,
    ) -> Iterator[Peer]:
        if self.start is None:
            yield running.peer(server)
        elif self.afresh:
            with ExitStack() as turn:
                yield server.start(turn, **self.start)
        else:
            if server not in own:
                own[server] = server.start(stack, **self.start)
            yield own[server]
