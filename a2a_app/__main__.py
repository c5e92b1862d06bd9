"""`python -m a2a_app startproject NAME [FOLDER]`: make a new project that has a first agent."""

import sys
from collections.abc import Sequence

from django.core.management import execute_from_command_line

from a2a_app import TEMPLATE

COMMAND = "startproject"


def main(arguments: Sequence[str]) -> None:
    """Do what Django's own `startproject` does, with our template and all of its options.

    Raises:
        SystemExit: Something else is asked for.
    """
    if arguments[:1] != [COMMAND]:
        raise SystemExit(f"usage: python -m a2a_app {COMMAND} NAME [FOLDER]")
    execute_from_command_line(
        ["python -m a2a_app", COMMAND, "--template", str(TEMPLATE), *arguments[1:]]
    )


if __name__ == "__main__":
    main(sys.argv[1:])
