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


@conf.cached()
def current() -> Runner:
    """Return the project's runner; raises ImproperlyConfigured if the setting names none."""
    name = conf.current().runner
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
