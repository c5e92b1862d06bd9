"""System checks of REMOTE_AGENTS: what its entries name is there.

Whether the agents are there, nobody asks here: a check connects to no other site.
"""

from collections.abc import Iterator

from django.core import checks
from django.core.exceptions import ImproperlyConfigured

from a2a_app import conf
from a2a_app.checks.project import TAG, Finding
from a2a_app.client.credentials import credentials_hook


@checks.register(TAG)
def check_remote_agents(**_: object) -> list[Finding]:
    """Find an AUTH_CREDENTIALS_FROM or a KEY that leads to nothing of use (a2a.E031)."""
    try:
        agents = conf.current().remote_agents
    except ImproperlyConfigured:
        return []  # a2a.E001 reports it
    faults = [fault for name, agent in agents.items() for fault in _faults(name, agent.key)]
    return [checks.Error(fault, id="a2a.E031") for fault in faults]


def _faults(name: str, key: str) -> Iterator[str]:
    try:
        credentials_hook(name)
    except ImproperlyConfigured as error:
        yield str(error)
    if not key:
        return
    setting = f"{conf.NAME}['REMOTE_AGENTS.{name}.KEY']"
    try:
        from a2a_app.agents import signing  # loaded here: its libraries come with an extra

        signing.read_key(key)
    except ImportError:
        yield f"{setting} needs the extra 'signing'."
    except ValueError as error:
        yield f"{setting} {error}."
