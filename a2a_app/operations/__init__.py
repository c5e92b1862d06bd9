"""The operations of the protocol (section 3), which are the same through every binding."""

from a2a_app.operations.call import Call, Operation
from a2a_app.operations.table import OPERATIONS

__all__ = ["OPERATIONS", "Call", "Operation"]
