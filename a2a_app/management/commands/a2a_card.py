"""`manage.py a2a_card`: print the card of an agent, or verify any card."""

import json
from typing import Any

from asgiref.sync import async_to_sync
from django.core.management.base import BaseCommand, CommandError, CommandParser

from a2a_app import conf
from a2a_app.agents import Agent, AgentNotFoundError, registry
from a2a_app.agents.cards import card_for
from a2a_app.bindings.interfaces import served_at


class Command(BaseCommand):
    """Print the card of an agent as clients get it, or verify a card from anywhere."""

    help = "Print the card of an agent, signed if the settings say so. Or verify any card."

    def add_arguments(self, parser: CommandParser) -> None:
        """Add the slug and the options --url, --verify, --key and --jwks."""
        parser.add_argument(
            "slug", nargs="?", help="The slug of the agent. Without it: the agent of the site."
        )
        parser.add_argument("--url", help="The URL of the server, if it is not PUBLIC_URL.")
        parser.add_argument("--verify", metavar="CARD", help="A card to verify: a URL or a file.")
        parser.add_argument("--key", default="", help="A file with the public key, in PEM.")
        parser.add_argument("--jwks", default="", help="A file with the public keys, a JWK Set.")

    def handle(self, *args: Any, **options: Any) -> None:
        """Print or verify."""
        if options["verify"]:
            self._verify(options["verify"], key=options["key"], jwks=options["jwks"])
        else:
            self._print(options["slug"], options["url"] or conf.current().public_url)

    def _print(self, slug: str | None, base: str) -> None:
        if not base:
            raise CommandError(
                "Set A2A['PUBLIC_URL'] or give --url, since a card has the URL of its agent."
            )
        agent = _agent(slug)
        card = async_to_sync(card_for)(agent, served_at(base.rstrip("/"), agent), None)
        self.stdout.write(json.dumps(card.to_dict(), indent=2, ensure_ascii=False))

    def _verify(self, source: str, **trusted: str) -> None:
        try:
            from a2a_app.agents.signing import SignatureError  # loaded here: needs an extra
            from a2a_app.management.verification import verify_card  # loaded here: as above
        except ImportError as error:
            raise CommandError(f"Verifying needs the extra 'signing': {error}") from None
        try:
            card, header = verify_card(source, **trusted)
        except SignatureError as error:
            raise CommandError(f"Not verified: {error}") from None
        if source.startswith("http://"):
            self.stderr.write(
                "The card came without TLS, so anybody on the way could have changed it."
            )
        self.stdout.write(f"Verified: {card.name!r}, signed with the key {header['kid']!r}.")


def _agent(slug: str | None) -> Agent:
    try:
        return registry.get(slug) if slug else registry.default()
    except AgentNotFoundError:
        known = ", ".join(sorted(registry.slugs())) or "none"
        wanted = repr(slug) if slug else "of the site"
        raise CommandError(f"There is no agent {wanted}; there are: {known}.") from None
