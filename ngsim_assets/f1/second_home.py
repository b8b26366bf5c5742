"""The tables of sessions in PostgreSQL, beside the lake.

Belongs here: what tells rows of each table apart there, which batches a session is, both homes
compared. Does not belong here: statements, connections, retries (storage/postgres/), what the rows
are (stages.py), who asks for it when.

The lake is the home of every table: what is wrong in PostgreSQL is written again from it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from hashlib import sha256
from threading import RLock
from types import MappingProxyType
from typing import Annotated, Final, Self

import polars as pl
import polars.selectors as cs
from pydantic import BaseModel, Field, SecretStr, create_model

from ngsim_assets.f1.assessment.model import F1_QUALITY_METRICS
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
from ngsim_assets.f1.neutralisations.model import F1_NEUTRALISATIONS
from ngsim_assets.f1.platform import F1Platform, identity
from ngsim_assets.f1.telemetry.model import F1_POSITIONS, F1_TELEMETRY, F1_TELEMETRY_RESAMPLED
from ngsim_assets.settings import Settings
from ngsim_assets.storage.postgres.comparing import Comparison
from ngsim_assets.storage.postgres.sink import SCHEMA, PostgresSink, Written
from ngsim_assets.storage.schema import Column, Table

__all__ = ["KEPT", "Comparison", "Copied", "Kept", "SecondHome", "Written", "second_home"]

REPEAT: Final = "repeat"
"""Column that only PostgreSQL has: rows of the same key are told apart by their order."""

NUL: Final = "\u2400"
"""Stands for the one character that PostgreSQL's text cannot have, and damaged files have."""

_Repeat = Annotated[
    int,
    Field(ge=0, description="Rows of the same key that stand before it in the lake; mostly 0."),
    Column(pl.Int32()),
]


@dataclass(frozen=True)
class Kept:
    """A table as PostgreSQL has it.

    Attributes:
        table: as the lake has it.
        key: columns that tell its rows apart within a session.
        exact: whether they always do: rules set aside what comes twice. Where they need not, as in
            a feed that tells a moment of a car twice, `repeat` is a column and part of the key.
    """

    table: Table
    key: tuple[str, ...]
    exact: bool = True

    @cached_property
    def there(self) -> Table:
        """The table with the columns it has in PostgreSQL."""
        if self.exact:
            return self.table
        base = self.table.model
        model: type[BaseModel] = create_model(
            base.__name__,
            __base__=base,
            __doc__=base.__doc__,
            repeat=(_Repeat, ...),  # pyright: ignore[reportArgumentType]
        )
        return replace(self.table, model=model)

    @property
    def whole_key(self) -> tuple[str, ...]:
        """Columns that tell its rows apart there, always."""
        return self.key if self.exact else (*self.key, REPEAT)

    @property
    def repeats(self) -> pl.Expr:
        """The column `repeat` of all rows of a session, in the lake's order."""
        return pl.int_range(pl.len(), dtype=pl.Int32).over(self.key).alias(REPEAT)

    def rows(self, frame: pl.DataFrame, repeats: pl.Series | None = None) -> pl.DataFrame:
        """Rows as they are sent: with `repeats`, or as if there were no others."""
        frame = frame.with_columns(cs.string().str.replace_all("\0", NUL, literal=True))
        if self.exact:
            return frame
        return frame.with_columns(self.repeats if repeats is None else repeats)


_LINE: Final = ("source_file", "source_row")
_CAR: Final = ("driver_number", "timestamp")

KEPT: Final[Mapping[str, Kept]] = MappingProxyType(
    {
        kept.table.name: kept
        for kept in (
            Kept(F1_MESSAGES, (*_LINE, "part")),
            Kept(F1_LAPS, ("driver_number", "lap_number")),
            Kept(F1_WEATHER, ("kind", "source", "issue_time", "valid_time")),
            Kept(F1_TRACK_STATUS, _LINE, exact=False),
            Kept(F1_RACE_CONTROL, ("number",)),
            Kept(F1_SESSION_STATUS, _LINE, exact=False),
            Kept(F1_QUARANTINE, (*_LINE, "table"), exact=False),
            Kept(F1_NEUTRALISATIONS, ("number",)),
            Kept(F1_TELEMETRY, _CAR, exact=False),
            Kept(F1_POSITIONS, _CAR, exact=False),
            Kept(F1_TELEMETRY_RESAMPLED, _CAR, exact=False),
            Kept(F1_QUALITY_METRICS, ("metric", "subject")),
        )
    }
)
"""Every table of the domain in PostgreSQL, by name, in the order of tables.py."""


