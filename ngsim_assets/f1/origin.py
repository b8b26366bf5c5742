"""Where rows come from: session, source, and the columns that every row of a message has.

Belongs here: what rows of all tables share, and putting rows together to frames. Does not belong
here: any table's own columns.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal, TypeAlias

import polars as pl

from ngsim_assets.f1.keys import SessionKey
from ngsim_assets.f1.reading.messages import Message
from ngsim_assets.storage.schema import Table

SourceKind = Literal["livetiming", "signalr", "openf1", "fastf1", "open-meteo", "openweathermap"]
Row: TypeAlias = "dict[str, object]"


@dataclass(frozen=True, slots=True)
class Origin:
    """The session that messages are of, and where they came from.

    Attributes:
        source: feed, hub, service or library.
        simulated: whether a generator made them.
    """

    session: SessionKey
    source: SourceKind
    simulated: bool = False

    @property
    def columns(self) -> Row:
        """Columns of the session."""
        return {"session": str(self.session), "date": self.session.date}

    def of(self, message: Message) -> Row:
        """Columns of the session and of a message of it."""
        return {
            **self.columns,
            "session_time_ms": message.session_time,
            "timestamp": message.utc,
            "source_file": message.file,
            "source_row": message.line,
        }


def frame(table: Table, rows: Iterable[Mapping[str, object]]) -> pl.DataFrame:
    """Rows as a frame with the columns of `table`; what a row lacks is null."""
    return pl.DataFrame(list(rows), schema=dict(table.schema), orient="row")
