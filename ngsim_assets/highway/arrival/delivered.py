"""Delivered rows read back from the landing zone: by vehicle and time, a few vehicles at a time.

Belongs here: the union of a partition's deliveries in the order of its table, and the rows no
partition took. Does not belong here: any judgement of a row.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import date
from itertools import pairwise

import numpy as np
import polars as pl
from numpy.typing import NDArray

from ngsim_assets.acquisition.content import Content
from ngsim_assets.acquisition.deliveries import DeliveredFile, Delivery, Share
from ngsim_assets.acquisition.errors import NothingDelivered
from ngsim_assets.acquisition.landing import LandingZone
from ngsim_assets.acquisition.ordering import stable_order
from ngsim_assets.acquisition.parts import Parts
from ngsim_assets.highway.arrival.spill import NUMBERS, UNASSIGNED
from ngsim_assets.highway.formats import BATCH_SCHEMA
from ngsim_assets.highway.keys import PartitionKey
from ngsim_assets.highway.model import QUARANTINE, RAW_TRAJECTORIES
from ngsim_assets.highway.sites import SITES
from ngsim_assets.storage.manifest import SourceFile

UNDATED = date(1970, 1, 1)
"""`date` of quarantined rows whose highway is not known."""

_RAW_COLUMNS = list(RAW_TRAJECTORIES.columns)

_ORDERED_BY = ("vehicle_id", "frame_id", "source_row")
_SHORT_BITS = 32

# Rows whose columns are in memory together: 60 bytes each, so 120 MB. A larger partition is
# read several times, a range of vehicles each.
_ROWS_AT_ONCE = 2_000_000
_UNASSIGNED_AT_ONCE = 500_000


def recording_t0(landing: LandingZone, key: PartitionKey) -> int | None:
    """Frame origin of a recording as it is delivered now, see `agreed_t0`."""
    return agreed_t0(source_file(item.file, item.share) for item in landing.deliveries(str(key)))


def agreed_t0(files: Iterable[SourceFile]) -> int | None:
    """Frame origin of a recording in its files' clock unit, None if they agree on none.

    Where several files delivered it, the origin of the one with most rows.
    """
    told = [
        (-file.rows, origin) for file in files if isinstance(origin := file.extras.get("t0"), int)
    ]
    return min(told)[1] if told else None


@dataclass(frozen=True)
class DeliveredPartition:
    """A partition as the landing zone held it at one moment, however that moves on.

    Attributes:
        deliveries: those with rows of it, in the order they came.
        files: what is remembered of each with the rows. Where two go by one name, both have the
            first digits of their hash behind it, so that a row tells which of them it is from.
    """

    key: PartitionKey
    deliveries: Sequence[Delivery]
    files: tuple[SourceFile, ...]
    parts: Parts

    @property
    def content(self) -> str:
        """Hash of its rows, as `LandingZone.partition_hash`."""
        return sum((item.share.content for item in self.deliveries), Content()).digest

    def rows(self, chunk_rows: int = 250_000) -> Iterator[pl.DataFrame]:
        """Every delivered row, whole vehicles at a time, in the order of its table.

        Frames have the columns of `RawTrajectory` in physical types (unscaled integers, names
        as Enum) and at most `chunk_rows` rows, but one vehicle at least. Rows are sorted by
        vehicle_id and frame_id (null first), then by order of delivery, then by line. What is
        yielded depends on the deliveries only, not on how they were spilled.

        Raises DamagedPart.
        """
        key, parts = self.key, self.parts
        source = _deliveries_of_rows(parts, self.deliveries)
        names = pl.Series([file.name for file in self.files])
        # nothing is read, held or moved of columns that no file delivered
        constant: dict[str, pl.Expr] = {
            name: pl.lit(None, dtype)
            for name, dtype in BATCH_SCHEMA.items()
            if name not in parts.columns
        }
        constant |= {
            "highway_id": pl.lit(key.highway_id, pl.Enum([key.highway_id])),
            "recording": pl.lit(key.recording, pl.Enum([key.recording])),
            "date": pl.lit(key.date),
            "source_file": pl.lit(names.cast(pl.Enum(names.unique().sort()))).gather("delivery"),
        }
        physical = {name: BATCH_SCHEMA[name] for name in parts.columns}
        fits = parts.rows <= _ROWS_AT_ONCE
        loaded = _load(parts, source, _ORDERED_BY)
        order, bounds = _plan(loaded, chunk_rows)
        if fits:
            rest = [name for name in parts.columns if name not in _ORDERED_BY]
            loaded = loaded.with_columns(parts.column(name, narrow=True) for name in rest)
        for chunks in _together(bounds):
            places = rows = order[chunks[0] : chunks[-1]]
            if not fits:
                chosen = np.sort(rows)
                loaded = _load(parts, source, parts.columns, chosen)
                places = np.searchsorted(chosen, rows)
            for start, end in pairwise(chunks - chunks[0]):
                yield (
                    loaded[places[start:end]]
                    .cast(physical)  # pyright: ignore[reportArgumentType]
                    .with_columns(**constant)
                    .select(_RAW_COLUMNS)
                )


@contextmanager
def delivered_partition(landing: LandingZone, key: PartitionKey) -> Iterator[DeliveredPartition]:
    """What has been delivered of a partition, to be read while the context lasts.

    Raises NothingDelivered, DamagedPart.
    """
    with ExitStack() as opened:
        with landing.reading() as record:
            deliveries = record.deliveries(str(key))
            if not deliveries:
                raise NothingDelivered(str(key), landing.root)
            paths = [part for delivery in deliveries for part in delivery.parts]
            parts = opened.enter_context(Parts(paths, BATCH_SCHEMA))
        names = Counter(delivery.file.name for delivery in deliveries)
        files = (
            source_file(
                delivery.file,
                delivery.share,
                apart_from_others=names[delivery.file.name] > 1,
            )
            for delivery in deliveries
        )
        yield DeliveredPartition(key, deliveries, tuple(files), parts)


def delivered_rows(
    landing: LandingZone, key: PartitionKey, *, chunk_rows: int = 250_000
) -> Iterator[pl.DataFrame]:
    """Every delivered row of a partition, see `DeliveredPartition.rows`.

    Raises NothingDelivered, DamagedPart.
    """
    with delivered_partition(landing, key) as partition:
        yield from partition.rows(chunk_rows)


def source_file(
    file: DeliveredFile, share: Share, *, apart_from_others: bool = False
) -> SourceFile:
    """What is remembered of a delivered file with the rows of `share` that were read from it."""
    held = file.claims[0]
    return SourceFile(
        name=f"{file.name} ({file.sha256[:8]})" if apart_from_others else file.name,
        sha256=file.sha256,
        path=held.path,
        member=held.member,
        packed_sha256=held.sha256,
        rows=share.rows,
        extras=dict(share.extras),
    )


def unassigned_partition(file: DeliveredFile) -> dict[str, str]:
    """Identity of the quarantine partition for the rows of a file that no recording took.

    Each file has one of its own: recording is `file-` and the first digits of its hash;
    highway_id is the site that all those rows name, else `unassigned`.
    """
    named = file.unassigned.extras.get("highway_id") if file.unassigned else None
    return {"highway_id": str(named or UNASSIGNED), "recording": f"file-{file.sha256[:8]}"}


def unassigned_rows(landing: LandingZone, file: DeliveredFile) -> Iterator[pl.DataFrame]:
    """Rows of a file that no partition took, as `QuarantinedRow` in physical types, by line.

    Stage is `intake`; for highway_id and recording see `unassigned_partition`. Reasons:
    unreadable_row (no cell of it could be read), no_frame, no_time, unknown_highway.
    """
    with ExitStack() as opened:
        with landing.reading() as record:
            parts = opened.enter_context(Parts(record.unassigned(file), BATCH_SCHEMA))
        partition = unassigned_partition(file)
        site = SITES.get(partition["highway_id"])
        nothing_read = pl.all_horizontal(pl.col(*NUMBERS).is_null())
        reasons = {
            "no_frame": pl.col("frame_id").is_null(),
            "no_time": pl.col("global_time").is_null(),
            "unknown_highway": pl.col("location").is_null() & pl.lit("location" in file.columns),
        }
        listed = pl.concat_list(
            pl.when(broken).then(pl.lit(name)) for name, broken in reasons.items()
        ).list.drop_nulls()
        order = stable_order(parts.column("source_row").cast(pl.UInt64).to_numpy())
        for start in range(0, order.size, _UNASSIGNED_AT_ONCE):
            chosen = pl.Series(order[start : start + _UNASSIGNED_AT_ONCE])
            frame = pl.DataFrame([parts.column(name).gather(chosen) for name in BATCH_SCHEMA])
            yield frame.with_columns(
                **{name: pl.lit(value) for name, value in partition.items()},
                date=pl.lit(site.date if site else UNDATED),
                source_file=pl.lit(file.name),
                stage=pl.lit("intake"),
                reasons=pl.when(nothing_read)
                .then(pl.lit(["unreadable_row"], pl.List(pl.String)))
                .otherwise(listed),
            ).select(list(QUARANTINE.columns))


def _deliveries_of_rows(parts: Parts, deliveries: Sequence[Delivery]) -> NDArray[np.uint16]:
    """Position of its delivery for every row of the parts."""
    of_parts = [place for place, delivery in enumerate(deliveries) for _ in delivery.parts]
    return np.repeat(np.array(of_parts, np.uint16), parts.rows_by_part)


def _load(
    parts: Parts,
    source: NDArray[np.uint16],
    names: Sequence[str],
    chosen: NDArray[np.uint32] | None = None,
) -> pl.DataFrame:
    """Columns as they lie in the parts, with the `delivery` of each row; of some rows only.

    Integers are in the narrowest types: most of the numbers delivered are small.
    """
    delivery = pl.Series("delivery", source)
    if chosen is None:
        return pl.DataFrame([*(parts.column(name, narrow=True) for name in names), delivery])
    rows = pl.Series(chosen)
    columns = [parts.column(name, narrow=True).gather(rows) for name in names]
    return pl.DataFrame([*columns, delivery.gather(rows)])


def _plan(loaded: pl.DataFrame, chunk_rows: int) -> tuple[NDArray[np.uint32], NDArray[np.int64]]:
    """Order of all rows, and where in it each chunk of whole vehicles begins and the last ends."""
    order = stable_order(_joined(loaded["delivery"], loaded["source_row"])[0])
    keys, frame_bits = _joined(loaded["vehicle_id"], loaded["frame_id"])
    order = stable_order(keys, order)
    vehicles = keys[order] >> frame_bits
    ends = np.append(np.flatnonzero(vehicles[1:] != vehicles[:-1]) + 1, order.size)
    return order, _bounds(ends, chunk_rows)


def _bounds(ends: NDArray[np.int64], most: int) -> NDArray[np.int64]:
    """Of ascending `ends`, those that cut into pieces of at most `most`, or of one end each."""
    bounds = [0]
    while bounds[-1] < ends[-1]:
        last = int(np.searchsorted(ends, bounds[-1] + most, side="right")) - 1
        next_one = int(np.searchsorted(ends, bounds[-1], side="right"))
        bounds.append(int(ends[max(last, next_one)]))
    return np.array(bounds, np.int64)


def _together(bounds: NDArray[np.int64]) -> Iterator[NDArray[np.int64]]:
    """Chunks whose columns are loaded together: their bounds, ends shared."""
    places = np.searchsorted(bounds, _bounds(bounds[1:], _ROWS_AT_ONCE))
    for start, end in pairwise(places):
        yield bounds[start : end + 1]


def _joined(
    high: pl.Series, low: pl.Series
) -> tuple[NDArray[np.uint32 | np.uint64], np.uint32 | np.uint64]:
    """Numbers in the order of `high` and, where that is the same, of `low`; null comes first.

    Also how many of the bits are those of `low`. The numbers have 32 bits where that is enough,
    as it is for any recording.
    """
    low_bits = _bits(low)
    kind = np.uint32 if _bits(high) + low_bits <= _SHORT_BITS else np.uint64
    joined = _places(high, kind)
    joined <<= kind(low_bits)
    joined |= _places(low, kind)
    return joined, kind(low_bits)


def _least(column: pl.Series) -> int:
    # the lowest Int32, which no reader yields, is not told from null: 32 bits are enough then
    return max(int(column.min() or 0), 1 - 2**31)  # type: ignore[arg-type]


def _bits(column: pl.Series) -> int:
    return (int(column.max() or 0) - _least(column) + 1).bit_length()  # type: ignore[arg-type]


def _places(column: pl.Series, kind: type[np.uint32 | np.uint64]) -> NDArray[np.uint32 | np.uint64]:
    """Integers in their order as numbers from 1 up, null as 0."""
    before = _least(column) - 1
    if column.null_count():
        column = column.cast(pl.Int64).fill_null(before)
    places = np.empty(column.len(), kind)
    np.subtract(column.to_numpy(), before, out=places, dtype=np.int64, casting="unsafe")
    return places
