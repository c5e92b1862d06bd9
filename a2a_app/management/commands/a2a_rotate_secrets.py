"""`manage.py a2a_rotate_secrets`: seal all secrets with the present SECRET_KEY."""

from collections import Counter
from collections.abc import Iterator
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db.models import Value

from a2a_app import models
from a2a_app.management.batches import Batches, WeighedKey, weighed_keys
from a2a_app.store.secrets import reseal_rows


class Command(BaseCommand):
    """Encrypt what is encrypted in the database with the present SECRET_KEY."""

    help = (
        "Encrypt the tokens and credentials of webhooks, and what HAND_ON has taken from requests, "
        "with the present SECRET_KEY, so that the one before can leave SECRET_KEY_FALLBACKS. It "
        "may be stopped and run again."
    )

    def handle(self, *args: Any, **options: Any) -> None:
        """Encrypt them; raise CommandError if some cannot be read with any of the keys."""
        webhooks = models.PushNotificationConfig.objects.exclude(secrets="")
        of_webhooks = _resealed(weighed_keys(webhooks, Value(0)), webhooks.model, "secrets")
        # A run has some until it is over, and no lease while its turn sleeps or asks.
        open_runs = models.Run.objects.filter(ended_at=None).exclude(handed_on="")
        of_turns = _resealed(weighed_keys(open_runs, Value(0)), open_runs.model, "handed_on")
        self.stdout.write(
            f"Encrypted anew: the secrets of {of_webhooks['resealed']} webhooks and of "
            f"{of_turns['resealed']} turns."
        )
        if of_webhooks["unreadable"] or of_turns["unreadable"]:
            raise CommandError(
                f"The secrets of {of_webhooks['unreadable']} webhooks and of "
                f"{of_turns['unreadable']} turns are of a key that is neither SECRET_KEY nor in "
                "SECRET_KEY_FALLBACKS."
            )


def _resealed(keys: Iterator[WeighedKey], model: Any, field: str) -> Counter[str]:
    done: Counter[str] = Counter()

    def reseal(batch: Any) -> dict[str, int]:
        return reseal_rows(model.objects.filter(pk__in=batch), field)

    Batches(keys, reseal, lambda seconds: None, done).run(threads=1)
    return done
