"""Refuse a release that is not ready: `python .ci/check_release.py v1.2.3`. Needs no packages."""

import re
import sys
import tomllib
from pathlib import Path

# What stands in [project.urls] for a name that is not known yet.
PLACEHOLDER = "OWNER"
ROOT = Path(__file__).resolve().parent.parent


def faults(tag: str, project: dict[str, object], changelog: str) -> list[str]:
    """Return what is wrong with a release: its tag, its changes, its addresses."""
    version = str(project["version"])
    found = []
    if tag != f"v{version}":
        found.append(f"The tag is {tag}, but the version in pyproject.toml is {version}.")
    heading = rf"^## \[{re.escape(version)}\] - \d{{4}}-\d\d-\d\d$"
    if not re.search(heading, changelog, re.MULTILINE):
        found.append(f"CHANGELOG.md has no section for {version} with its date.")
    urls = project["urls"]
    assert isinstance(urls, dict)
    for name, address in urls.items():
        if PLACEHOLDER in str(address).split("/"):
            found.append(f"{name} in [project.urls] is {address}: put a name for {PLACEHOLDER}.")
    return found


def main(tag: str) -> str:
    """Return all faults as one text; empty where there are none."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    return "\n".join(faults(tag, project, (ROOT / "CHANGELOG.md").read_text()))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]) or None)
