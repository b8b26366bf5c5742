"""From what was delivered of a session to its tables in the lake.

A session is read and folded once for all its tables. Each records the version of what it was made
of, so a session that was stored in part only, whenever a process was killed, is seen to be so and
is completed by the next run. Telemetry travels in chunks: memory is bounded by the chunk.

Belongs here: which rows go to which table, the account of them, what is recorded with a write.
Does not belong here: reading files (delivered.py), weighing sources (folded.py), any rule, nothing
of Dagster. Who calls holds `platform.alone` meanwhile.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime

import polars as pl

from ngsim_assets.f1.delivered import Delivered, delivered, known_before, remember
from ngsim_assets.f1.errors import MessagesUnaccounted
from ngsim_assets.f1.folded import FoldedSession, folded
from ngsim_assets.f1.keys import SessionKey
from ngsim_assets.f1.model import (
    F1_LAPS,
    F1_MESSAGES,
    F1_QUARANTINE,
    F1_RACE_CONTROL,
    F1_SESSION_STATUS,
    F1_TRACK_STATUS,
    F1_WEATHER,
)
from ngsim_assets.f1.neutralisations.evidence import LeaderLap, of_tables
from ngsim_assets.f1.neutralisations.model import F1_NEUTRALISATIONS
from ngsim_assets.f1.neutralisations.table import neutralisations
from ngsim_assets.f1.platform import F1Platform, identity
from ngsim_assets.f1.recipes import (
    BUILT_FROM,
    CODE_VERSIONS,
    FEEDS,
    REPORT,
    TABLE_OF,
    out_of_date,
    sources_of,
)
from ngsim_assets.f1.sessions import kind_of
from ngsim_assets.f1.telemetry.model import F1_POSITIONS, F1_TELEMETRY
from ngsim_assets.f1.telemetry_rows import TelemetryRows
from ngsim_assets.f1.timing.session import quarantined, raw_messages
from ngsim_assets.f1.validate import (
    Validated,
    validated_laps,
    validated_race_control,
    validated_session_status,
    validated_track_status,
    validated_weather,
)
from ngsim_assets.storage.parquet import Commit, Provenance
from ngsim_assets.storage.schema import Table

__all__ = [
    "BUILT_FROM",
    "CODE_VERSIONS",
    "FEEDS",
    "FLAGGED",
    "TABLES",
    "Stored",
    "store_session",
    "whole",
]

TABLES: Mapping[str, Table] = {name: table for name, table in TABLE_OF.items() if name != REPORT}
"""What `store_session` writes, by name, in that order."""

FLAGGED = "flagged:"
"""Prefix of the counts of flagged rows in the provenance of a table."""


@dataclass(slots=True)
class Stored:
    """What a session became.

    Attributes:
        version: of what was delivered.
        commits: what is live of each table; `changed` tells which has other rows than before.
        written: names of the tables that were out of date.
    """

    version: str
    commits: dict[str, Commit] = field(default_factory=dict[str, Commit])
    written: tuple[str, ...] = ()

    @property
    def up_to_date(self) -> bool:
        """Whether all was stored already, and nothing was done."""
        return not self.written

    @property
    def rows(self) -> dict[str, int]:
        """Rows by table."""
        return {name: commit.rows for name, commit in self.commits.items()}

    @property
    def account(self) -> Mapping[str, int]:
        """What became of lines and messages: see `_account`."""
        return self.commits[F1_MESSAGES.name].provenance.rows


def store_session(
    platform: F1Platform, key: SessionKey, *, now: datetime | None = None, force: bool = False
) -> Stored:
    """Every table of a session out of what was delivered of it; nothing is done twice.

    Args:
        now: when rows are judged: what is later is not believed.
        force: write also what is up to date, which mends files and ends what a rollback holds.

    Raises NothingDeliveredOf, DeliveryGone, DamagedRecord; MessagesUnaccounted if any line, message
    or row is neither kept nor set aside with a reason, and then no table is written any more.
    """
    known = known_before(platform, key)
    if not force and known is not None and not _stale(platform, key, known.version):
        return _as_stored(platform, key, known.version)
    told = delivered(platform.store, key)
    remember(platform, told)
    stale = tuple(TABLES) if force else _stale(platform, key, told.version)
    if stale:
        _Writing(platform, told, stale, now).write_all()
    return _as_stored(platform, key, told.version, stale)


def whole(platform: F1Platform, commit: Commit) -> bool:
    """Whether all files of a commit are there in their size; nothing is read."""
    folder = platform.lake.root / commit.table
    try:
        return all((folder / file.path).stat().st_size == file.bytes for file in commit.files)
    except OSError:
        return False


def _stale(platform: F1Platform, key: SessionKey, version: str) -> tuple[str, ...]:
    found = out_of_date(platform, key, version, sound=lambda commit: whole(platform, commit))
    return tuple(asset for asset in found if asset != REPORT)


def _as_stored(
    platform: F1Platform, key: SessionKey, version: str, written: tuple[str, ...] = ()
) -> Stored:
    stored = Stored(version, written=written)
    for name, table in TABLES.items():
        commit = platform.lake.current(table, identity(key))
        if commit is not None:
            stored.commits[name] = commit
    return stored


class _Writing:
    """One session on its way into its tables."""

    def __init__(
        self, platform: F1Platform, told: Delivered, stale: Iterable[str], now: datetime | None
    ) -> None:
        self._platform = platform
        self._told = told
        self._key = told.origin.session
        self._stale = frozenset(stale)
        self._now = now
        self._contents: dict[str, tuple[str, ...]] = {FEEDS: (told.version,)}
        self._refused: list[pl.DataFrame] = [quarantined(told.aside, told.origin, "reading")]

    def write_all(self) -> None:
        """Everything is accounted for before the first table is written."""
        found = folded(self._told)
        self._refused.append(quarantined(found.aside, self._told.origin, "folding"))
        judged = self._judged(found)
        self._put(F1_MESSAGES, self._raw(), _account(self._told, found))
        for table, rows in judged.items():
            self._put(table, _some(rows.valid), _counts(rows, found.unused[table.name]))
        phases = self._neutralisations(found.leader)
        self._put(F1_NEUTRALISATIONS, _some(phases), {})
        for table in (F1_TELEMETRY, F1_POSITIONS):
            self._put_telemetry(table)
        refused = pl.concat(self._refused).sort(F1_QUARANTINE.sort_by, maintain_order=True)
        counts = Counter(refused["stage"].to_list())
        self._put(F1_QUARANTINE, _some(refused), dict(sorted(counts.items())))

    def _judged(self, found: FoldedSession) -> dict[Table, Validated]:
        race = kind_of(self._key.session) == "race"
        circuit = self._told.info.circuit if self._told.info else None
        rows, now = found.rows, self._now
        judged = {
            F1_LAPS: validated_laps(rows[F1_LAPS], race=race, now=now),
            F1_WEATHER: validated_weather(rows[F1_WEATHER], circuit=circuit, now=now),
            F1_TRACK_STATUS: validated_track_status(rows[F1_TRACK_STATUS], now=now),
            F1_RACE_CONTROL: validated_race_control(rows[F1_RACE_CONTROL], now=now),
            F1_SESSION_STATUS: validated_session_status(rows[F1_SESSION_STATUS]),
        }
        for table, result in judged.items():
            if not result.complete:
                kept = result.valid.height + result.quarantined.height
                raise MessagesUnaccounted(f"rows of {table.name}", result.rows, kept)
            self._refused.append(result.quarantined)
        return judged

    def _raw(self) -> Iterator[pl.DataFrame]:
        """Rows of f1_messages; MessagesUnaccounted unless they are all messages, each once."""
        written = 0
        for messages in self._told.every_message(self._platform.chunk_messages):
            written += len(messages)
            yield raw_messages(messages, self._told.origin)
        if written != self._told.messages:
            raise MessagesUnaccounted("messages", self._told.messages, written)

    def _neutralisations(self, leader: list[LeaderLap]) -> pl.DataFrame:
        """Phases by the rows that are live, which a rollback may have brought back."""
        status, control, session, laps = (
            self._platform.lake.scan(table, identity(self._key)).collect()
            for table in (F1_TRACK_STATUS, F1_RACE_CONTROL, F1_SESSION_STATUS, F1_LAPS)
        )
        known = of_tables(
            status,
            control if control.height else None,
            session,
            laps if laps.height or not leader else None,
        )
        if known.laps is None:
            known = replace(known, leader=leader)
        return neutralisations(self._key, known, simulated=self._told.origin.simulated).frame

    def _put_telemetry(self, table: Table) -> None:
        wanted = {table.name, F1_QUARANTINE.name} & self._stale
        if not wanted:
            return
        rows = TelemetryRows(self._told, table, self._platform.chunk_messages)
        if table.name in self._stale:
            self._put(table, rows.chunks(), rows.counts)
        else:
            deque(rows.chunks(), maxlen=0)  # as the table is, for what of it is refused
        self._refused += rows.refused

    def _put(self, table: Table, chunks: Iterable[pl.DataFrame], counts: Mapping[str, int]) -> None:
        """Write a table that is out of date; `counts` may grow until the last chunk is taken."""
        if table.name in self._stale:
            commit = self._platform.lake.replace(
                table,
                identity(self._key),
                chunks,
                Provenance(
                    run_id=self._platform.run_id,
                    code_version=CODE_VERSIONS[table.name],
                    sources=sources_of(table.name, self._contents),
                    rows=counts,
                    files=self._told.files if table is F1_MESSAGES else (),
                ),
            )
        else:
            commit = self._platform.lake.current(table, identity(self._key))
        self._contents[table.name] = () if commit is None else commit.content


def _account(told: Delivered, found: FoldedSession) -> dict[str, int]:
    """Recorded with f1_messages: lines became messages, faults, or were told by another file too.

    `messages` = `folded` + `passed_on` + `unfoldable`; `set_aside` are lines that are no message.
    """
    return {
        "lines": told.lines,
        "messages": told.messages,
        "repeated": told.repeated,
        "set_aside": len(told.aside),
        "folded": found.folded,
        "passed_on": found.passed_on,
        "unfoldable": len(found.aside),
    }


def _counts(rows: Validated, unused: int) -> dict[str, int]:
    """Recorded with a table: rows judged = rows of the table + those quarantined."""
    return {
        "read": rows.rows,
        "quarantined": rows.quarantined.height,
        "other_source": unused,
        **{f"{FLAGGED}{flag}": number for flag, number in rows.flags.items()},
    }


def _some(rows: pl.DataFrame) -> list[pl.DataFrame]:
    return [rows] if rows.height else []
