"""The ladder: what a request costs, step by step, from a bare ASGI application to SendMessage.

Each rung does one thing more than the rung before. The difference is what that thing costs.
"""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Literal

from benchmarks import cores
from benchmarks.figures import Figure, middle, number, spread
from benchmarks.fill import fill
from benchmarks.peer import Peer, for_a_while
from benchmarks.servers import QUIET
from tests.servers import fresh_database, web_server

Http = Literal["daphne", "uvicorn"]
SECONDS = 0.6
ABSENT = "00000000-0000-7000-8000-000000000000"


@dataclass(frozen=True)
class Rung:
    """A request that does one thing more than the rung before, and the site that answers it."""

    name: str
    site: str
    ask: Callable[[Peer], Awaitable[object]]


@dataclass(frozen=True)
class Site:
    """A server that answers some of the rungs, and how it is started."""

    application: str = "project.asgi:application"
    settings: str = "tests.settings"
    environment: tuple[tuple[str, str], ...] = ()


SITES = {
    "bare": Site(application="benchmarks.floors.bare:application"),
    "plain": Site(settings="benchmarks.floors.without_middleware"),
    "project": Site(settings="benchmarks.floors.settings"),
    "a2a_app": Site(),
    # What looks at connections, and watches over work with them, does nothing.
    "unguarded": Site(application="benchmarks.floors.unguarded:application"),
    # PostgreSQL answers before a commit is on the disk. libpq passes the option on.
    "unsafe": Site(environment=(("PGOPTIONS", "-c synchronous_commit=off"),)),
}


def _nothing(path: str) -> Callable[[Peer], Awaitable[object]]:
    return lambda peer: peer.ask("Nothing", path=path, expect=b"{}")


def _refused(method: str, **params: object) -> Callable[[Peer], Awaitable[object]]:
    return lambda peer: peer.ask(method, expect=b'"error"', **params)


RUNGS = (
    Rung("the HTTP server and a bare ASGI application", "bare", _nothing("/")),
    Rung("Django: a view, without middleware", "plain", _nothing("/django/")),
    Rung("the middleware of the reference project", "project", _nothing("/django/")),
    Rung("django-ninja", "project", _nothing("/ninja/")),
    Rung("this app: reads the envelope, refuses the method", "a2a_app", _refused("Nothing")),
    Rung("identifies the caller, refuses the parameters", "a2a_app", _refused("GetTask")),
    Rung("looks into the database, finds nothing", "a2a_app", _refused("GetTask", id=ABSENT)),
    Rung(
        "GetTask, on connections that nobody looks after",
        "unguarded",
        lambda p: p.ask("GetTask", id=p.small),
    ),
    Rung("GetTask: reads a task and returns it", "a2a_app", lambda p: p.ask("GetTask", id=p.small)),
    # A message and its answer need two commits: the task with its message, and the end.
    Rung("the floor of a send: Django and two commits of a row", "plain", _nothing("/commits/")),
    Rung("SendMessage, without waiting for the disk", "unsafe", lambda peer: peer.send()),
    Rung("SendMessage, on such connections", "unguarded", lambda peer: peer.send()),
    Rung("SendMessage", "a2a_app", lambda peer: peer.send()),
)


def _start(stack: ExitStack, site: Site, http: Http) -> Peer:
    url = stack.enter_context(fresh_database("postgresql"))
    server = web_server(http, database_url=url, settings_module=site.settings)
    server.command[-1] = site.application
    server.command += QUIET[http]
    server.env.update(site.environment)
    stack.callback(server.kill)
    with cores.of_servers():
        server.start()
    return Peer("a2a_app", url, (server,))


async def _climb(peer: Peer, rung: Rung) -> Figure:
    spent = await for_a_while(peer, lambda: rung.ask(peer), clients=1, seconds=SECONDS)
    return {"ms": 1e3 / spent.rate, "CPU ms": spent.milliseconds}


def measure(rounds: int) -> str:
    """Climb the ladder on both HTTP servers, in turn, and return the tables."""
    parts = []
    found: dict[Http, dict[str, list[Figure]]] = {
        http: {rung.name: [] for rung in RUNGS} for http in ("daphne", "uvicorn")
    }
    with ExitStack() as stack:
        peers = {
            (http, name): _start(stack, site, http)
            for http in found for name, site in SITES.items()
        }  # fmt: skip  # the two loops belong together
        for (_, name), peer in peers.items():
            if name in ("a2a_app", "unguarded", "unsafe"):
                asyncio.run(fill(peer, 0))
        for number_of_round in range(rounds + 1):
            for http, figures in found.items():
                for rung in RUNGS:
                    figure = asyncio.run(_climb(peers[http, rung.site], rung))
                    if number_of_round:
                        figures[rung.name].append(figure)
    for http, figures in found.items():
        parts.append(f"On {http}:\n\n{_table(figures)}")
    return "\n".join(parts)


def _table(figures: dict[str, list[Figure]]) -> str:
    lines = [
        "| the request, up to this step | CPU ms | added | ms | added | middle half |",
        "| --- | ---: | ---: | ---: | ---: | ---: |",
    ]
    before = dict.fromkeys(("CPU ms", "ms"), 0.0)
    for name, rounds in figures.items():
        now = {column: middle(rounds, column) for column in before}
        cells = [f"{number(now[each])} | {now[each] - before[each]:+.2f}" for each in before]
        half = spread([each["ms"] for each in rounds])
        lines.append(f"| {name} | {' | '.join(cells)} | {half} |")
        before = now
    return "\n".join([*lines, ""])
