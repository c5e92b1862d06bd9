"""Children: processes that are started again when they die, and that end with their parent."""

import asyncio
import os
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

# A child that cannot start is not tried more often than this.
PAUSE_SECONDS = 1.0
START_SECONDS = 60.0
# The longest line that a child may print.
LINE_BYTES = 1 << 20


class NotReadyError(Exception):
    """A child has not become ready in START_SECONDS."""


@dataclass
class Child:
    """One process, to be kept running."""

    name: str
    command: Sequence[str]
    folder: Path
    """Where it runs."""
    env: Mapping[str, str]
    """What it has in its environment besides what its parent has."""
    ready: str
    """What it prints once it is of use."""
    grace: float
    """For how many seconds it may go on once it is asked to end; then it is killed."""
    say: Callable[[str], object]
    """Takes each line that it prints, and what becomes of it."""
    is_ready: asyncio.Event = field(default_factory=asyncio.Event, init=False)

    async def keep(self) -> None:
        """Run it, and again each time it has ended, until cancelled."""
        while True:
            process = await asyncio.create_subprocess_exec(
                *self.command,
                cwd=self.folder,
                env={**os.environ, **self.env},
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.STDOUT,
                limit=LINE_BYTES,
                # Ctrl-C is for the parent, which knows the order in which to end.
                start_new_session=True,
            )
            try:
                await self._show(process)
            finally:
                await self._end(process)
            self._tell(f"has ended with status {process.returncode} and is started again")
            await asyncio.sleep(PAUSE_SECONDS)

    async def _show(self, process: asyncio.subprocess.Process) -> None:
        """Pass on what it prints, until it has ended."""
        assert process.stdout is not None
        async for line in process.stdout:
            text = line.decode(errors="replace").rstrip()
            self._tell(text)
            if self.ready in text:
                self.is_ready.set()
        await process.wait()

    async def _end(self, process: asyncio.subprocess.Process) -> None:
        if process.returncode is not None:
            return
        process.terminate()
        try:
            async with asyncio.timeout(self.grace):
                await self._show(process)
        except TimeoutError:
            process.kill()
            await process.wait()

    def _tell(self, text: str) -> None:
        self.say(f"{self.name:<9}| {text}")


@asynccontextmanager
async def kept(*children: Child) -> AsyncIterator[None]:
    """Keep children running inside this context, which begins once all of them are ready.

    Raises:
        NotReadyError: One of them has not become ready.
    """
    tasks = [asyncio.create_task(child.keep()) for child in children]
    try:
        await _all_ready(children)
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _all_ready(children: Sequence[Child]) -> None:
    try:
        async with asyncio.timeout(START_SECONDS):
            for child in children:
                await child.is_ready.wait()
    except TimeoutError:
        names = ", ".join(child.name for child in children if not child.is_ready.is_set())
        raise NotReadyError(f"Not ready after {START_SECONDS:.0f} seconds: {names}.") from None
