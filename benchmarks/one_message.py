"""Count the functions and files that one message passes through, in this app and in the SDK.

    python -m benchmarks.one_message [--sdk] [--functions | --json]

One blocking SendMessage goes to the load agent on SQLite, in this process and without an HTTP
server. The counts are of Python code of the package itself, on all threads; lambdas and
comprehensions are counted with the function that contains them. `lines` is the length of these
functions, `depth` how many of them are at most on one stack.

The first messages warm the caches and do not count. Of those that follow, only what all of them
pass through counts, so that a heartbeat that happens to fall into one of them does not.
"""

import argparse
import asyncio
import importlib
import importlib.util
import inspect
import json
import os
import sys
import threading
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

from tests.servers import fresh_database
from tests.wire import envelope, load_message

WARM, COUNTED = 20, 10
# Work that an answer leaves behind, such as a notification, ends within this time.
QUIET_SECONDS = 0.1


@dataclass(frozen=True)
class Target:
    """A server's package, and an ASGI application that serves the load agent with it."""

    name: str
    package: str
    application: str
    path: str

    @property
    def folder(self) -> Path:
        """The folder whose code counts."""
        spec = importlib.util.find_spec(self.package)
        assert spec is not None and spec.origin is not None
        return Path(spec.origin).parent


OURS = Target("a2a_app", "a2a_app", "project.asgi:application", "/a2a/load/")
SDK = Target("a2a-sdk, SQLite store", "a2a", "benchmarks.sdk_server:application", "/")


@dataclass(frozen=True)
class Passage:
    """What a message passes through below one folder."""

    folder: Path
    calls: Mapping[CodeType, int]
    """How often each function is called; to resume a coroutine or a generator is no call."""
    depth: int
    """How many of these functions are at most on one stack."""

    @property
    def functions(self) -> int:
        """How many functions there are."""
        return len(self.calls)

    @property
    def total_calls(self) -> int:
        """How often any of them is called."""
        return sum(self.calls.values())

    @property
    def lines(self) -> int:
        """How many lines these functions have, signatures and docstrings included."""
        return sum(len(inspect.getsourcelines(code)[0]) for code in self.calls)

    @property
    def files(self) -> Mapping[str, int]:
        """The functions of each file, named by its path below the folder, in order."""
        return dict(sorted(Counter(self._file(code) for code in self.calls).items()))

    @property
    def rooms(self) -> Mapping[str, list[str]]:
        """The files of each room: a package, or a module at the top."""
        rooms: dict[str, list[str]] = {}
        for file in self.files:
            room, _, inside = file.partition("/")
            rooms.setdefault(room.removesuffix(".py"), []).append(inside or file)
        return rooms

    def named_calls(self) -> Iterator[tuple[str, int]]:
        """Yield each function as `file:line name`, with the number of its calls."""
        for code, count in self.calls.items():
            name = getattr(code, "co_qualname", code.co_name)
            yield f"{self._file(code)}:{code.co_firstlineno} {name}", count

    def _file(self, code: CodeType) -> str:
        return Path(code.co_filename).relative_to(self.folder).as_posix()


class Tracer:
    """Counts calls of functions below a folder, on all threads that start while it is installed."""

    def __init__(self, folder: Path) -> None:
        self._prefix = f"{folder}{os.sep}"
        self._lock = threading.Lock()
        self._counting = False
        self._calls: Counter[CodeType] = Counter()
        self._depth = 0

    @contextmanager
    def installed(self) -> Iterator[None]:
        """Watch this thread, and those that start meanwhile."""
        threading.setprofile(self._saw)
        sys.setprofile(self._saw)
        try:
            yield
        finally:
            sys.setprofile(None)
            threading.setprofile(None)

    @contextmanager
    def counting(self) -> Iterator[None]:
        """Count from zero for as long as this lasts."""
        self._calls, self._depth = Counter(), 0
        self._counting = True
        try:
            yield
        finally:
            self._counting = False

    def counted(self) -> tuple[Counter[CodeType], int]:
        """Return the calls of each function, and the depth."""
        return self._calls, self._depth

    def _saw(self, frame: FrameType, event: str, _: object) -> None:
        if not self._counting or event != "call" or not self._ours(frame):
            return
        depth, caller = 1, frame.f_back
        while caller is not None:
            depth, caller = depth + self._ours(caller), caller.f_back
        with self._lock:
            self._depth = max(self._depth, depth)
            self._calls[frame.f_code] += _begins(frame)

    def _ours(self, frame: FrameType) -> bool:
        code = frame.f_code
        return code.co_filename.startswith(self._prefix) and not code.co_name.startswith("<")


def _begins(frame: FrameType) -> bool:
    """Return whether a frame is at its beginning, and not one that is resumed.

    The argument of the instruction RESUME says so: 0 at the beginning of a function.
    """
    return not frame.f_code.co_code[frame.f_lasti + 1] & 3


