"""The tests' app, which gives a server's process what no setting says."""

import os
from datetime import timedelta

from django.apps import AppConfig


class TestsConfig(AppConfig):
    """Lets a test say how seldom a turn looks at what an agent elsewhere is to tell it of."""

    name = "tests.app"

    def ready(self) -> None:
        """Read it from the environment, where it is there."""
        if seconds := os.environ.get("A2A_TEST_LOOK_SECONDS"):
            from a2a_app.agents.durable import errands  # it needs the models

            errands.LONGEST_LOOK = timedelta(seconds=float(seconds))
