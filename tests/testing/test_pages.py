"""What the page on testing shows runs, in a new project whose database is in memory."""

from importlib.metadata import entry_points
from pathlib import Path

from tests.sites import Site, named_blocks

CASES = """
from django.test import TransactionTestCase
from hello import tests

class WithRealTransactions(TransactionTestCase):
    pass

for _name, _test in vars(tests.GreeterTests).items():
    if _name == "setUp" or _name.startswith("test_"):
        setattr(WithRealTransactions, _name, _test)
"""
ASYNC = """
import pytest

@pytest.mark.parametrize("number", range(5))
@pytest.mark.parametrize("transaction", [
    pytest.param("no", marks=pytest.mark.django_db),
    pytest.param("yes", marks=pytest.mark.django_db(transaction=True)),
])
async def test_it_greets_its_caller(number, transaction, async_a2a_client, django_user_model):
    alice = await django_user_model.objects.acreate(username="alice")
    async with async_a2a_client("greeter", user=alice) as client:
        assert (await client.send("hello")).text == "alice, hello"
        assert await django_user_model.objects.acount() == 1

@pytest.mark.django_db(transaction=True)
def test_it_greets_with_real_transactions(a2a_client, django_user_model):
    alice = django_user_model.objects.create_user("alice")
    assert a2a_client("greeter", user=alice).send("hello").text == "alice, hello"
"""
OPTIONS = [
    "-o", "asyncio_mode=auto", "-o", "asyncio_default_fixture_loop_scope=function",
    "-o", "python_files=test*.py",
]  # fmt: skip  # pairs


def test_the_tests_of_the_page_pass_in_memory_five_times_out_of_five(tmp_path: Path) -> None:
    files = {
        **named_blocks("docs/quick-start.md"),
        **named_blocks("docs/testing.md"),
        "hello/tests_of_transactions.py": [CASES],
        "hello/test_async.py": [ASYNC],
    }
    files["mysite/settings.py"].append('A2A = {**A2A, "ANONYMOUS": "refuse"}\n')
    site = Site(tmp_path, files)
    plugin = [] if _is_installed() else ["-p", "a2a_app.pytest_plugin"]
    options = ["-q", "-c", "/dev/null", "-W", "error", *OPTIONS, *plugin]
    said = site.run("-m", "pytest", *options, "--rootdir", str(tmp_path), str(tmp_path / "hello"))
    # Seven cases with a transaction and without, eleven of pytest, and the page's three.
    assert "28 passed" in said


def _is_installed() -> bool:
    return any(each.value == "a2a_app.pytest_plugin" for each in entry_points(group="pytest11"))
