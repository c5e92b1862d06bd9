from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand

from project.examples import streaming_curl


class Command(BaseCommand):
    help = "Print what to try once the reference project is served."

    def handle(self, *args: Any, **options: Any) -> None:
        base = f"http://127.0.0.1:{settings.PORT}"
        self.stdout.write(
            f"""
  The card    {base}/.well-known/agent-card.json
  The admin   {base}/admin/   (create a user first: .venv/bin/python manage.py createsuperuser)
  A stream    {streaming_curl(base)}
"""
        )
