"""VerbatimJSONField: JSON as it was said, on every database."""

from typing import Any

from django.db import models
from django.db.models.expressions import BaseExpression
from pydantic_core import from_json, to_json


class VerbatimJSONField(models.JSONField):
    """A JSON object or array that is read as it was stored, in the text that the log has for it.

    PostgreSQL's `jsonb`, which Django takes, keeps numbers as decimals: `1e308` comes back as a
    number of 309 digits, `-0.0` as `0.0`, `1e22` as an integer, and keys in another order. Its
    `json` keeps the text. Conditions may look into it, as on `jsonb`; it has no equality.
    """

    def db_type(self, connection: Any) -> str | None:
        """Return the column's type: one that keeps the text."""
        return "json" if connection.vendor == "postgresql" else super().db_type(connection)

    def get_db_prep_value(
        self, value: Any, connection: Any, prepared: bool = False
    ) -> Any:  # as Django declares it
        """Return the text of a value, as pydantic writes it in events too."""
        if value is None or isinstance(value, BaseExpression):
            return value
        return to_json(value).decode()

    def from_db_value(self, value: Any, expression: Any, connection: Any) -> Any:
        """Return the value of what the database gave: its text, or what its driver made of it.

        A driver may have made the value already. An object or an array is then no text.
        """
        return from_json(value) if isinstance(value, str) else value
