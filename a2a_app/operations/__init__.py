"""Layer 2, the operations (section 3): what can be asked of an agent, whatever the binding."""

from a2a_app.operations.call import Call
from a2a_app.operations.table import OPERATIONS, Operation

__all__ = ["OPERATIONS", "Call", "Operation"]
