"""A small simulated session as lines of the hub, and an orchestrator for it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Sequence
from functools import lru_cache
from pathlib import Path

import polars as pl

from ngsim_assets.f1.live.limits import Limits
from ngsim_assets.f1.live.orchestrator import IngestionOrchestrator
from ngsim_assets.f1.platform import F1Platform, open_f1
from ngsim_assets.f1.simulate import Scenario, recording_lines, simulate
from ngsim_assets.f1.telemetry.buffer import Bounds
from ngsim_assets.settings import Settings
from ngsim_assets.storage.schema import Table

SCENARIO = Scenario("monaco", laps=4, cars=4, seed=11)  # a safety car for two laps
SPAN = (600_000, 612_000)
KEY = SCENARIO.session

QUICK = Limits(
    tables=Bounds(batch_rows=200, batch_seconds=0.05),
    telemetry=Bounds(batch_rows=60, batch_seconds=0.05),
    pause=0.01,
    restart_wait=0.0,
    silence=10.0,
    after=0.05,
    told=0.05,
    away=0.0,
)


@lru_cache(maxsize=1)
def lines() -> tuple[bytes, ...]:
    """What the hub tells of the session."""
    session = simulate(SCENARIO, telemetry=SPAN)
    return tuple(recording_lines(session.messages, SCENARIO.feed_start))


class Stops:
    """Lines after some of which something is done, or nothing comes any more."""

    def __init__(self, at: int, then: Callable[[], None] | None = None, name: str = "a") -> None:
        self.name = name
        self.notes: list[str] = []
        self.asked: list[int] = []
        self._at = at
        self._then = then

    async def lines(self, after: int = 0) -> AsyncGenerator[bytes]:
        """All of the session, but for what is after a death."""
        self.asked.append(after)
        for number, line in enumerate(lines()[after:], start=after + 1):
            yield line
            if number == self._at and self._then is None:
                await asyncio.Event().wait()
            elif number == self._at and self._then is not None and after < number:
                self._then()
                await asyncio.sleep(0.25)
            if number % 50 == 0:
                await asyncio.sleep(0)

    async def close(self) -> None:
        """Nothing works for it."""


class Told:
    """An orchestrator on data of its own, and what it told."""

    def __init__(self, data: Path, limits: Limits = QUICK, **others: object) -> None:
        self.settings = Settings(data=data)
        self.platform: F1Platform = open_f1(self.settings)
        self.said: list[str] = []
        self.orchestrator = IngestionOrchestrator(
            self.platform,
            self.settings,
            tell=self.said.append,
            limits=limits,
            **others,  # pyright: ignore[reportArgumentType]
        )

    @property
    def folder(self) -> Path:
        """Of the session."""
        return self.settings.f1_live_sessions / str(KEY)

    def rows(self, table: Table) -> pl.DataFrame:
        """What the table holds."""
        return self.platform.lake.scan(table, {"session": str(KEY)}).collect()

    def contents(self, tables: Sequence[Table]) -> dict[str, pl.DataFrame]:
        """Of several tables, in order of their keys."""
        return {table.name: self.rows(table).sort(table.sort_by) for table in tables}
