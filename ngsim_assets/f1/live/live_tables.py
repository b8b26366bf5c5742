"""Micro-batches of a live session to the tables: the lake's, and PostgreSQL's where there is one.

Small tables are replaced, a partition at a time: laps change after they are over. Telemetry is put
behind what is there. The commit itself tells up to which line of the recording the partition has
its rows, so that after a kill none is there twice and none is missing. Rows of telemetry that are
refused are counted (health), and quarantined by the final build.

Belongs here: how rows become commits. Does not belong here: when (workers.py), which rows
(ingestors.py), the final tables (stages.py), which take the place of these.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from threading import Lock
from typing import Final, Protocol

import polars as pl

from ngsim_assets.errors import NgsimAssetsError
from ngsim_assets.f1.keys import SessionKey
from ngsim_assets.f1.live.ingestors import Made
from ngsim_assets.f1.live.known import Known
from ngsim_assets.f1.live.recording import Recording
from ngsim_assets.f1.model import F1_QUARANTINE
from ngsim_assets.f1.platform import F1Platform, alone, identity
from ngsim_assets.f1.reading.messages import SetAside
from ngsim_assets.f1.timing.session import quarantined
from ngsim_assets.storage.parquet import Provenance
from ngsim_assets.storage.schema import Table

LIVE: Final = "live"
"""Code version of live rows: no final table has it, so what is live is always built anew."""


class SecondHome(Protocol):
    """Where tables are kept besides the lake."""

    def put(
        self,
        table: Table,
        key: SessionKey,
        frame: pl.DataFrame,
        *,
        replaces: bool = True,
        version: str = "",
    ) -> object:
        """Bring rows of a session into a table; batches of other versions are other batches."""
        ...

    def copy_session(self, platform: F1Platform, key: SessionKey) -> object:
        """Have all tables of a session there as the lake has them."""
        ...


class LiveTables:
    """Tables of one session while it is received; safe for several threads.

    Args:
        token: tells the recording from others of the same session.
        away: seconds that PostgreSQL is left alone after a failure: trying takes time, too.

    Attributes:
        commits, rows: by table; rows are those of the live partition.
        second_home: how PostgreSQL does, in a word or a sentence; empty: there is none.
    """

    def __init__(
        self,
        platform: F1Platform,
        key: SessionKey,
        recording: Recording,
        token: str,
        *,
        second_home: SecondHome | None = None,
        away: float = 0.0,
        aside: Callable[[], list[SetAside]] = list,
    ) -> None:
        self.commits: Counter[str] = Counter()
        self.rows: Counter[str] = Counter()
        self.second_home = "" if second_home is None else "ok"
        self._platform = platform
        self._key = key
        self._recording = recording
        self._token = token
        self._second = second_home
        self._away = away
        self._away_until = 0.0
        self._aside = aside
        self._written: dict[Table, pl.DataFrame] = {}
        self._refused: dict[str, pl.DataFrame] = {}
        self._lock = Lock()
        self._refusing = Lock()
        self._batches = count()
        self._sender = ThreadPoolExecutor(1, "second-home")

    def store(self, ingestor: str, made: Made) -> None:
        """Write what is new of it. The recording is on the disk before its rows are in a table."""
        self._recording.flush()
        for table, frame in made.whole.items():
            self._replace(table, frame)
        for table, (frame, up_to) in made.more.items():
            self._append(table, frame, up_to)
        if made.refused is not None:
            with self._refusing:
                self._refused[ingestor] = made.refused
        self._refuse()

    def covered(self, table: Table) -> int:
        """The line of this recording up to which `table` has its rows; 0 if it has none of it."""
        commit = self._platform.lake.current(table, identity(self._key))
        told = commit.provenance if commit is not None else Provenance()
        ours = told.code_version == LIVE and told.parameters.get("recording") == self._token
        return told.rows.get("up_to", 0) if ours else 0

    def copy_final(self) -> None:
        """The final tables to PostgreSQL, too; called while nobody else writes the session."""
        if self._second is None:
            return
        copy = self._second.copy_session
        try:
            self._sender.submit(copy, self._platform, self._key).result()
            self.second_home = "ok"
        except NgsimAssetsError as error:
            self.second_home = error.problem

    def close(self) -> None:
        """End the connection's thread."""
        self._sender.shutdown()

    def _refuse(self) -> None:
        """What was set aside so far, by all: one after the other, so that the newest is last."""
        with self._refusing:
            read = quarantined(self._aside(), Known(self._key).origin, "reading")
            rows = pl.concat([read, *self._refused.values()])
            self._replace(F1_QUARANTINE, rows.sort(F1_QUARANTINE.sort_by, maintain_order=True))

    def _replace(self, table: Table, frame: pl.DataFrame) -> None:
        with self._lock:
            before = self._written.get(table)
            if before is not None and before.equals(frame):
                return
            self._written[table] = frame
        try:
            with alone(self._platform, self._key):
                commit = self._platform.lake.replace(
                    table, identity(self._key), [frame] if frame.height else [], self._told({})
                )
        except BaseException:
            with self._lock:
                self._written.pop(table, None)  # what failed is tried again
            raise
        self.commits[table.name] += commit.changed
        self.rows[table.name] = frame.height
        self._send(table, frame, replaces=True)

    def _append(self, table: Table, frame: pl.DataFrame, up_to: int) -> None:
        lake, partition = self._platform.lake, identity(self._key)
        told = self._told({"up_to": up_to})
        with alone(self._platform, self._key):
            first = not self.covered(table)
            if first:  # rows of another recording, or of a final build
                commit = lake.replace(table, partition, [frame], told)
            else:
                batch = f"{self._token} {up_to}"
                commit = lake.append(table, partition, [frame], batch, told)
        self.commits[table.name] += commit.changed
        self.rows[table.name] = commit.rows
        self._send(table, frame, replaces=first)

    def _told(self, rows: dict[str, int]) -> Provenance:
        return Provenance(
            run_id=self._platform.run_id,
            code_version=LIVE,
            parameters={"recording": self._token},
            rows=rows,
        )

    def _send(self, table: Table, frame: pl.DataFrame, *, replaces: bool) -> None:
        """To PostgreSQL, by one thread; what fails is told, and the final build makes up for it."""
        home = self._second
        if home is None or time.monotonic() < self._away_until:
            return
        try:
            self._sender.submit(
                home.put,
                table,
                self._key,
                frame,
                replaces=replaces,
                version=f"{self._token} {next(self._batches)}",
            ).result()
            self.second_home = "ok"
        except NgsimAssetsError as error:
            self.second_home = error.problem
            self._away_until = time.monotonic() + self._away
