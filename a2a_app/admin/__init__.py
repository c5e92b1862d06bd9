"""The admin: it shows what every task is and how it came to be that, and it issues API keys."""

from a2a_app.admin import api_keys, files, tasks, webhooks

__all__ = ["api_keys", "files", "tasks", "webhooks"]
