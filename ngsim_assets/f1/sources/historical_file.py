"""What came of a session that FastF1 was asked for, and its tables in the columns of ours.

Belongs here: `session.json` of the historical ingestor, and reading its files back. Does not
belong here: FastF1, what its columns mean (fastf1_tables.py).
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Final, cast

import polars as pl

from ngsim_assets.acquisition.sources import Artifact
from ngsim_assets.f1 import fastf1_tables
from ngsim_assets.f1.clock import SessionClock
from ngsim_assets.f1.errors import NotAFeed
from ngsim_assets.f1.fastf1_tables import Told
from ngsim_assets.f1.keys import SessionKey
from ngsim_assets.f1.origin import Origin
from ngsim_assets.f1.sources.places import Found

SESSION_FILE: Final = "session.json"
SOURCE: Final = "f1-historical"
"""Name of the ingestor that writes them."""


@dataclass(frozen=True, slots=True)
class HistoricalFile:
    """What `session.json` says.

    Attributes:
        reader: FastF1 and its version.
        tables: rows of each that it has; none where the archive does not have the timing.
        missing: tables that it has not.
        clock: by messages of the archive; FastF1 has one of telemetry only. None if not known.
    """

    key: SessionKey
    reader: str
    tables: Mapping[str, int] = field(default_factory=dict[str, int])
    missing: tuple[str, ...] = ()
    clock: SessionClock | None = None

    @property
    def available(self) -> bool:
        """Whether there is anything of the session."""
        return bool(self.tables)

    @property
    def origin(self) -> Origin:
        """What rows of the tables come from."""
        return Origin(self.key, "fastf1", simulated=Found(self.key).simulated)

    @classmethod
    def of(
        cls,
        key: SessionKey,
        reader: str,
        said: Mapping[str, object],
        clock: SessionClock | None = None,
    ) -> HistoricalFile:
        """What the process of FastF1 said of a session that it read."""
        tables, missing = said.get("tables"), said.get("missing")
        return cls(
            key,
            reader,
            dict(cast("dict[str, int]", tables)) if isinstance(tables, dict) else {},
            tuple(cast("list[str]", missing)) if isinstance(missing, list) else (),
            clock,
        )

    def write(self, path: Path) -> int:
        """Write it to `path`; has no rows of data."""
        told = {
            "session": str(self.key),
            "reader": self.reader,
            "tables": dict(self.tables),
            "missing": list(self.missing),
            "clock": None
            if self.clock is None
            else {
                "start": self.clock.start.isoformat(),
                "precision_ms": self.clock.precision_ms,
                "known_from": self.clock.known_from,
            },
        }
        path.write_text(json.dumps(told, indent=1))
        return 0

    @classmethod
    def read(cls, path: Path) -> HistoricalFile:
        """What the ingestor wrote; NotAFeed for anything else."""
        try:
            told = json.loads(path.read_bytes())
            clock = told["clock"] and SessionClock(
                datetime.fromisoformat(told["clock"]["start"]),
                told["clock"]["precision_ms"],
                told["clock"]["known_from"],
            )
            return cls.of(SessionKey.parse(told["session"]), told["reader"], told, clock)
        except (ValueError, KeyError, TypeError) as error:
            raise NotAFeed(str(path), f"no {SESSION_FILE} of FastF1: {error}") from None


def tables(artifacts: Iterable[Artifact]) -> tuple[HistoricalFile, dict[str, Told]]:
    """Rows of our tables in the files of one session, by name; none where nothing is there.

    Raises NotAFeed where its `session.json` is not among them.
    """
    files = {item.name: item for item in artifacts}
    if SESSION_FILE not in files:
        raise NotAFeed(", ".join(files), f"no {SESSION_FILE} among them")
    session = HistoricalFile.read(files[SESSION_FILE].path)
    clock = session.clock
    told: dict[str, Told] = {}
    for name, convert in {
        "laps": fastf1_tables.laps,
        "track_status": fastf1_tables.track_status,
        "session_status": fastf1_tables.session_status,
        "race_control": fastf1_tables.race_control,
    }.items():
        if (item := files.get(f"{name}.parquet")) is not None:
            told[name] = convert(pl.read_parquet(item.path), session.origin, item.url, clock)
    weather = files.get("weather.parquet")
    if weather is not None and clock is not None:
        read = pl.read_parquet(weather.path)
        told["weather"] = fastf1_tables.weather(read, session.origin, weather.url, clock)
    return session, told
