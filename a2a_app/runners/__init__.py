"""Runners: what makes turns run. The claim, the lease and the recovery are the same for all."""

from django.core.exceptions import ImproperlyConfigured
from django.utils.module_loading import import_string

from a2a_app import conf
from a2a_app.runners.base import Runner

RUNNERS = {
    "embedded": "a2a_app.runners.embedded.EmbeddedRunner",
    "procrastinate": "a2a_app.runners.procrastinate.ProcrastinateRunner",
    "tasks": "a2a_app.runners.django_tasks.TasksRunner",
}


@conf.cached()
def current() -> Runner:
    """Give the project's runner; raises ImproperlyConfigured where the setting names none."""
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
