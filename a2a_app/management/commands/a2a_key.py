"""`manage.py a2a_key`: issue, list, revoke and rotate API keys."""

import argparse
from contextlib import suppress
from datetime import timedelta
from functools import partial
from typing import Any

from django.contrib.auth import get_user_model
from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import timezone

from a2a_app import conf
from a2a_app.agents import registry
from a2a_app.management.batch_command import MAX_DAYS, days
from a2a_app.models import ApiKey
from a2a_app.operations.call import SCOPES

ACTOR = "manage.py a2a_key"
MAX_HOURS = 24 * MAX_DAYS


class Command(BaseCommand):
    """Issue, list, revoke and rotate the API keys by which programs act for users."""

    help = "Issue, list, revoke or rotate API keys. A key is printed once, and stored nowhere."

    def add_arguments(self, parser: CommandParser) -> None:
        """Add the four actions, each with its options."""
        actions = parser.add_subparsers(dest="action", required=True)
        issue = actions.add_parser("issue", help="Issue a key, and print it.")
        issue.add_argument("user", help="The name of the user that it acts for.")
        issue.add_argument("name", help="The program that uses it.")
        issue.add_argument("--scope", action="append", default=[], choices=list(SCOPES))
        issue.add_argument("--agent", action="append", default=[], help="An agent that it is for.")
        issue.add_argument("--days", type=_days, help="How long it is valid. 0: for ever.")
        shown = actions.add_parser("list", help="List the keys, without the keys themselves.")
        shown.add_argument("--user", help="Only those of this user.")
        shown.add_argument("--days", type=_days, help="Only valid ones that expire within so long.")
        revoke = actions.add_parser("revoke", help="Refuse keys from now on.")
        revoke.add_argument("prefix", nargs="+", help="The part of the key that is shown.")
        rotate = actions.add_parser("rotate", help="Issue a key in place of another one.")
        rotate.add_argument("prefix", help="The part of the old key that is shown.")
        rotate.add_argument("--hours", type=_hours, default=24.0, help="How long both are valid.")

    def handle(self, *args: Any, **options: Any) -> None:
        """Do what the action says."""
        match options["action"]:
            case "issue":
                self._issue(options)
            case "list":
                self._list(options["user"], options["days"])
            case "revoke":
                for prefix in options["prefix"]:
                    _end(_found(prefix), revoked=True)
            case _:
                self._rotate(_found(options["prefix"]), options["hours"])

    def _issue(self, options: dict[str, Any]) -> None:
        row = ApiKey(
            user=_user(options["user"]),
            name=options["name"],
            scopes=" ".join(options["scope"]),
            agents=" ".join(options["agent"]),
        )
        row.actor = ACTOR
        if (days := options["days"]) is not None:
            row.expires_at = timezone.now() + timedelta(days=days) if days else None
        row.issue()
        _check(row)
        row.save()
        self.stdout.write(row.key)

    def _list(self, username: str | None, days: int | None) -> None:
        rows = ApiKey.objects.select_related("user").order_by("pk")
        if username:
            rows = rows.filter(user=_user(username))
        if days is not None:
            now = timezone.now()
            rows = rows.filter(revoked_at=None, expires_at__range=(now, now + timedelta(days=days)))
        for row in rows:
            state = "revoked" if row.revoked_at else "valid" if row.is_usable else "expired"
            limits = f"{row.scopes or 'all scopes'}, {row.agents or 'all agents'}"
            used = f"used {row.last_used_at:%Y-%m-%d}" if row.last_used_at else "never used"
            until = f"until {row.expires_at:%Y-%m-%d}" if row.expires_at else "for ever"
            who = f"{row.user.get_username()}, {row.name}"
            self.stdout.write(f"{row.prefix}  {state}  {who}: {limits}; {until}; {used}")

    def _rotate(self, old: ApiKey, hours: float) -> None:
        if old.revoked_at:
            raise CommandError(f"The key {old.prefix!r} is revoked. Issue another one.")
        old.actor = ACTOR
        new = old.replacement()
        new.save()
        _end(old, after=timedelta(hours=hours))
        self.stdout.write(new.key)


def _check(row: ApiKey) -> None:
    """Refuse a key that could not be stored, or that is for an agent which there is not."""
    known = registry.slugs()
    for name in row.agents.split():
        if name not in known:
            hint = conf.suggestion(name, known)
            raise CommandError(f"The project has no agent {name!r}. {hint}".strip())
    try:
        row.full_clean()
    except ValidationError as error:
        found = [f"{name}: {' '.join(said)}" for name, said in error.message_dict.items()]
        raise CommandError(" ".join(found)) from None


_days = partial(days, least=0)


def _hours(text: str) -> float:
    with suppress(ValueError):
        if 0 <= (hours := float(text)) <= MAX_HOURS:
            return hours
    raise argparse.ArgumentTypeError(f"must be a number from 0 to {MAX_HOURS}")


def _end(row: ApiKey, *, revoked: bool = False, after: timedelta = timedelta()) -> None:
    """End a key now or after a while, but not later than it would end by itself."""
    end = timezone.now() + after
    if revoked:
        row.revoked_at = row.revoked_at or end
    else:
        row.expires_at = min(row.expires_at or end, end)
    row.actor = ACTOR
    # By `save`, which tells all processes to end the open streams of the key.
    row.save(update_fields=["revoked_at", "expires_at"])


def _found(prefix: str) -> ApiKey:
    try:
        return ApiKey.objects.select_related("user").get(prefix=prefix)
    except ApiKey.DoesNotExist:
        raise CommandError(f"There is no key {prefix!r}: see manage.py a2a_key list.") from None


def _user(username: str) -> Any:
    users = get_user_model()
    try:
        return users._default_manager.get_by_natural_key(username)
    except users.DoesNotExist:
        raise CommandError(f"There is no user {username!r}.") from None
