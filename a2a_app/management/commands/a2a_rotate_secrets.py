"""`manage.py a2a_rotate_secrets`: seal the secrets of webhooks with the present SECRET_KEY."""

from collections import Counter
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db.models import Value

from a2a_app import models
from a2a_app.management.batches import Batches, weighed_keys
from a2a_app.store.webhooks import reseal_webhooks


class Command(BaseCommand):
    """Encrypt the tokens and credentials of webhooks with the present SECRET_KEY."""

    help = (
        "Encrypt the tokens and credentials of webhooks with the present SECRET_KEY, so that the "
        "one before can leave SECRET_KEY_FALLBACKS. It may be stopped and run again."
    )

    def handle(self, *args: Any, **options: Any) -> None:
        """Encrypt them; raise CommandError if some cannot be read with any of the keys."""
        done: Counter[str] = Counter()
        sealed = models.PushNotificationConfig.objects.exclude(secrets="")
        keys = weighed_keys(sealed, Value(0))
        Batches(keys, reseal_webhooks, lambda seconds: None, done).run(threads=1)
        self.stdout.write(f"Encrypted anew: the secrets of {done['resealed']} webhooks.")
        if unreadable := done["unreadable"]:
            raise CommandError(
                f"The secrets of {unreadable} webhooks are of a key that is neither SECRET_KEY nor "
                "in SECRET_KEY_FALLBACKS."
            )
