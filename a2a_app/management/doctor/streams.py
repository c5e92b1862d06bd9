"""A stream through whatever stands in front of a site: whether its events come as they are made.

The events themselves say when they were made. Where they come later than that, and all together,
something on the way has collected them.
"""

import json
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from http import HTTPStatus
from typing import Any
from uuid import uuid4

import httpx

from a2a_app.management.doctor import Finding
from a2a_app.management.doctor.site import SiteExamination

MEDIA_TYPE = "text/event-stream"
# A stream that is made in less says nothing of what collects events.
LEAST_SECONDS = 0.2
_METHOD = "SendStreamingMessage"


@dataclass
class Arrivals:
    """When the events of a stream were made, by the server's clock, and when they came."""

    made: list[float] = field(default_factory=list)
    came: list[float] = field(default_factory=list)

    def add(self, event: dict[str, Any]) -> None:
        """Note an event that has just come, if it says when it was made."""
        result = event.get("result", {})
        about = result.get("statusUpdate") or result.get("task") or {}
        if (stamp := about.get("status", {}).get("timestamp")) is not None:
            self.made.append(datetime.fromisoformat(stamp).timestamp())
            self.came.append(time.monotonic())

    @property
    def took(self) -> float:
        """How long it took to make them."""
        return self.made[-1] - self.made[0] if self.made else 0.0

    @property
    def are_collected(self) -> bool:
        """Whether they came in less than half of the time in which they were made."""
        return bool(self.came) and self.came[-1] - self.came[0] < self.took / 2


def examine_stream(client: httpx.Client, site: SiteExamination, text: str) -> Iterator[Finding]:
    """Send a message to the agent, and yield what is found of the stream that answers it."""
    message = {"messageId": str(uuid4()), "role": "ROLE_USER", "parts": [{"text": text}]}
    body = site.call(_METHOD, {"message": message})
    begun, arrivals = time.monotonic(), Arrivals()
    try:
        with client.stream("POST", site.endpoint, json=body, headers=site.headers) as response:
            media_type = response.headers.get("Content-Type", "").partition(";")[0]
            if response.status_code != HTTPStatus.OK or media_type != MEDIA_TYPE:
                text = f"No stream was opened: {response.status_code}, {media_type}."
                yield Finding("stream", "fault", text)
                return
            if encoding := response.headers.get("Content-Encoding", ""):
                text = f"The stream is compressed ({encoding}), which may hold events back."
                yield Finding("stream", "warning", text)
            first = None
            for line in response.iter_lines():
                if line.startswith("data:"):
                    first = first or time.monotonic() - begun
                    arrivals.add(json.loads(line.removeprefix("data:")))
    except (httpx.HTTPError, ValueError) as error:
        yield Finding("stream", "fault", f"The stream broke off: {type(error).__name__}.")
        return
    yield _judged(first, arrivals)


def _judged(first: float | None, arrivals: Arrivals) -> Finding:
    if first is None:
        return Finding("stream", "fault", "The stream has ended without an event.")
    if arrivals.are_collected and arrivals.took >= LEAST_SECONDS:
        text = (
            f"The events were made over {arrivals.took:.1f} s and came together: a proxy collects "
            "them. Switch its buffering off for text/event-stream."
        )
        return Finding("stream", "fault", text)
    if arrivals.took < LEAST_SECONDS:
        text = (
            f"The first event came after {first:.2f} s. The agent was done too soon to tell whether"
            " a proxy collects events: try one that works for a second."
        )
        return Finding("stream", "note", text)
    text = f"The first event came after {first:.2f} s, and the others as they were made."
    return Finding("stream", "good", text)
