"""URLs of a project that serves agents to each of its customers, at a path of the customer's."""

from typing import Any

from django.urls import include, path, register_converter
from django.urls.converters import SlugConverter

CUSTOMERS: set[str] = set()


class CustomerConverter(SlugConverter):
    """The name of a customer that exists at present."""

    def to_python(self, value: str) -> Any:
        """Refuse the name of a customer that does not exist."""
        if value not in CUSTOMERS:
            raise ValueError(value)
        return value


register_converter(CustomerConverter, "customer")

urlpatterns = [path("<customer:customer>/", include("a2a_app.urls"))]
