"""The arguments of a tool, and the message to an agent that they are."""

from typing import Any
from uuid import uuid4

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from a2a_app import protocol


class Arguments(BaseModel):
    """What a tool is called with. All tools have the same arguments."""

    model_config = ConfigDict(extra="forbid", strict=True)

    message: str = Field(description="What to tell the agent, in words.")
    data: dict[str, Any] | None = Field(
        default=None, description="Data for the agent, beside the words."
    )
    task_id: str = Field(
        default="", description="The task to go on with, when it has asked for something."
    )
    context_id: str = Field(
        default="", description="The conversation to go on with, which the agent remembers."
    )

    @classmethod
    def read(cls, given: dict[str, Any] | None) -> "Arguments":
        """Read the arguments of a call.

        Raises:
            InvalidParamsError: One of them is wrong.
        """
        try:
            return cls.model_validate(given or {})
        except ValidationError as error:
            raise protocol.InvalidParamsError.from_validation(error) from None

    def request(self) -> dict[str, Any]:
        """Return the parameters of SendMessage, in JSON."""
        parts: list[dict[str, Any]] = [{"text": self.message}]
        if self.data is not None:
            parts.append({"data": self.data})
        message = {"messageId": str(uuid4()), "role": protocol.Role.USER, "parts": parts}
        if self.task_id:
            message["taskId"] = self.task_id
        if self.context_id:
            message["contextId"] = self.context_id
        return {"message": message}


INPUT_SCHEMA = Arguments.model_json_schema()