@dataclass(frozen=True)
class Copied:
    """What copying a session did.

    Attributes:
        tables: by name; `repeated` of one tells that it was there already and nothing was sent.
    """

    session: str
    tables: Mapping[str, Written] = field(default_factory=dict[str, Written])

    @property
    def rows(self) -> int:
        """Rows that PostgreSQL has of the session."""
        return sum(written.rows for written in self.tables.values())

    @property
    def sent(self) -> int:
        """Rows of tables that were not there in this version."""
        return sum(written.rows for written in self.tables.values() if not written.repeated)

    @property
    def up_to_date(self) -> bool:
        """Whether nothing had to be sent."""
        return all(written.repeated for written in self.tables.values())


class SecondHome:
    """The tables of Formula 1 in the PostgreSQL server of `NGSIM_POSTGRES_DSN`.

    Connects when it is first asked for something, and again when the connection was lost; tries
    again by itself what may succeed a moment later. Calls of several threads take turns.
    """

    def __init__(
        self, dsn: SecretStr, *, schema: str = SCHEMA, retries: int = 5, first_wait: float = 0.5
    ) -> None:
        """Raises NoDriver, BadServerName; `retries`, `first_wait` as in PostgresSink."""
        self._sink = PostgresSink(dsn, schema=schema, retries=retries, first_wait=first_wait)
        self._prepared: set[str] = set()
        self._turn = RLock()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def close(self) -> None:
        """End the connection; a later call opens another one."""
        with self._turn:
            self._sink.close()

    def prepare(self) -> dict[str, tuple[str, ...]]:
        """Have every table there as the models have it; the steps that were needed, by table.

        DatabaseDiffers where a change would touch rows, with the statements that do it.
        """
        with self._turn:
            steps = {name: self._have(kept) for name, kept in KEPT.items()}
        return {name: done for name, done in steps.items() if done}

    def put(
        self,
        table: Table,
        key: SessionKey,
        frame: pl.DataFrame,
        *,
        replaces: bool = True,
        version: str = "",
    ) -> Written:
        """Bring a batch of rows of a session into a table: new ones, and others where they differ.

        Args:
            replaces: the session has these rows of the table, and no others, afterwards.
            version: what tells apart two batches of the same rows that are both meant.
        """
        kept = KEPT[table.name]
        with self._turn:
            self._have(kept)
            return self._sink.write(
                kept.there, identity(key), kept.rows(frame), replaces=replaces, version=version
            )

    def copy_session(self, platform: F1Platform, key: SessionKey, *, again: bool = False) -> Copied:
        """Have all tables of a session there as the lake has them, each in one transaction.

        What is there in the lake's version already is not read. Call it inside `alone`: nobody
        else writes the session meanwhile. A process that dies leaves each table in its old rows or
        its new ones; the next call goes on.

        Args:
            again: send what is there already, too, after rows were changed by hand.
        """
        done: dict[str, Written] = {}
        with self._turn:
            for name, kept in KEPT.items():
                self._have(kept)
                done[name] = self._sink.write(
                    kept.there,
                    identity(key),
                    lambda kept=kept: _rows(platform, key, kept),
                    replaces=True,
                    version=_version(platform, key, kept.table),
                    is_told_by_version=True,
                    again=again,
                )
        return Copied(str(key), done)

    def compare_session(self, platform: F1Platform, key: SessionKey) -> list[Comparison]:
        """Every table of a session as both homes have it; `agrees` tells whether rows are equal."""
        with self._turn:
            for kept in KEPT.values():
                self._have(kept)
            return [
                self._sink.compare(
                    kept.there, identity(key), lambda kept=kept: _rows(platform, key, kept)
                )
                for kept in KEPT.values()
            ]

    def _have(self, kept: Kept) -> tuple[str, ...]:
        """Prepare a table, once."""
        if kept.table.name in self._prepared:
            return ()
        steps = self._sink.prepare(kept.there, kept.whole_key)
        self._prepared.add(kept.table.name)
        return steps


def second_home(settings: Settings) -> SecondHome | None:
    """The second home that the settings name, None if they name none.

    Raises NoDriver, BadServerName.
    """
    return None if settings.postgres_dsn is None else SecondHome(settings.postgres_dsn)


def _version(platform: F1Platform, key: SessionKey, table: Table) -> str:
    """Tells the rows that the lake has of a session from any others it had or will have."""
    commit = platform.lake.current(table, identity(key))
    files = () if commit is None else commit.files
    return sha256(" ".join(file.path for file in files).encode()).hexdigest()[:32]


def _rows(platform: F1Platform, key: SessionKey, kept: Kept) -> Iterator[pl.DataFrame]:
    """Rows of a session as they are sent, a data file of the lake at a time."""
    lake, partition = platform.lake, identity(key)
    if kept.exact:
        yield from map(kept.rows, lake.frames(kept.table, partition))
        return
    repeats = lake.scan(kept.table, partition).select(kept.repeats).collect()[REPEAT]
    start = 0
    for frame in lake.frames(kept.table, partition):
        yield kept.rows(frame, repeats[start : start + frame.height])
        start += frame.height
