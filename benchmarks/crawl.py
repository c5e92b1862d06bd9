"""Crawl: one turn of slow steps whose process is killed, and how soon it goes on."""

import asyncio
import json
import os
import sqlite3
import subprocess
import sys
import tempfile
import time
from contextlib import closing
from pathlib import Path
from typing import Any

from tests.clients.sockets import SocketClient
from tests.servers import ROOT, fresh_database, web_server
from tests.wire import message

STEPS, TAKES, KILLED_AFTER = 40, 0.1, 5
COUNT = "SELECT count(*) FROM note"


async def crawl_with_us(lease: float) -> float:
    """Return the seconds from a kill to the next step, in a server that is started at once."""
    with tempfile.TemporaryDirectory() as folder, fresh_database("postgresql") as url:
        book = str(Path(folder) / "book.sqlite3")
        _query(book, "CREATE TABLE note (task TEXT, number INTEGER, word TEXT)")
        server = web_server("uvicorn", database_url=url, LEASE_SECONDS=lease)
        try:
            server.start()
            told = {"book": book, "steps": STEPS, "sleeps_after": -1, "delay": 0, "takes": TAKES}
            async with SocketClient(server.url, "bookkeeper") as client:
                await client.send(message(json.dumps(told)), returnImmediately=True)
                await _until(book, KILLED_AFTER)
                server.kill()
                killed_at = time.monotonic()
                [[noted]] = _query(book, COUNT)
                server.start()
                await _until(book, noted + 1)
                return time.monotonic() - killed_at
        finally:
            server.kill()


async def _until(book: str, enough: int) -> None:
    # Another process writes there, which tells us nothing.
    while _query(book, COUNT)[0][0] < enough:  # noqa: ASYNC110  # as said
        await asyncio.sleep(0.02)


def _query(path: str, statement: str) -> list[Any]:
    with closing(sqlite3.connect(path, timeout=60)) as rows, rows:
        return rows.execute(statement).fetchall()


def crawl_with_dbos(url: str, folder: Path) -> float:
    """Return the seconds from a kill to the next step, in a process that is started at once."""
    env = {**os.environ, "DBOS_URL": url, "PYTHONPATH": str(folder)}
    first = _begin_crawl(env)
    for line in first.stdout or ():
        if json.loads(line)[0] == KILLED_AFTER:
            break
    first.kill()
    killed_at = time.time()
    first.wait()
    second = _begin_crawl(env)
    try:
        _, ended_at = json.loads(next(iter(second.stdout or ())))
        return float(ended_at) - killed_at
    finally:
        second.kill()
        second.wait()


def _begin_crawl(env: dict[str, str]) -> "subprocess.Popen[str]":
    command = [sys.executable, "-m", "benchmarks.dbos_steps", "crawl"]
    return subprocess.Popen(command, cwd=ROOT, env=env, stdout=subprocess.PIPE, text=True)
