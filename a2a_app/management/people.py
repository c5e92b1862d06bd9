"""People: how a command says whose data it is about."""

from contextlib import suppress
from typing import Any

from django.contrib.auth import get_user_model
from django.core.exceptions import ValidationError
from django.core.management.base import CommandError, CommandParser

from a2a_app.store.people import Person


def add_person(parser: CommandParser) -> None:
    """Add the options --user and --owner, of which one is needed."""
    whose = parser.add_mutually_exclusive_group(required=True)
    whose.add_argument("--user", help="The user, by name or primary key, in all tenants.")
    whose.add_argument(
        "--owner", help="An owner as the admin shows it, such as 'name:ann' or 'deleted:…'."
    )


def person_of(options: dict[str, Any]) -> Person:
    """Return the person that the options name; raise CommandError where there is none."""
    if options["owner"] is not None:
        return Person.of_owner(options["owner"])
    return Person.of_row(user_named(options["user"]))


def user_named(text: str) -> Any:
    """Return the user of a name or a primary key; raise CommandError unless there is one."""
    users: Any = get_user_model()._default_manager
    found = {user.pk: user for user in users.filter(**{get_user_model().USERNAME_FIELD: text})}
    with suppress(TypeError, ValueError, ValidationError):  # it is no primary key
        found |= {user.pk: user for user in users.filter(pk=text)}
    if not found:
        raise CommandError(f"There is no user {text!r}. Of a deleted one, name the --owner.")
    if len(found) > 1:
        raise CommandError(f"{text!r} is the name of one user and the primary key of another.")
    [user] = found.values()
    return user
