"""The one thing that pyproject.toml cannot say: the README as the package's page shows it.

In the repository its links are relative, so that they lead to the files of the same commit. On the
package's page there are no files beside it, so they lead into the repository.
"""

import re
import tomllib
from pathlib import Path

from setuptools import setup

ROOT = Path(__file__).parent
REPOSITORY = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["urls"]["Repository"]
IMAGE = re.compile(r"(?<=!)(\[[^\]]*\])\((?![a-z]+:)([^)\s]+)\)")
LINK = re.compile(r"(\[[^\]]*\])\((?![a-z]+:|#)([^)\s]+)\)")

readme = (ROOT / "README.md").read_text()
readme = IMAGE.sub(rf"\1({REPOSITORY}/raw/HEAD/\2)", readme)
readme = LINK.sub(rf"\1({REPOSITORY}/blob/HEAD/\2)", readme)

setup(long_description=readme, long_description_content_type="text/markdown")
