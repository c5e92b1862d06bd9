"""The operations of the protocol (section 3), which are the same through every binding."""

from a2a_app.operations.call import Call
from a2a_app.operations.table import OPERATIONS, Operation

__all__ = ["OPERATIONS", "Call", "Operation"]
