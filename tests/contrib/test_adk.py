"""Agents of Google's kit behind ours, in an environment of the kit's own.

It needs other versions of our packages than we do, and takes longer to install than all the rest.
"""

import re
import subprocess
import sysconfig

import pytest

from tests.acceptance import installed
from tests.servers import ROOT

KIT = "google-adk>=2.13,<3"
SECONDS = 90
# The kit's packages first, and of ours those that it lacks.
RUN = (
    "import sys; sys.path += sys.argv[1:3]; import pytest;"
    "sys.exit(pytest.main(['-q', '-p', 'no:cacheprovider', sys.argv[3]]))"
)


@pytest.mark.timeout(installed.SECONDS + SECONDS)
def test_agents_of_the_kit_pass_their_cases_where_it_is_installed() -> None:
    cases = ROOT / "tests" / "contrib" / "adk_cases.py"
    ours = sysconfig.get_paths()["purelib"]
    command = [str(installed.python_with(KIT)), "-c", RUN, ours, str(ROOT), str(cases)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=SECONDS)
    assert done.returncode == 0, done.stdout[-20_000:] + done.stderr[-5_000:]
    found = re.search(r"(\d+) passed", done.stdout)
    assert found and int(found[1]) == cases.read_text().count("\nasync def test_") + 2
