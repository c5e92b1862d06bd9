"""The seam: what every runner does."""

from abc import ABC, abstractmethod
from uuid import UUID


class Runner(ABC):
    """Sees to it that turns run. What it is told is a hint: the order itself is in the database."""

    @abstractmethod
    async def start(self, task_id: UUID) -> None:
        """See that the task's next turn runs soon; does not wait for it, and may be told twice."""

    @abstractmethod
    async def begin(self) -> None:
        """Begin the runner's own work in this process, such as recovery; may be told twice."""

    @abstractmethod
    async def close(self) -> None:
        """End the runner's work in this process: what is under way is finished or given up."""
