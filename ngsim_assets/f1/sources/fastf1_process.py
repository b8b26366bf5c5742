"""The process that FastF1 runs in, seen from the one that asks it.

Belongs here: starting it, asking it, ending it. Does not belong here: what it does
(fastf1_worker.py).
"""

from __future__ import annotations

import asyncio
import json
import sys
import tempfile
from asyncio.subprocess import PIPE, Process
from collections.abc import Mapping
from contextlib import suppress
from typing import Final, cast

from ngsim_assets.f1.sources.errors import FastF1Failed

_WORKER: Final = "ngsim_assets.f1.sources.fastf1_worker"
_TAIL = 2_000


class FastF1Process:
    """One process, one question at a time; started by the first, to be ended by `end`."""

    def __init__(self, places: Mapping[str, str]) -> None:
        self._places = places
        self._process: Process | None = None
        self._said = tempfile.TemporaryFile()  # noqa: SIM115 - closed by `end`

    async def ask(self, asked: Mapping[str, object], session: str) -> dict[str, object]:
        """The answer to a question about `session`; FastF1Failed where the process ends instead."""
        process = self._process
        if process is None:
            process = self._process = await asyncio.create_subprocess_exec(
                sys.executable, "-m", _WORKER, stdin=PIPE, stdout=PIPE, stderr=self._said
            )
            self._tell(process, self._places)
        self._tell(process, asked)
        line = await process.stdout.readline() if process.stdout is not None else b""
        if not line.strip():
            raise FastF1Failed(session, self._last_words())
        return cast("dict[str, object]", json.loads(line))

    async def end(self) -> None:
        """End it, whatever it is at."""
        process, self._process = self._process, None
        if process is not None:
            with suppress(ProcessLookupError):
                process.kill()
            await process.communicate()
        self._said.close()

    @staticmethod
    def _tell(process: Process, told: Mapping[str, object]) -> None:
        if process.stdin is not None:
            process.stdin.write(json.dumps(told).encode() + b"\n")

    def _last_words(self) -> str:
        end = self._said.seek(0, 2)
        self._said.seek(max(0, end - _TAIL))
        lines = self._said.read().decode(errors="replace").strip().splitlines()
        return f"its process ended: {lines[-1]}" if lines else "its process ended"
