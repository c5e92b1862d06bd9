"""The benchmarks: what they report, and where. The figures themselves are not tested."""

import asyncio
import json
import re
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from benchmarks import expectations, growth, pages, plots
from benchmarks.figures import Cell, Figure, ratio, table
from benchmarks.fill import fill
from benchmarks.one_message import Tracer
from benchmarks.peer import Peer
from benchmarks.running import Running
from benchmarks.sections import COMPARED, NAMES
from benchmarks.servers import (
    ALL,
    FASTA2A,
    OURS,
    OURS_SQLITE,
    OURS_WORKERS,
    SDK_MEMORY,
    Server,
)
from benchmarks.workload import NotDoneError, Workload
from tests.servers import ROOT

SECONDS = 60
# More would make it hard to find one's way.
COUNTS = 3
MAX_FILES = 45


class Idle(Running):
    """Servers that take part and do not run, as the workloads of these tests ask them nothing."""

    def __init__(self) -> None:
        super().__init__(ExitStack(), (SDK_MEMORY, FASTA2A, OURS), tasks=0)

    def peer(self, server: Server) -> Peer:
        return Peer(server.product, "", ())


PLACES = [
    *((pages.BOOK, section) for section in NAMES),
    (pages.PAGE, "conditions"),
    (pages.PAGE, expectations.SECTION),
    (pages.BOOK, growth.SECTION),
    (pages.PAGE, growth.SECTION),
]


@pytest.mark.parametrize(("page", "section"), PLACES)
def test_each_section_has_its_place_in_its_page(page: Path, section: str) -> None:
    text = page.read_text()
    begin, end = pages.marks(section)
    assert text.count(begin) == text.count(end) == 1
    assert text.index(begin) < text.index(end)


