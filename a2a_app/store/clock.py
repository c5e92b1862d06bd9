"""The database's clock: the one clock that all processes share."""

from datetime import timedelta

from django.db.models import ExpressionWrapper
from django.db.models.expressions import Combinable
from django.db.models.fields import DateTimeField
from django.db.models.functions import Now


def from_now(delta: timedelta) -> Combinable:
    """Give the time so much later, or earlier, than the statement that asks."""
    return ExpressionWrapper(Now() + delta, output_field=DateTimeField())
