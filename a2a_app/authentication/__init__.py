"""Authenticators for the setting AUTHENTICATION, and what a project's own ones use."""

from a2a_app.access import announce_change
from a2a_app.authentication.api_keys import ApiKeyAuth, user_of
from a2a_app.authentication.basic import BasicAuth
from a2a_app.operations.call import CallerName, Grant

__all__ = [
    "ApiKeyAuth",
    "BasicAuth",
    "CallerName",
    "Grant",
    "announce_change",
    "user_of",
]
