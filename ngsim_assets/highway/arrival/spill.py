"""Rows of one file, in whatever order they come, sorted into partitions on disk.

Belongs here: the way of a batch into part files, with bounded memory, before anyone knows which
recordings the file holds. Does not belong here: what a recording is (recordings.py), the record
of deliveries (landing.py).

Rows of an origin that many rows share go to part files of their own as they come; the others go
to a common part and are dealt out at the end, when all origins have been counted and assigned.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from ngsim_assets.acquisition.deliveries import Share
from ngsim_assets.acquisition.ordering import stable_order
from ngsim_assets.acquisition.parts import Parts, PartWriter
from ngsim_assets.acquisition.tallying import ContentTally
from ngsim_assets.highway.arrival.origins import Origins
from ngsim_assets.highway.arrival.recordings import Assignment
from ngsim_assets.highway.formats import BATCH_SCHEMA, RAW_PHYSICAL

NUMBERS = tuple(name for name in RAW_PHYSICAL if name != "location")
"""The delivered columns that say what a row holds; the site is said by its partition."""

UNASSIGNED = "unassigned"
"""Stands for the highway of rows that no partition took and that do not agree on one."""

_STRAY_SCHEMA = pl.Schema({**BATCH_SCHEMA, "origin": pl.Int32()})

# An origin gets parts of its own at this many rows. Buffers of a part being written cost a
# few hundred kB, so their number is limited too.
_OWN_PARTS_ROWS = 2_000
_OWN_PARTS = 64

_STRAY = 0
_VEHICLE_BITS = 16


@dataclass(frozen=True)
class Sorted:
    """What became of a file's rows: shares by partition key, and what no partition took."""

    partitions: dict[str, Share]
    unassigned: Share | None


@dataclass(frozen=True, slots=True)
class Piece:
    """Rows of a batch that go to the same part."""

    writer: PartWriter
    rows: pl.DataFrame


