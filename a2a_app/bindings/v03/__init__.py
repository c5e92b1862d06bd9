"""Version 0.3 of the protocol, converted from JSON to JSON; only the bindings know of it.

Its bindings write the same objects in different ways. JSON-RPC follows the JSON schema, with
`kind` and lower-case names. HTTP+JSON follows the proto, and gRPC is it.
"""

from a2a_app.bindings.v03.cards import card_with_03
from a2a_app.bindings.v03.methods import GRPC_METHODS, PLAIN_METHODS, RPC_METHODS
from a2a_app.bindings.v03.push import task_now

__all__ = ["GRPC_METHODS", "PLAIN_METHODS", "RPC_METHODS", "card_with_03", "task_now"]
