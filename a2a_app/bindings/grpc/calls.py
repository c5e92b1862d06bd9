"""The calls that a server of gRPC has open, and the end that it makes of them."""

import asyncio
from collections import Counter
from operator import methodcaller
from typing import Any

import grpc

from a2a_app import protocol
from a2a_app.bindings.grpc.exchange import Exchange, Rpc
from a2a_app.bindings.threads import own_thread


class OpenCalls:
    """The calls of one server."""

    def __init__(self) -> None:
        """Have no calls yet."""
        self._open: dict[asyncio.Timeout, Exchange] = {}
        self.stalled: Counter[str] = Counter()
        """How many calls of each owner have clients that take nothing."""

    def __len__(self) -> int:
        return len(self._open)

    def end(self, *, streams_only: bool) -> None:
        """Refuse calls that are open, since the server ends; all of them, or those that stream."""
        for limit, exchange in list(self._open.items()):
            if (exchange.is_streaming or not streams_only) and not limit.expired():
                limit.reschedule(0)

    def handler(self, rpc: Rpc) -> grpc.RpcMethodHandler:
        """Return what answers the calls of a method."""

        async def handle(_: Any, context: Any) -> None:
            exchange = Exchange(rpc, context, self.stalled)
            async with own_thread():
                refusal = await self._perform(exchange)
            if refusal is not None:
                await exchange.refuse(refusal)

        return grpc.stream_stream_rpc_method_handler(
            handle, response_serializer=methodcaller("SerializeToString")
        )

    async def _perform(self, exchange: Exchange) -> protocol.A2AError | None:
        """Perform a call, and return why it is refused; None where it was answered."""
        limit = asyncio.timeout(None)
        try:
            async with limit:
                self._open[limit] = exchange
                await exchange.perform()
        except Exception as error:  # the client must get no details of a fault
            if isinstance(error, TimeoutError) and limit.expired():
                return protocol.UnavailableError("The server ends. Ask again, or subscribe.")
            return exchange.refusal_of(error)
        finally:
            self._open.pop(limit, None)
        return None