class Spill:
    """Sorts batches of one file into part files of `folder`.

    `arrange` and `write` are the two halves of taking a batch, about equally long, so that two
    threads can share them; each of them takes the batches in order.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._origins = Origins()
        self._tally = ContentTally(NUMBERS)
        self._writers: list[PartWriter] = [PartWriter(folder, "stray")]
        self._writer_of = np.zeros(0, np.int32)
        self._origin_of: list[int] = [-1]
        self._empty = set(BATCH_SCHEMA)
        self.rows = 0

    def arrange(self, batch: pl.DataFrame) -> list[Piece]:
        """Count and hash the rows of `batch` (columns of `BATCH_SCHEMA`) and sort them for disk."""
        if batch.height == 0:
            return []
        batch = batch.rechunk()
        self._empty -= {name for name in self._empty if batch[name].count()}
        numbers = self._origins.number(batch)
        self._tally.add(batch, numbers)
        self._open_writers()
        writers = self._writer_of[numbers]
        order, bounds = _by_writer(writers, batch["vehicle_id"])
        # columns that were empty so far are neither moved nor written
        held = [name for name in BATCH_SCHEMA if name not in self._empty]
        batch = batch.select(*held, pl.Series("origin", numbers))
        if order is not None:
            batch, writers = batch[order], writers[order]
        self.rows += batch.height
        return [
            Piece(self._writers[int(writers[start])], batch.slice(start, end - start))
            for start, end in pairwise(bounds)
        ]

    def write(self, pieces: list[Piece]) -> None:
        """Put what `arrange` gave on disk; may run while the next batch is arranged."""
        for piece in pieces:
            is_stray = piece.writer is self._writers[_STRAY]
            piece.writer.write(piece.rows if is_stray else piece.rows.drop("origin"))

    def close(self) -> None:
        """Complete the parts; the rows can be read after this, and none added."""
        for writer in self._writers:
            writer.close()

    def origins(self) -> pl.DataFrame:
        """Rows per origin, see `Origins.frame`."""
        return self._origins.frame()

    def columns(self) -> tuple[str, ...]:
        """Delivered columns that hold any value, in canonical order."""
        return tuple(name for name in RAW_PHYSICAL if name not in self._empty)

    def coordinates(self) -> Iterator[pl.DataFrame]:
        """Frames of global_x, global_y and o_zone of all rows."""
        paths = [self._folder / part for writer in self._writers for part in writer.parts]
        with Parts(paths, _STRAY_SCHEMA) as parts:
            yield from parts.frames(["global_x", "global_y", "o_zone"])

    def settle(self, assignment: Assignment) -> Sorted:
        """Give every row to the partition of its origin, or to none."""
        names = [str(key) for key in assignment.keys]
        parts: dict[int, list[str]] = {owner: [] for owner in range(-1, len(names))}
        for origin, writer in zip(self._origin_of[1:], self._writers[1:], strict=True):
            parts[int(assignment.owner[origin])] += writer.parts
        for owner, dealt in self._deal_strays(assignment.owner):
            parts[owner] += dealt
        shares: dict[int, Share] = {}
        for owner, files in parts.items():
            content = self._tally.content(np.flatnonzero(assignment.owner == owner))
            extras = {"t0": assignment.t0[owner]} if owner >= 0 else self._named(assignment)
            shares[owner] = Share(content.rows, content, tuple(files), extras)
        unassigned = shares.pop(-1)
        return Sorted(
            {names[owner]: share for owner, share in shares.items()},
            unassigned if unassigned.rows else None,
        )

    def _named(self, assignment: Assignment) -> dict[str, str]:
        """The site that all rows of no partition name."""
        sites = self.origins().filter(pl.Series(assignment.owner) < 0)["highway_id"].unique()
        return {"highway_id": (sites[0] if sites.len() == 1 else None) or UNASSIGNED}

    def _open_writers(self) -> None:
        """Give origins that turn out to be common parts of their own from here on."""
        rows = self._origins.rows
        self._writer_of = np.pad(self._writer_of, (0, rows.size - self._writer_of.size))
        for origin in np.flatnonzero((self._writer_of == _STRAY) & (rows >= _OWN_PARTS_ROWS)):
            if len(self._writers) > _OWN_PARTS:
                return
            self._writer_of[origin] = len(self._writers)
            self._origin_of.append(int(origin))
            self._writers.append(PartWriter(self._folder, f"rows-{origin}"))

    def _deal_strays(self, owner: NDArray[np.int32]) -> list[tuple[int, list[str]]]:
        """The rows of the common part, dealt out to their owners."""
        stray = [self._folder / part for part in self._writers[_STRAY].parts]
        writers: dict[int, PartWriter] = {}
        with Parts(stray, _STRAY_SCHEMA) as parts:
            for frame in parts.frames(list(_STRAY_SCHEMA)):
                owners = owner[frame["origin"].to_numpy()]
                for place in np.unique(owners):
                    name = "unassigned" if place < 0 else f"dealt-{place}"
                    writer = writers.setdefault(int(place), PartWriter(self._folder, name))
                    mine = frame.filter(pl.Series(owners == place))
                    writer.write(mine.drop("origin"))
        for path in stray:
            path.unlink()
        for writer in writers.values():
            writer.close()
        return [(place, writer.parts) for place, writer in sorted(writers.items())]


def _by_writer(
    writers: NDArray[np.int32], vehicles: pl.Series
) -> tuple[NDArray[np.uint32] | None, list[int]]:
    """Order that brings rows of a writer together, None if they are, and where each begins.

    Within a writer rows are brought together by vehicle, which compresses better and is read
    back faster; only the low bits are looked at, nothing depends on it.
    """
    low = vehicles.fill_null(0).to_numpy().astype(np.uint64) & np.uint64(2**_VEHICLE_BITS - 1)
    keys = (writers.astype(np.uint64) << np.uint64(_VEHICLE_BITS)) | low
    order = None
    if (keys[1:] < keys[:-1]).any():
        order = stable_order(keys)
        writers = writers[order]
    return order, [0, *(np.flatnonzero(np.diff(writers)) + 1).tolist(), writers.size]
