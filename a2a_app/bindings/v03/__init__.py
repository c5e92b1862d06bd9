"""Version 0.3 of the protocol, JSON to JSON: nothing below the bindings knows of it.

Its two bindings write the same objects in two ways: JSON-RPC as the JSON schema does, with `kind`
and lower-case names, HTTP+JSON as the proto does.
"""

from a2a_app.bindings.v03.cards import card_with_03
from a2a_app.bindings.v03.methods import PLAIN_METHODS, RPC_METHODS
from a2a_app.bindings.v03.push import task_now

__all__ = ["PLAIN_METHODS", "RPC_METHODS", "card_with_03", "task_now"]
