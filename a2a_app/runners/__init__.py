"""Runners: the ways in which turns get to workers. All have the same claims and leases."""

from django.core.exceptions import ImproperlyConfigured
from django.utils.module_loading import import_string

from a2a_app import conf
from a2a_app.runners.base import Runner

RUNNERS = {
    "celery": "a2a_app.runners.celery.CeleryRunner",
    "embedded": "a2a_app.runners.embedded.EmbeddedRunner",
    "procrastinate": "a2a_app.runners.procrastinate.ProcrastinateRunner",
    "tasks": "a2a_app.runners.django_tasks.TasksRunner",
}


# By name. Only that of the project is ever made, except in tests.
_made: dict[str, Runner] = {}


@conf.cached()
def current() -> Runner:
    """Return the project's runner; raises ImproperlyConfigured if the setting names none.

    One that is at work stays when other settings change, as happens in tests. It would go on to
    claim turns beside a second one, each of them as many as MAX_RUNS.
    """
    name = conf.current().runner
    made = _made.get(name)
    if made is None or not made.is_at_work:
        made = _made[name] = _make(name)
    return made


def _make(name: str) -> Runner:
    try:
        runner = import_string(RUNNERS.get(name, name))()
    except ImportError as error:
        known = ", ".join(RUNNERS)
        raise ImproperlyConfigured(
            f"{conf.NAME}['RUNNER'] is {name!r}: use one of {known}, or a dotted path ({error})."
        ) from error
    if not isinstance(runner, Runner):
        raise ImproperlyConfigured(f"{conf.NAME}['RUNNER']: {name!r} is not a Runner.")
    return runner


__all__ = ["Runner", "current"]
