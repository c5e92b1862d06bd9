"""Chromium: where this machine has it. `python -m tests.browser.chromium` installs it.

It comes from Debian's package where that can be installed, and from Playwright elsewhere. Neither
is tried where there is a browser already, or where CHROMIUM names one.
"""

import os
import shutil
import subprocess
import sys

# A package of Ubuntu's puts a script under the last name, which does not always have a browser.
NAMES = ("chromium", "google-chrome", "google-chrome-stable", "chromium-browser")
# Without fonts no text has a width. Another process may be installing packages too.
APT = ("apt-get", "--yes", "-o", "DPkg::Lock::Timeout=300")
PACKAGES = ("chromium", "fonts-dejavu-core", "fonts-liberation")
ARGUMENTS = ("--no-sandbox", "--disable-gpu")
"""As root it runs without a sandbox only, and nothing but our site is visited."""


def find() -> str | None:
    """Return the path of the browser; None: Playwright's own, if there is one."""
    return os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, NAMES)), None)


def install() -> None:
    """Install it; raise CalledProcessError where that is not possible."""
    if shutil.which("apt-get") and os.geteuid() == 0:
        quiet = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
        # The lists may be old, or not there at all.
        for command in (["update"], ["install", "--no-install-recommends", *PACKAGES]):
            subprocess.run([*APT, *command], env=quiet, check=True)
    else:
        subprocess.run([sys.executable, "-m", "playwright", "install", "chromium"], check=True)


if __name__ == "__main__":
    if find() is None:
        install()
