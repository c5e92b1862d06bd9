"""Settings of a site whose workers are Celery's, and its app, as docs/celery.md has them."""

import re

from tests.settings import *  # noqa: F403  # the same but for the queue
from tests.settings import BASE_DIR

_PAGE = (BASE_DIR / "docs" / "celery.md").read_text()
for _file in ("settings", "celery"):
    [_block] = re.findall(rf"^```python\n(# mysite/{_file}\.py\n.*?)^```$", _PAGE, re.M | re.S)
    exec(_block)
