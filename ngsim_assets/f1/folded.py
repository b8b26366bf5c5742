"""A delivered session folded into rows of every table but telemetry, sources weighed.

Of a table the feed's rows count; where it tells none, OpenF1's; where they have none either, those
of FastF1. Observations of the weather are taken from feed and OpenF1 alike, forecasts beside them.

Belongs here: which source makes which table, and the account of messages. Does not belong here:
folding (timing/), judging rows (validate.py), writing (stages.py).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

import polars as pl

from ngsim_assets.f1.delivered import Delivered
from ngsim_assets.f1.errors import MessagesUnaccounted
from ngsim_assets.f1.formats import OPENF1
from ngsim_assets.f1.model import (
    F1_LAPS,
    F1_RACE_CONTROL,
    F1_SESSION_STATUS,
    F1_TRACK_STATUS,
    F1_WEATHER,
)
from ngsim_assets.f1.neutralisations.evidence import LeaderLap, of_messages
from ngsim_assets.f1.origin import frame
from ngsim_assets.f1.reading.messages import SetAside
from ngsim_assets.f1.timing.openf1 import tables_of_openf1
from ngsim_assets.f1.timing.session import SessionFold, SessionTables, in_order_of_time
from ngsim_assets.storage.schema import Table

_TABLES: Final = {
    F1_LAPS: "laps",
    F1_TRACK_STATUS: "track_status",
    F1_RACE_CONTROL: "race_control",
    F1_SESSION_STATUS: "session_status",
}
_LEADER: Final = frozenset({"LapCount", "SessionStatus"})


@dataclass(slots=True)
class FoldedSession:
    """Rows of a session, and the account: messages = folded + passed on + set aside.

    Attributes:
        rows: by table, each in its order. unused: rows that another source told of a table that
            has those of a better one.
        leader: laps of the leader, where LapCount counts them.
        aside: messages that could not be folded.
    """

    rows: dict[Table, pl.DataFrame] = field(default_factory=dict[Table, pl.DataFrame])
    unused: Counter[str] = field(default_factory=Counter[str])
    leader: list[LeaderLap] = field(default_factory=list[LeaderLap])
    messages: int = 0
    folded: int = 0
    passed_on: int = 0
    aside: list[SetAside] = field(default_factory=list[SetAside])


def folded(told: Delivered) -> FoldedSession:
    """Rows of a session; MessagesUnaccounted if a message became nothing, or more than one."""
    found = FoldedSession(messages=told.messages, passed_on=told.telemetry.total())
    feed = _of_feed(told, found)
    openf1 = _of_openf1(told, found) if told.openf1 else None
    accounted = found.folded + found.passed_on + len(found.aside)
    if accounted != found.messages:
        raise MessagesUnaccounted("messages", found.messages, accounted)
    for table, name in _TABLES.items():
        frames = [_table(feed, name), *([_table(openf1, name)] if openf1 is not None else [])]
        if (fastf1 := told.historical.get(name)) is not None:
            frames.append(fastf1.frame)
        _choose(table, frames, found)
    observed = [feed.weather, *([openf1.weather] if openf1 is not None else [])]
    if (fastf1 := told.historical.get("weather")) is not None:
        if all(rows.is_empty() for rows in observed):
            observed.append(fastf1.frame)
        else:
            found.unused[F1_WEATHER.name] += fastf1.frame.height
    weather = pl.concat([*observed, frame(F1_WEATHER, told.forecasts)])
    found.rows[F1_WEATHER] = _sorted(F1_WEATHER, weather)
    found.leader = [*of_messages(one for one in told.feed if one.topic in _LEADER).leader]
    return found


def _of_feed(told: Delivered, found: FoldedSession) -> SessionTables:
    fold = SessionFold(told.origin, clock=told.clock, first_laps=told.first_laps)
    fold.take(in_order_of_time(told.feed))
    fold.finish()
    found.folded += fold.account.folded.total()
    found.passed_on += fold.account.passed_on
    found.aside += fold.account.aside
    return fold.drain()


def _of_openf1(told: Delivered, found: FoldedSession) -> SessionTables:
    tables, account = tables_of_openf1(told.openf1, told.origin_of(OPENF1), clock=told.clock)
    found.folded += account.folded.total()
    found.passed_on += account.passed_on
    found.aside += account.aside
    return tables


def _table(tables: SessionTables, name: str) -> pl.DataFrame:
    by_name: Mapping[str, pl.DataFrame] = {
        "laps": tables.laps,
        "track_status": tables.track_status,
        "race_control": tables.race_control,
        "session_status": tables.session_status,
    }
    return by_name[name]


def _choose(table: Table, frames: list[pl.DataFrame], found: FoldedSession) -> None:
    """The rows of the first source that has any; those of the others are counted."""
    chosen = next((rows for rows in frames if rows.height), frames[0])
    found.rows[table] = _sorted(table, chosen)
    found.unused[table.name] += sum(rows.height for rows in frames if rows is not chosen)


def _sorted(table: Table, rows: pl.DataFrame) -> pl.DataFrame:
    return rows.sort(table.sort_by, maintain_order=True)
