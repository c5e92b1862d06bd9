"""Workload: work that servers are given in turn, and what they made of it."""

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
    """A server does not do this work; the text stands in its place in the table."""


@dataclass(frozen=True)
class Workload:
    """Work, which servers do it, and how often."""

    name: str
    do: Callable[[Peer], Awaitable[Figure]]
    servers: tuple[Server, ...] = SERVERS
    undone: Mapping[Server, str] = field(default_factory=dict)
    """Servers that cannot do it, and why."""
    start: Mapping[str, Any] | None = None
    """How servers are started for this work alone; None: it is done by those that run anyway."""
    afresh: bool = False
    """Whether each round takes servers that have done nothing yet, so that all of them count."""
    at_once: bool = False
    """Whether the first round counts too, since the work itself leaves out its beginning."""
    one_in: int = 1
    """Of how many rounds it has one: more than one, where it takes long. All of these count."""
    less: bool = False
    """Whether less is better."""

    def compare(self, running: Running, rounds: int) -> dict[str, Cell]:
        """Let the servers do the work in turn.

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
        """Let a server do the work once; gives what it has shown, or why it has shown nothing."""
        try:
            with self._peer(server, running, own, stack) as peer:
                return asyncio.run(self._limited(peer))
        except NotDoneError as reason:
            return str(reason)
        except TimeoutError:
            return f"not done in {SECONDS:.0f} s"
        except Exception as error:  # whatever it is, the others go on
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
