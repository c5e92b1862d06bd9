"""A draft: what somebody has written into the form of a chat, as the message that it becomes."""

from base64 import b64encode
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

from django.core.files.uploadedfile import UploadedFile
from django.http import HttpRequest
from pydantic_core import from_json

from a2a_app import conf, protocol
from a2a_app.bindings.expansion import BodyTooLargeError


@dataclass(frozen=True, slots=True)
class Draft:
    """The fields of the form. What is refused is shown again, apart from the files."""

    text: str = ""
    data: str = ""
    """A JSON value, as it was typed."""
    context: str = ""
    task: str = ""
    cancel: str = ""
    """The id of a task to cancel; then nothing is said."""
    files: "list[UploadedFile[Any]]" = field(default_factory=list)

    def request(self) -> dict[str, Any]:
        """Return the parameters of SendMessage, which does not wait for the answer.

        Raises:
            InvalidParamsError: What should be JSON is none.
            BodyTooLargeError: The files are larger than a request may be.
        """
        limit = conf.current().max_body_bytes
        if sum(sent.size or 0 for sent in self.files) > limit:
            raise BodyTooLargeError.of(limit)
        parts: list[dict[str, Any]] = [{"text": self.text}] if self.text.strip() else []
        if self.data.strip():
            try:
                parts.append({"data": from_json(self.data, allow_inf_nan=False)})
            except ValueError as error:
                raise protocol.InvalidParamsError.of("JSON", f"is not valid: {error}") from None
        message = {
            "messageId": str(uuid4()),
            "role": protocol.Role.USER.value,
            "parts": [*parts, *map(_part, self.files)],
        }
        names = {"contextId": self.context, "taskId": self.task}
        message |= {name: value for name, value in names.items() if value}
        return {"message": message, "configuration": {"returnImmediately": True}}


def read_draft(request: HttpRequest) -> Draft:
    """Return what a form says."""
    said = {name: request.POST.get(name, "") for name in ("text", "data", "context", "task")}
    # A browser ends each line of a form with two characters.
    said["text"] = said["text"].replace("\r\n", "\n")
    files = request.FILES.getlist("file")
    return Draft(**said, cancel=request.POST.get("cancel", ""), files=files)


def _part(sent: "UploadedFile[Any]") -> dict[str, Any]:
    return {
        "raw": b64encode(sent.read()).decode(),
        "filename": sent.name,
        "mediaType": sent.content_type or "application/octet-stream",
    }
