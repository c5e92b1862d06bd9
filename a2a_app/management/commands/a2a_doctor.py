"""`manage.py a2a_doctor`: look at a running site from outside, and at its settings from inside."""

import json
from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

import httpx
from django.core.management.base import BaseCommand, CommandError, CommandParser

from a2a_app import conf
from a2a_app.management.doctor import Finding, project
from a2a_app.management.doctor.site import SECONDS, SiteExamination
from a2a_app.management.doctor.streams import examine_stream

SIGNS = {"good": "ok", "note": "--", "warning": "??", "fault": "NO"}


class Command(BaseCommand):
    """Look at a running site, and say what is wrong with it."""

    help = "Look at a running site from outside, and at what it needs from inside."
    # Its own findings have them, and a fault must not keep the rest from being looked at.
    requires_system_checks = ()

    def add_arguments(self, parser: CommandParser) -> None:
        """Add the URL, and what may be done there."""
        parser.add_argument("url", nargs="?", help="The site. Without it: A2A['PUBLIC_URL'].")
        parser.add_argument("--agent", default="", help="An agent, in place of the site's.")
        parser.add_argument("--key", default="", help="An API key, or another bearer token.")
        parser.add_argument("--send", metavar="TEXT", help="Send this to the agent, as a stream.")
        parser.add_argument("--outside", action="store_true", help="Do not look inside.")
        parser.add_argument("--json", action="store_true", help="Print the findings as JSON.")

    def handle(self, *args: Any, **options: Any) -> None:
        """Print what is found; raise CommandError, and so exit with 1, where there is a fault."""
        url = options["url"] or conf.current().public_url
        if not url and options["outside"]:
            raise CommandError("Name the site's URL, or set A2A['PUBLIC_URL'].")
        found = []
        for finding in _findings(url, options):
            found.append(finding)
            if not options["json"]:
                self.stdout.write(f"{SIGNS[finding.level]}  {finding.subject}: {finding.text}")
        if options["json"]:
            self.stdout.write(json.dumps([asdict(each) for each in found], indent=2))
        faults = sum(finding.level == "fault" for finding in found)
        if faults:
            raise CommandError(f"Faults: {faults}.")


def _findings(url: str, options: dict[str, Any]) -> Iterator[Finding]:
    if url:
        with httpx.Client(timeout=SECONDS) as client:
            site = SiteExamination(client, url, agent=options["agent"], key=options["key"])
            yield from site.findings()
            if options["send"] is not None and site.endpoint:
                yield from examine_stream(client, site, options["send"])
    if not options["outside"]:
        yield from project.findings()
