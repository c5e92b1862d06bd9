"""The database's clock: the one clock that all processes share."""

from datetime import timedelta
from functools import lru_cache

from django.db.models import ExpressionWrapper
from django.db.models.expressions import Combinable
from django.db.models.fields import DateTimeField
from django.db.models.functions import Now


@lru_cache(maxsize=64)
def from_now(delta: timedelta) -> Combinable:
    """Give the time so much later, or earlier, than the statement that asks.

    The same object for the same delta, so that a statement with it is known as compiled.
    """
    return ExpressionWrapper(Now() + delta, output_field=DateTimeField())
