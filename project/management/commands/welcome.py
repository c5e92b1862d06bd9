import secrets
from typing import Any

from django.conf import settings
from django.contrib.auth import get_user_model
from django.core.management.base import BaseCommand
from django.urls import reverse

from a2a_app.pages import access
from project.examples import streaming_curl

NAME = "admin"


def _new_login() -> str:
    """Make a login for development where nobody has one, and return its password."""
    users: Any = get_user_model()._default_manager
    if users.exists():
        return ""
    password = secrets.token_urlsafe(12)
    users.create_superuser(NAME, password=password)
    return password


class Command(BaseCommand):
    help = "Print what to try once the reference project is served."

    def handle(self, *args: Any, **options: Any) -> None:
        password = _new_login() if settings.DEBUG else ""
        login = f"(user {NAME!r}, password {password!r}; shown only now)" if password else ""
        base = f"http://127.0.0.1:{settings.PORT}"
        console = f"\n  The console {base}{reverse('a2a_console')}" if access.is_on() else ""
        self.stdout.write(
            f"""
  The agents  {base}/
  The card    {base}/.well-known/agent-card.json{console}
  The admin   {base}/admin/a2a_app/   {login}
  A stream    {streaming_curl(base)}
"""
        )
