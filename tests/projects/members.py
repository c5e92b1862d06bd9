"""A project with users of its own, languages in its URLs and a replica; without the admin.

It is run as a process of its own, since a process has one model of users. It prints what the checks
find, with the project's own lines and with those of the page, and what a member gets from an agent.
"""

import asyncio
import json
import sys
from pathlib import Path
from typing import Any

import django
from django.conf import settings
from django.core import checks
from django.core.management import call_command
from django.http import HttpRequest
from django.test.client import AsyncClient
from django.test.utils import override_settings, setup_test_environment
from django.urls import include, path

from tests.projects import written
from tests.wire import envelope, message

APP = "tests.projects.memberships"


class Replicated:
    """A router as many projects have it: all reads go to the replica."""

    def db_for_read(self, model: Any, **hints: Any) -> str:
        return "replica"

    def db_for_write(self, model: Any, **hints: Any) -> str:
        return "default"


def authenticate(request: HttpRequest) -> Any:
    """Know a member by the address in a header."""
    from tests.projects.memberships.models import Member  # loaded here: needs the app registry

    address = request.headers.get("X-Member", "")
    return Member.objects.using("default").filter(email=address).first()


def configure(folder: Path) -> None:
    """Set the project up; its replica has no tables, so that each read of it fails."""
    databases = {
        alias: {"ENGINE": "django.db.backends.sqlite3", "NAME": str(folder / alias)}
        for alias in ("default", "replica")
    }
    settings.configure(
        SECRET_KEY="for-tests-only",
        ALLOWED_HOSTS=["*"],
        INSTALLED_APPS=[
            "django.contrib.contenttypes", "django.contrib.auth", "channels", "a2a_app", APP,
        ],
        MIDDLEWARE=["django.middleware.locale.LocaleMiddleware"],
        AUTH_USER_MODEL="memberships.Member",
        ROOT_URLCONF=(),
        ASGI_APPLICATION="mysite.asgi.application",
        DATABASES=databases,
        DATABASE_ROUTERS=[Replicated()],
        CHANNEL_LAYERS={"default": {"BACKEND": "channels.layers.InMemoryChannelLayer"}},
        DEBUG=True,
        USE_TZ=True,
        DEFAULT_AUTO_FIELD="django.db.models.BigAutoField",
        A2A={"AUTHENTICATION": [f"{__name__}.authenticate"], "SHUTDOWN_SECONDS": 0},
        SILENCED_SYSTEM_CHECKS=["a2a.W010"],  # it tells nobody how it knows its members
    )  # fmt: skip  # the apps in one line
    django.setup()


def found() -> list[str]:
    return sorted(each.id or "" for each in checks.run_checks() if not each.is_silenced())


async def ask(member: str) -> tuple[int, dict[str, Any]]:
    headers = {"A2A-Version": "1.0", **({"X-Member": member} if member else {})}
    body = json.dumps(envelope("SendMessage", {"message": message("hello")}))
    response = await AsyncClient().post(
        "/a2a/greeter/", body, content_type="application/json", headers=headers
    )
    return response.status_code, json.loads(response.content)


async def main() -> dict[str, Any]:
    from a2a_app import runners  # loaded here: needs the settings

    (refused, _), (status, answer) = await ask(""), await ask("ann@example.com")
    await runners.current().close()
    return {"statuses": [refused, status], "task": answer.get("result", answer).get("task")}


if __name__ == "__main__":
    configure(Path(sys.argv[1]))
    from django.conf.urls.i18n import i18n_patterns  # loaded here: needs the settings

    with override_settings(ROOT_URLCONF=tuple(i18n_patterns(path("", include("a2a_app.urls"))))):
        before = found()
    patterns = (path("", include("a2a_app.urls")), *i18n_patterns(path("admin/", include([]))))
    settings.DATABASE_ROUTERS = [written("routers.py", "db_for_read")["Router"]()]
    with override_settings(ROOT_URLCONF=patterns, DATABASE_ROUTERS=settings.DATABASE_ROUTERS):
        after = found()
        call_command("migrate", run_syncdb=True, verbosity=0)
        from tests.projects.memberships.models import Member  # loaded here: as above

        Member.objects.using("default").create(email="ann@example.com")
        setup_test_environment()
        sys.stdout.write(json.dumps({"before": before, "after": after, **asyncio.run(main())}))
