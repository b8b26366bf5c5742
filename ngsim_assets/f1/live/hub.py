"""The live hub of Formula 1, behind a switch: a process that writes down what the hub tells.

FastF1's client of the hub blocks, has threads of its own and ends when nothing comes, so it has a
process of its own. What it writes is followed here; when it dies it is started again, after waits
that become longer, and goes on writing to the same file.

Belongs here: that process and its file. Does not belong here: what it does (hub_worker.py), what
lines say.
"""

from __future__ import annotations

import asyncio
import importlib.util
import os
import re
import sys
from asyncio.subprocess import DEVNULL, PIPE, STDOUT, Process
from collections.abc import AsyncGenerator, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from typing import Final

from ngsim_assets.f1.live.errors import LiveSwitchedOff, StreamLost
from ngsim_assets.f1.live.tailing import POLL, followed
from ngsim_assets.f1.sources.errors import FastF1Missing
from ngsim_assets.settings import Settings
from ngsim_assets.storage.atomic import make_folder

CLIENT: Final = (sys.executable, "-m", "ngsim_assets.f1.live.hub_worker")
LONGEST: Final = 60.0
"""Seconds between two starts at most."""

_TAIL: Final = 2_000
_NOTES: Final = 20
_SECRET = re.compile(r"((?:token|Bearer)[=:\s]\s*)\S+", re.IGNORECASE)
_GRACE: Final = 5.0


class Hub:
    """What the live hub tells, as a stream.

    Args:
        writer: command of the process; the path of the file follows it. By default FastF1's client.
        restarts: how often it is started again without having written anything.
        first_wait: seconds before the first of these, doubled for each of the next.

    The client signs in with F1_USERNAME and F1_PASSWORD if those are set, and without an account
    gets what Formula 1 gives away. Nobody is asked for anything.

    Raises LiveSwitchedOff, FastF1Missing.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        writer: Sequence[str] = CLIENT,
        restarts: int = 8,
        first_wait: float = 1.0,
        poll: float = POLL,
    ) -> None:
        if not settings.f1_live:
            raise LiveSwitchedOff
        if tuple(writer) == CLIENT and importlib.util.find_spec("fastf1") is None:
            raise FastF1Missing
        self.name = f"hub-{datetime.now(UTC):%Y%m%dT%H%M%S%fZ}"
        self.notes: list[str] = []
        self.path = settings.f1_live_sessions / "hub" / f"{self.name}.txt"
        self._writer = tuple(writer)
        self._restarts = restarts
        self._first_wait = first_wait
        self._poll = poll
        self._process: Process | None = None
        self._keeper: asyncio.Task[None] | None = None
        self._ended = False
        self._failure = ""

    async def lines(self, after: int = 0) -> AsyncGenerator[bytes]:
        """What it tells after the first `after` lines; the process is started by the first call.

        Raises StreamLost when the process cannot be kept alive.
        """
        if self._keeper is None:
            make_folder(self.path.parent)
            self._keeper = asyncio.create_task(self._keep(), name="live hub")
        async for line in followed(self.path, after, poll=self._poll, ended=lambda: self._ended):
            yield line
        raise StreamLost("the live hub", self._failure)

    async def close(self) -> None:
        """End the process; what it wrote stays."""
        if self._keeper is not None:
            self._keeper.cancel()
            with suppress(asyncio.CancelledError):
                await self._keeper
            self._keeper = None

    async def _keep(self) -> None:
        """Have the process running; give up when it dies again and again without a word."""
        silent = 0
        try:
            while True:
                self._repair()
                before = self._size()
                said = await self._run()
                silent = silent + 1 if self._size() == before else 0
                self.notes.append(f"{datetime.now(UTC):%H:%M:%S} UTC: the client of the hub {said}")
                del self.notes[:-_NOTES]
                if silent > self._restarts:
                    self._failure = f"its client was started {silent} times in vain; it {said}"
                    return
                await asyncio.sleep(min(LONGEST, self._first_wait * 2**silent))
        finally:
            self._ended = True

    async def _run(self) -> str:
        """Run it until it ends by itself; how it ended, and what it said last."""
        process = await asyncio.create_subprocess_exec(
            *self._writer, str(self.path), stdin=DEVNULL, stdout=PIPE, stderr=STDOUT
        )
        said = b""
        try:
            if process.stdout is not None:
                while block := await process.stdout.read(_TAIL):
                    said = (said + block)[-_TAIL:]
            code = await process.wait()
        finally:
            if process.returncode is None:
                await _ended(process)
        last = _last_line(said)
        return f"ended with {code}{f': {last}' if last else ''}"

    def _repair(self) -> None:
        """End a line that a dead writer left without an end: the next one would go on in it."""
        with suppress(FileNotFoundError), self.path.open("rb+") as file:
            if file.seek(0, os.SEEK_END):
                file.seek(-1, os.SEEK_END)
                if file.read(1) != b"\n":
                    file.write(b"\n")

    def _size(self) -> int:
        try:
            return self.path.stat().st_size
        except FileNotFoundError:
            return 0


async def _ended(process: Process) -> None:
    with suppress(ProcessLookupError):
        process.terminate()
    try:
        await asyncio.wait_for(process.wait(), _GRACE)
    except TimeoutError:
        with suppress(ProcessLookupError):
            process.kill()
        await process.wait()


def _last_line(said: bytes) -> str:
    """What somebody may want to read; no token of an account."""
    lines = said.decode(errors="replace").strip().splitlines()
    return _SECRET.sub(r"\1...", lines[-1].strip()) if lines else ""
