"""Telemetry of a delivered session as rows, some messages at a time, every row accounted for.

Belongs here: which source tells it, what was told before, what is refused. Does not belong here:
decoding and bounds (telemetry/), writing (stages.py).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import polars as pl

from ngsim_assets.f1.delivered import Delivered
from ngsim_assets.f1.errors import MessagesUnaccounted
from ngsim_assets.f1.model import F1_QUARANTINE
from ngsim_assets.f1.origin import Origin
from ngsim_assets.f1.reading.messages import Message
from ngsim_assets.f1.telemetry import openf1
from ngsim_assets.f1.telemetry.model import F1_TELEMETRY
from ngsim_assets.f1.telemetry.moments import Moments
from ngsim_assets.f1.telemetry.streams import CAR_DATA, POSITION, Rows, car_data, positions
from ngsim_assets.f1.timing.session import quarantined
from ngsim_assets.storage.schema import Table

_OF_CHUNK = ("message", "entry")
"""Columns of decoded rows that count within what was decoded together."""

_COUNTED = ("messages", "unread", "decoded", "rejected", "other_cars")


class TelemetryRows:
    """Rows of one of the tables of telemetry.

    Args:
        size: messages that are decoded at a time.

    Attributes:
        counts: of what was handed out so far: `messages`, and of them `unread`; `decoded` rows =
            those handed out + `rejected` + `other_cars`. Messages that another source tells in its
            own times are `other_source`.
        refused: rows of f1_quarantine so far.
    """

    def __init__(self, told: Delivered, table: Table, size: int) -> None:
        self.counts: dict[str, int] = {}
        self.refused: list[pl.DataFrame] = []
        self._told = told
        self._table = table
        self._size = size
        self._of_cars = table is F1_TELEMETRY
        self._moments = Moments()

    def chunks(self) -> Iterator[pl.DataFrame]:
        """Rows, by car and time within each; MessagesUnaccounted if one is lost."""
        told, counts = self._told, self.counts
        counts.update(dict.fromkeys(_COUNTED, 0))
        topics = (CAR_DATA, openf1.CAR_DATA) if self._of_cars else (POSITION, openf1.LOCATION)
        for messages in told.of_telemetry(topics, self._size):
            rows = self._measured(messages)
            if rows is None:
                continue
            self._count(rows)
            if rows.aside:
                self.refused.append(quarantined(rows.aside, told.origin, "folding"))
            measured = rows.measured
            if measured.rejected.height:
                self.refused.append(self._rejected(measured.rejected, messages[0].file))
            if measured.frame.height:
                yield measured.frame.sort(self._table.sort_by, maintain_order=True)
        known = sum(told.telemetry[topic] for topic in topics)
        counts["other_source"] = known - counts["messages"]

    def _measured(self, messages: Sequence[Message]) -> Rows | None:
        measure = car_data if self._of_cars else positions
        origin: Origin = self._told.origin_of(messages[0].topic)
        drivers = self._told.drivers
        return measure(messages, origin, drivers=drivers, moments=self._moments)

    def _count(self, rows: Rows) -> None:
        measured, counts = rows.measured, self.counts
        others = measured.other_cars.total()
        accounted = measured.frame.height + measured.rejected.height + others
        if accounted != rows.decoded:
            raise MessagesUnaccounted(f"rows of {self._table.name}", rows.decoded, accounted)
        counts["messages"] += rows.messages
        counts["unread"] += len(rows.aside)
        counts["decoded"] += rows.decoded
        counts["rejected"] += measured.rejected.height
        counts["other_cars"] += others
        for kind, found in (
            ("nulled", measured.nulled),
            ("flagged", measured.warned),
            ("left", rows.left),
        ):
            for name, number in found.items():
                counts[f"{kind}:{name}"] = counts.get(f"{kind}:{name}", 0) + number

    def _rejected(self, rows: pl.DataFrame, file: str) -> pl.DataFrame:
        """Rows that are not believed, as rows of f1_quarantine, in the units they came in."""
        session = self._told.origin.session
        return rows.select(
            pl.lit(str(session)).alias("session"),
            pl.lit(session.date).alias("date"),
            pl.lit("validated").alias("stage"),
            pl.lit(self._table.name).alias("table"),
            pl.col("reasons").cast(pl.List(pl.String)),
            pl.struct(pl.exclude("reasons", "source_row", *_OF_CHUNK))
            .struct.json_encode()
            .alias("content"),
            pl.lit(file).alias("source_file"),
            pl.col("source_row").cast(pl.Int64),
        ).select(*F1_QUARANTINE.columns)
