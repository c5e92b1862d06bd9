"""The admin: it shows each task and all that led to its state, and it issues API keys."""

from a2a_app.admin import (
    api_keys,
    approvals,
    contexts,
    directory,
    failures,
    files,
    names,
    quota,
    tasks,
    token_usage,
    waiting,
    webhooks,
)

__all__ = [
    "api_keys",
    "approvals",
    "contexts",
    "directory",
    "failures",
    "files",
    "names",
    "quota",
    "tasks",
    "token_usage",
    "waiting",
    "webhooks",
]

names.translate_names()
