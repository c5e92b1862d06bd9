"""Times have zones, or a check says why nothing works."""

from django.core import checks
from pytest_django import Settings


def test_a_project_has_times_without_zones(settings: Settings) -> None:
    settings.USE_TZ = False
    found = {str(each.id): str(each.hint) for each in checks.run_checks(tags=["a2a"])}
    assert found["a2a.E027"] == "Set USE_TZ to True."
    settings.USE_TZ = True
    assert "a2a.E027" not in {each.id for each in checks.run_checks(tags=["a2a"])}
