"""Any text can be stored, with an escape for what no database takes."""

import pytest

from a2a_app import models
from a2a_app.database.values import escape_unstorable
from tests.tasks import begin

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize(
    ("text", "stored"),
    [
        ("", ""),
        ("as it is: \\x00, \N{SNOWMAN}, \U0001f300", "as it is: \\x00, \N{SNOWMAN}, \U0001f300"),
        ("nothing\x00", r"nothing\x00"),
        ("no text: \udcff", r"no text: \udcff"),
    ],
    ids=ascii,
)
def test_a_character_that_no_database_takes_is_stored_as_an_escape(text: str, stored: str) -> None:
    begin()
    models.Run.objects.update(error=escape_unstorable(text))
    assert models.Run.objects.get().error == stored
