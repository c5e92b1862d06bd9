"""Running: the servers that stay for several workloads."""

import asyncio
from collections.abc import Sequence
from contextlib import ExitStack

from benchmarks.fill import fill
from benchmarks.peer import Peer
from benchmarks.servers import Server


class Running:
    """The servers that take part. Each is started and filled when it is first asked for."""

    def __init__(self, stack: ExitStack, servers: Sequence[Server], tasks: int) -> None:
        self.servers = servers
        self._stack = stack
        self._tasks = tasks
        self._peers: dict[Server, Peer] = {}

    def peer(self, server: Server) -> Peer:
        """Return a server that runs and has its tasks."""
        if server not in self._peers:
            peer = server.start(self._stack)
            asyncio.run(fill(peer, self._tasks))
            self._peers[server] = peer
        return self._peers[server]
