"""Hooks of the documentation site, which `mkdocs.yml` names.

The pages of `docs` link to each other, and to other files of the repository, by relative paths.
So they can be read wherever the repository is. On the site a few of these files are pages of their
own, and links to the others lead into the repository, whose address is in `pyproject.toml`.
"""

import os
import posixpath
import re
import tomllib
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).parents[1]
# Files at the top of the repository that are pages of the site.
PAGES = {
    "README.md": "index.md",
    "CHANGELOG.md": "changelog.md",
    "CONTRIBUTING.md": "contributing.md",
}
SOURCES = {page: source for source, page in PAGES.items()}
LINK = re.compile(r"(?<=\]\()(?![a-z]+:|#)([^)\s#]+)")


def on_config(config: MkDocsConfig) -> None:
    """Take the repository's address from pyproject.toml."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    config.repo_url = project["urls"]["Repository"]
    config.repo_name = "Repository"


def on_files(files: Files, config: MkDocsConfig) -> None:
    """Add the pages that are made of files at the top of the repository."""
    for source, page in PAGES.items():
        files.append(File.generated(config, page, abs_src_path=str(ROOT / source)))


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Make each link to a file of the repository lead to its page, or into the repository."""
    here = page.file.src_uri
    source = SOURCES.get(here, f"docs/{here}")

    def placed(match: re.Match[str]) -> str:
        target = posixpath.normpath(posixpath.join(posixpath.dirname(source), match[1]))
        if target in PAGES:
            return posixpath.relpath(PAGES[target], posixpath.dirname(here) or ".")
        if target.startswith("docs/"):
            return posixpath.relpath(target.removeprefix("docs/"), posixpath.dirname(here) or ".")
        if os.path.exists(ROOT / target):
            return f"{config.repo_url}/blob/HEAD/{target}"
        return match[1]  # leads nowhere, which the strict build reports

    return LINK.sub(placed, markdown)
