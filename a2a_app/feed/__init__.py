"""The feed: a task's events after a number, in order, each once, as they come (R4).

The events are in the log. Messages between processes only make it unnecessary to poll the log all
the time. To lose no event, enter the follower first, which listens to messages; then read the task
and its number together; then follow from that number.

A topic is a task that this event loop follows. A follower is one stream's place in its log. A bell
only tells that the log has grown.
"""

from a2a_app.feed.bell import Bell
from a2a_app.feed.follower import Follower, Until

__all__ = ["Bell", "Follower", "Until"]
