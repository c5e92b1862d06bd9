"""Children: processes that are restarted when they die, and that end with their parent."""

import asyncio
import os
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

# The pause before a child is started again.
PAUSE_SECONDS = 1.0
# How long all children together may take to become ready.
START_SECONDS = 60.0
# The longest line that a child may print.
LINE_BYTES = 1 << 20


class NotReadyError(Exception):
    """A child has not become ready in START_SECONDS."""


@dataclass
class Child:
    """A process that is restarted whenever it ends."""

    name: str
    command: Sequence[str]
    folder: Path
    """Its working directory."""
    env: Mapping[str, str]
    """Its environment, in addition to that of its parent."""
    ready: str
    """The text that it prints once it is ready."""
    grace: float
    """How many seconds it has to end once it is asked to. Then it is killed."""
    say: Callable[[str], object]
    """Called with each line that the child prints, and with lines about the child."""
    is_ready: asyncio.Event = field(default_factory=asyncio.Event, init=False)

    async def run_for_ever(self) -> None:
        """Run the process, and restart it each time it has ended, until cancelled."""
        while True:
            process = await asyncio.create_subprocess_exec(
                *self.command,
                cwd=self.folder,
                env={**os.environ, **self.env},
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.STDOUT,
                limit=LINE_BYTES,
                # Ctrl-C must reach only the parent, which ends its children in order.
                start_new_session=True,
            )
            try:
                await self._print_output(process)
            finally:
                await self._end(process)
            self._print_line(f"has ended with status {process.returncode} and is started again")
            await asyncio.sleep(PAUSE_SECONDS)

    async def _print_output(self, process: asyncio.subprocess.Process) -> None:
        """Print the output of the process until it has ended."""
        assert process.stdout is not None
        async for line in process.stdout:
            text = line.decode(errors="replace").rstrip()
            self._print_line(text)
            if self.ready in text:
                self.is_ready.set()
        await process.wait()

    async def _end(self, process: asyncio.subprocess.Process) -> None:
        if process.returncode is not None:
            return
        process.terminate()
        try:
            async with asyncio.timeout(self.grace):
                await self._print_output(process)
        except TimeoutError:
            process.kill()
            await process.wait()

    def _print_line(self, text: str) -> None:
        self.say(f"{self.name:<9}| {text}")


@asynccontextmanager
async def running(*children: Child) -> AsyncIterator[None]:
    """Run children inside this context, which begins once all of them are ready.

    Raises:
        NotReadyError: A child has not become ready in START_SECONDS.
    """
    tasks = [asyncio.create_task(child.run_for_ever()) for child in children]
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