@asynccontextmanager
async def _served(application: Any) -> AsyncIterator[None]:
    """Have an application begin and end, as a server does."""
    to_app: asyncio.Queue[dict[str, str]] = asyncio.Queue()
    from_app: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
    scope = {"type": "lifespan", "asgi": {"version": "3.0"}}
    lifespan = asyncio.create_task(application(scope, to_app.get, from_app.put))
    for step in ("startup", "shutdown"):
        await to_app.put({"type": f"lifespan.{step}"})
        said = await from_app.get()
        assert said["type"] == f"lifespan.{step}.complete", said
        if step == "startup":
            yield
    await lifespan


async def _send(application: Any, path: str) -> None:
    """Send one message, and check that its task is completed in the answer."""
    body = json.dumps(envelope("SendMessage", {"message": load_message()})).encode()
    headers = {"host": "127.0.0.1", "content-type": "application/json", "a2a-version": "1.0"}
    headers["content-length"] = str(len(body))
    scope = {
        "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": "POST",
        "scheme": "http", "path": path, "raw_path": path.encode(), "root_path": "",
        "query_string": b"", "client": ("127.0.0.1", 1), "server": ("127.0.0.1", 80),
        "headers": [(name.encode(), value.encode()) for name, value in headers.items()],
    }  # fmt: skip  # one key a line hides what is asked
    answered = asyncio.Event()
    requests = [{"type": "http.request", "body": body, "more_body": False}]
    said = b""

    async def receive() -> dict[str, Any]:
        if requests:
            return requests.pop()
        await answered.wait()
        return {"type": "http.disconnect"}

    async def send(message: dict[str, Any]) -> None:
        nonlocal said
        said += message.get("body", b"")

    await application(scope, receive, send)
    answered.set()
    assert b"TASK_STATE_COMPLETED" in said, said.decode()


async def _passages(application: Any, path: str, tracer: Tracer) -> list[tuple[Counter[Any], int]]:
    async with _served(application):
        for _ in range(WARM):
            await _send(application, path)
        found = []
        for _ in range(COUNTED):
            await asyncio.sleep(QUIET_SECONDS)
            with tracer.counting():
                await _send(application, path)
                await asyncio.sleep(QUIET_SECONDS)
            found.append(tracer.counted())
    return found


def trace(target: Target) -> Passage:
    """Count what one message passes through, on a database of its own.

    Each target only once in a process, since Django's settings are read once.
    """
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.settings")
    tracer = Tracer(target.folder)
    with fresh_database("sqlite") as url, tracer.installed():
        os.environ["DATABASE_URL"] = url
        os.environ["SDK_DATABASE_URL"] = url.replace("sqlite:", "sqlite+aiosqlite:", 1)
        module, _, name = target.application.partition(":")
        application = getattr(importlib.import_module(module), name)
        found = asyncio.run(_passages(application, target.path, tracer))
    every = set.intersection(*(set(calls) for calls, _ in found))
    least = {code: min(calls[code] for calls, _ in found) for code in every}
    return Passage(target.folder, least, min(depth for _, depth in found))


def summary(passages: Mapping[str, Passage]) -> str:
    """Make the table of all figures, a line for each server."""
    lines = [
        "| one SendMessage | files | functions | lines | calls | depth |",
        "| --- | ---: | ---: | ---: | ---: | ---: |",
    ]
    for name, each in passages.items():
        figures = (len(each.files), each.functions, each.lines, each.total_calls, each.depth)
        lines.append(f"| {name} | {' | '.join(f'{figure:,}' for figure in figures)} |")
    return "\n".join([*lines, ""])


def by_room(passage: Passage) -> str:
    """Make the table of the files of each room."""
    lines = ["| room | files | which |", "| --- | ---: | --- |"]
    for room, files in passage.rooms.items():
        lines.append(f"| `{room}` | {len(files)} | {', '.join(f'`{each}`' for each in files)} |")
    return "\n".join([*lines, ""])


def as_json(passage: Passage) -> str:
    """Make one JSON object of the figures, and of the files by room."""
    return json.dumps(
        {
            "files": len(passage.files),
            "functions": passage.functions,
            "lines": passage.lines,
            "calls": passage.total_calls,
            "depth": passage.depth,
            "rooms": passage.rooms,
        },
        indent=2,
    )


def main() -> None:
    """Trace, and print the tables."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.one_message",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--sdk", action="store_true", help="the official SDK's server beside it")
    printed = parser.add_mutually_exclusive_group()
    printed.add_argument("--functions", action="store_true", help="list each function's calls")
    printed.add_argument("--json", action="store_true", help="print the figures of this app only")
    given = parser.parse_args()
    ours = trace(OURS)
    if given.json:
        print(as_json(ours))
        return
    theirs = {SDK.name: trace(SDK)} if given.sdk else {}
    print(f"{summary({OURS.name: ours} | theirs)}\n{by_room(ours)}")
    if given.functions:
        for name, count in sorted(ours.named_calls()):
            print(f"{count:4} {name}")


if __name__ == "__main__":
    main()
