"""What the database has recorded of each task, and what must be true of it in any case."""

from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise
from typing import Any

import psycopg
from psycopg.rows import class_row, dict_row

from tests.clients.cluster import TERMINAL


@dataclass(frozen=True)
class Run:
    """A row of Run."""

    id: str
    attempt: int
    worker: str
    outcome: str
    started_at: datetime
    ended_at: datetime


@dataclass(frozen=True)
class Record:
    """One task: its rows, the newest state of its log, and its runs."""

    id: str
    agent: str
    state: str
    runs: list[Run]
    log: list[dict[str, Any]]

    def check(self) -> None:
        """See that the task has ended, its log is whole, and it had one run at a time."""
        assert self.state in TERMINAL, self
        assert [event["seq"] for event in self.log] == list(range(1, len(self.log) + 1)), self
        assert [event["state"] in TERMINAL for event in self.log].index(True) == len(self.log) - 1
        assert self.log[-1]["state"] == self.state
        assert [run.attempt for run in self.runs] == list(range(1, len(self.runs) + 1)), self
        for earlier, later in pairwise(self.runs):
            assert earlier.outcome == "lost"
            assert earlier.started_at <= earlier.ended_at <= later.started_at, self

    def check_steps(self) -> None:
        """See that each attempt of the agent `steps` says its steps, and nothing after its end."""
        said = [
            (event["at"], *map(int, event["text"].split())) for event in self.log if event["text"]
        ]
        ends = {run.attempt: run.ended_at for run in self.runs}
        assert all(at <= ends[attempt] for at, attempt, _ in said), self
        attempts = [attempt for _, attempt, _ in said]
        assert attempts == sorted(attempts), self
        for attempt in set(attempts):
            steps = [step for _, its, step in said if its == attempt]
            assert steps == list(range(len(steps))), self


def records(database_url: str) -> dict[str, Record]:
    """Read all tasks there are, by id."""
    with psycopg.connect(database_url) as connection:
        tasks = connection.cursor(row_factory=dict_row).execute(
            "SELECT id::text, agent, state FROM a2a_app_task ORDER BY id"
        )
        return {task["id"]: _record(connection, task) for task in tasks.fetchall()}


def message_tasks(database_url: str) -> dict[str, str]:
    """Read which task each message of a client belongs to, by the message's own id."""
    with psycopg.connect(database_url) as connection:
        rows = connection.execute(
            "SELECT message_id, task_id::text FROM a2a_app_message WHERE role = 'ROLE_USER'"
        ).fetchall()
    assert len({message for message, _ in rows}) == len(rows), "a message was stored twice"
    return dict(rows)


def _record(connection: "psycopg.Connection[Any]", task: dict[str, Any]) -> Record:
    runs = connection.cursor(row_factory=class_row(Run)).execute(
        "SELECT id::text, attempt, worker, outcome, started_at, ended_at FROM a2a_app_run"
        " WHERE task_id = %s ORDER BY turn, attempt",
        [task["id"]],
    )
    log = connection.cursor(row_factory=dict_row).execute(
        "SELECT seq, replace(state, 'TASK_STATE_', '') AS state, created_at AS at,"
        " body::jsonb #>> '{artifactUpdate,artifact,parts,0,text}' AS text FROM a2a_app_event"
        " WHERE task_id = %s ORDER BY seq",
        [task["id"]],
    )
    state = task["state"].removeprefix("TASK_STATE_")
    return Record(task["id"], task["agent"], state, runs.fetchall(), log.fetchall())