def test_a_section_is_replaced_and_the_rest_of_its_page_stays(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    begin, end = pages.marks("streams")
    page.write_text(f"Before.\n\n{begin}\n\nold\n\n{end}\n\nAfter.\n")
    pages.write(page, "streams", "new\n")
    assert page.read_text() == f"Before.\n\n{begin}\n\nnew\n\n{end}\n\nAfter.\n"
    assert pages.read(page, "streams") == "new"
    with pytest.raises(ValueError, match="no place for 'idle'"):
        pages.write(page, "idle", "new")


def test_the_page_of_expectations_says_what_the_laboratory_book_says() -> None:
    assert pages.read(pages.PAGE, expectations.SECTION) == expectations.table().strip()
    assert pages.read(pages.PAGE, "conditions") == pages.read(pages.BOOK, "conditions")


@pytest.mark.parametrize(
    "line", [line for line in expectations.LINES if not line.row], ids=lambda line: line.operation
)
def test_each_expectation_is_of_a_work_that_is_measured(line: expectations.Line) -> None:
    names = [work.name for work in COMPARED[line.section]]
    assert any(name.startswith(line.title) for name in names)
    assert line.table()[OURS.name][line.column]


def test_a_table_is_read_as_it_was_written() -> None:
    cells: dict[str, Cell] = {"theirs": "never: nobody looks", "ours": [{"ms": 2500.0, "MB": 3.0}]}
    assert pages.tables(f"### A title\n\n{table(cells, ['ours'])}") == {
        "A title": {
            "theirs": {"server": "theirs", "ms": "never: nobody looks"}
            | dict.fromkeys(("middle half", "MB", "vs ours"), ""),
            "ours": {
                "server": "ours",
                "ms": "2,500",
                "middle half": "",
                "MB": "3.00",
                "vs ours": "1.00",
            },
        }
    }
    assert pages.number_in("2,500") == 2500
    assert pages.number_in("never: nobody looks") is pages.number_in("") is None


def test_no_two_servers_have_the_same_name() -> None:
    assert len({server.name for server in ALL}) == len(ALL)


@pytest.mark.parametrize(
    "work", [work for works in COMPARED.values() for work in works], ids=lambda work: work.name
)
def test_a_server_that_cannot_do_a_workload_stands_in_its_table(work: Workload) -> None:
    assert set(work.undone) <= set(work.servers) <= set(ALL)


def test_the_first_round_does_not_count_unless_servers_start_afresh() -> None:
    turns: list[str] = []

    async def work(peer: Peer) -> Figure:
        turns.append(peer.product)
        return {"a second": len(turns)}

    warm = Workload("work", work).compare(Idle(), 2)
    assert turns == ["SDK", "FastA2A", "a2a_app"] * 3
    assert warm[OURS.name] == [{"a second": 6}, {"a second": 9}]


def test_a_server_that_fails_says_why_and_the_others_go_on() -> None:
    async def work(peer: Peer) -> Figure:
        if peer.product == "SDK":
            raise NotDoneError("never: it was in memory")
        if peer.product == "FastA2A":
            raise RuntimeError("broken | off")
        return {"a second": 1.0}

    found = Workload("work", work).compare(Idle(), 1)
    assert found == {
        SDK_MEMORY.name: "never: it was in memory",
        FASTA2A.name: "failed: RuntimeError 'broken / off'",
        OURS.name: [{"a second": 1.0}],
    }


@pytest.mark.parametrize(("less", "ratio"), [(False, "0.50"), (True, "2.00")])
def test_a_ratio_above_one_is_better_whichever_way_the_unit_goes(less: bool, ratio: str) -> None:
    cells: dict[str, Cell] = {
        "theirs": [{"ms": 4.0}, {"ms": 6.0}, {"ms": 5.0}],
        "ours": [{"ms": 2.5, "MB": 3.0}] * 3,
        "another's": "not supported",
    }
    head, _, theirs, ours, other = table(cells, ["theirs", "absent"], less=less).split("\n")[:5]
    assert head == "| server | ms | middle half | MB | vs theirs |"
    assert theirs == "| theirs | 5.00 | 4.50 to 5.50 |  | 1.00 |"
    assert ours == f"| ours | 2.50 | 2.50 to 2.50 | 3.00 | {ratio} |"
    assert other == "| another's | not supported |  |  |  |"


def test_a_machine_that_is_slow_in_some_rounds_does_not_change_a_ratio() -> None:
    theirs, ours = [10.0, 10.0, 4.0, 4.0, 4.0], [30.0, 30.0, 30.0, 12.0, 12.0]
    cells: dict[str, Cell] = {
        "theirs": [{"a second": each} for each in theirs],
        "ours": [{"a second": each} for each in ours],
    }
    *_, shown, _ = table(cells, ["theirs"]).split("\n")
    assert shown == "| ours | 30.0 | 12.0 to 30.0 | 3.00 |"


def test_a_figure_that_is_missing_in_a_round_is_not_in_its_ratio() -> None:
    theirs = [{"short": 1.0, "long": 9.0}, {"short": 1.0}]
    ours = [{"short": 2.0, "long": 3.0}, {"short": 2.0, "long": 3.0}]
    assert ratio(ours, theirs, "long", less=True) == 3.0
    assert ratio(ours, theirs[1:] * 2, "long", less=True) is None


FILLED = [SDK_MEMORY, OURS_SQLITE, OURS, OURS_WORKERS]


@pytest.mark.parametrize("server", FILLED, ids=lambda server: server.name)
def test_a_server_is_filled_with_copies_that_are_whole_tasks(server: Server) -> None:
    with ExitStack() as stack:
        peer = server.start(stack)
        asyncio.run(fill(peer, 300))
        page = _result(peer, "ListTasks", pageSize=10)
        assert page["totalSize"] == 302
        *_, first, second = page["tasks"]
        assert first["id"] != second["id"]
        [artifact] = _result(peer, "GetTask", id=second["id"])["artifacts"]
        assert artifact["parts"][0]["text"].startswith("0 ")


def _result(peer: Peer, method: str, **params: Any) -> Any:
    said = asyncio.run(peer.ask(method, **params))
    return json.loads(said.partition(b"\r\n\r\n")[2])["result"]


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with the plots of the laboratory book as it is."""
    folder = tmp_path_factory.mktemp("plots")
    plots.draw(folder)
    return folder


def _words(svg: Path) -> str:
    return " ".join("".join(ElementTree.parse(svg).getroot().itertext()).split())


@pytest.mark.slow
@pytest.mark.parametrize("section", plots.DRAWN)
def test_a_plot_shows_the_figures_of_the_laboratory_book(section: str, drawn: Path) -> None:
    committed = pages.PLOTS / f"{section}.svg"
    assert _words(committed) == _words(drawn / f"{section}.svg")
    assert f"(plots/{section}.svg)" in pages.PAGE.read_text()


@pytest.mark.slow
def test_a_plot_is_the_same_where_the_figures_are(drawn: Path, tmp_path: Path) -> None:
    plots.draw(tmp_path)
    for section in plots.DRAWN:
        name = f"{section}.svg"
        assert (tmp_path / name).read_bytes() == (drawn / name).read_bytes()


@pytest.mark.parametrize("section", plots.DRAWN)
def test_every_colour_of_a_plot_has_another_for_dark_pages(section: str, drawn: Path) -> None:
    text = (drawn / f"{section}.svg").read_text()
    style, _, picture = text.partition("</style>")
    assert "@media (prefers-color-scheme: dark)" in style
    colours = set(re.findall(r"(?:fill|stroke): (#\w+)", picture))
    assert plots.TEXT in colours
    assert colours <= set(plots.DARK)


def test_the_table_of_growth_compares_what_one_round_has_measured() -> None:
    found = {"GetTask": {10: [2.0, 4.0, 8.0], 1000: [2.2, 4.4, 80.0]}}
    assert growth.table(found).splitlines() == [
        "| operation | 10 tasks, ms | 1,000 |",
        "| --- | ---: | ---: |",
        "| GetTask | 4.00 | 1.10 |",
    ]


def test_both_pages_have_the_same_table_of_growth() -> None:
    page = pages.read(pages.PAGE, growth.SECTION)
    assert "SendMessage" in page
    assert pages.read(pages.BOOK, growth.SECTION).startswith(page)


def test_a_coroutine_that_is_resumed_counts_as_one_call() -> None:
    tracer = Tracer(Path(__file__).parent)

    async def waits() -> None:
        for _ in range(3):
            await asyncio.sleep(0)

    with tracer.installed(), tracer.counting():
        asyncio.run(waits())
    calls, depth = tracer.counted()
    assert calls == {waits.__code__: 1}
    assert depth == 2  # this test is on the stack too


# It starts a process of its own, which takes longer than all other tests of a file.
@pytest.mark.servers
def test_the_page_on_the_architecture_says_how_many_files_a_message_passes_through() -> None:
    command = [sys.executable, "-m", "benchmarks.one_message", "--json"]
    page = (ROOT / "docs" / "architecture.md").read_text()
    [files] = map(int, re.findall(r"passes through (\d+) files", page))
    # On a busy machine what earlier messages have left behind reaches into all that count.
    for _ in range(COUNTS):
        counted = json.loads(subprocess.check_output(command, cwd=ROOT, timeout=SECONDS))
        if counted["files"] == files:
            break
    assert counted["files"] == files <= MAX_FILES
