"""The tests here talk JSON-RPC as those of the bindings do."""

from tests.bindings.conftest import a2a, rpc

__all__ = ["a2a", "rpc"]
