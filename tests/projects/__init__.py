"""Projects of other people's shapes, and what docs/in-your-project.md has them write."""

from typing import Any

from tests.sites import named_blocks

PAGE = "docs/in-your-project.md"


def written(file: str, about: str, **given: Any) -> dict[str, Any]:
    """Return the names in one of the page's blocks, once it has run.

    Args:
        file: The file that the block is for.
        about: A text that this block has, and no other for the same file.
        **given: What the project has in that file already.
    """
    [block] = [each for each in named_blocks(PAGE)[file] if about in each]
    names = {"__name__": "written", **given}
    exec(block, names)
    return names
