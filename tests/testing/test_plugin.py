"""The plugin for pytest is found by itself, and costs a project that does not use it nothing."""

import subprocess
import sys

from tests.test_packaging import PROJECT

LOADED = "import sys, a2a_app.pytest_plugin; print(*sys.modules)"


def test_pytest_finds_the_plugin() -> None:
    assert "a2a_app.pytest_plugin" in PROJECT["entry-points"]["pytest11"].values()


def test_the_plugin_imports_nothing_before_a_test_uses_it() -> None:
    said = subprocess.run(
        [sys.executable, "-c", LOADED], capture_output=True, text=True, check=True, timeout=60
    )
    ours = {name for name in said.stdout.split() if name.startswith("a2a_app")}
    assert ours == {"a2a_app", "a2a_app.pytest_plugin"}
    assert "django" not in said.stdout.split()
