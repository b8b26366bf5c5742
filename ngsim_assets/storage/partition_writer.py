"""Chunks of rows to data files of one partition, on the disk and hashed, not yet in the log.

Belongs here: which rows go into which file, names, hashes, fsync. Does not belong here:
Parquet itself (encoding.py), the commit (parquet.py).
"""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from io import BytesIO
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING

import polars as pl
import pyarrow as pa

from ngsim_assets.storage.atomic import make_folder, sync_folder
from ngsim_assets.storage.encoding import ParquetEncoder, WriteOptions, fit, stack
from ngsim_assets.storage.errors import SchemaMismatch, writing
from ngsim_assets.storage.manifest import DataFile
from ngsim_assets.storage.partitions import checked
from ngsim_assets.storage.schema import Table
from ngsim_assets.storage.statistics import statistics_of

if TYPE_CHECKING:
    from deltalake.transaction import AddAction

_FEW_RUNS = 64
"""Rows a run of one partition has on average for runs to be cheaper to join than rows to sort."""

Written = tuple[DataFile, "AddAction"]


class PartitionWriter:
    """The data files of one write. `write_id` is part of their names, as are their places.

    Args:
        first: place of the first file in the partition.
    """

    def __init__(
        self,
        table: Table,
        partition: Mapping[str, str],
        folder: Path,
        options: WriteOptions,
        write_id: str,
        first: int = 0,
    ) -> None:
        self._table = table
        self._partition = partition
        self._folder = folder
        self._options = options
        self._write_id = write_id
        self._first = first
        self._encoder = ParquetEncoder(table, options)
        self._free = tuple(name for name in table.partition_by if name not in partition)
        self._paths: list[Path] = []

    def write(self, chunks: Iterable[pl.DataFrame]) -> list[Written]:
        """Write every chunk; returns the files and their log entries in order of their rows."""
        done: list[Written] = []
        running: set[Future[Written]] = set()
        with ThreadPoolExecutor(self._options.threads, "parquet") as pool:
            # not enumerate: it would hold a frame until it has the next one
            numbers = count(self._first)
            for folder, frame in self._files(chunks):
                running.add(pool.submit(self._write, folder, frame, next(numbers)))
                del frame
                if len(running) >= self._options.threads:
                    finished, running = wait(running, return_when=FIRST_COMPLETED)
                    done += [future.result() for future in finished]
            done += [future.result() for future in running]
        for folder in {path.parent for path in self._paths}:
            sync_folder(folder)
        return sorted(done, key=lambda written: written[0].order)

    def discard(self) -> None:
        """Remove the files again."""
        for path in self._paths:
            path.unlink(missing_ok=True)

    def _files(
        self, chunks: Iterable[pl.DataFrame]
    ) -> Iterator[tuple[tuple[str, ...], pl.DataFrame]]:
        """Rows that make one file each, with the values of the free partition columns."""
        waiting: dict[tuple[str, ...], list[pl.DataFrame]] = {}
        for chunk in chunks:
            for values, frame in self._split(self._fit(chunk)):
                pieces = waiting.setdefault(values, [])
                if frame.height + sum(piece.height for piece in pieces) < self._options.file_rows:
                    pieces.append(_detached(frame))
                else:
                    yield values, stack([*waiting.pop(values), frame])
                    del pieces
                del frame
            del chunk
        for values in sorted(waiting):
            yield values, stack(waiting.pop(values))

    def _fit(self, chunk: pl.DataFrame) -> pl.DataFrame:
        named = [name for name in self._partition if name in chunk.columns]
        for name in named:
            wanted = self._partition[name]
            found = chunk[name]
            if found.dtype == pl.String():
                found = found.filter(found.ne_missing(wanted))  # much cheaper than distinct values
            others = sorted(str(value) for value in set(found.unique().cast(pl.String)) - {wanted})
            if others:
                raise SchemaMismatch(
                    self._table.name,
                    [f"column {name} holds {', '.join(others)} beside {wanted}"],
                    "a chunk holds rows of the partition it is written to, and no others",
                )
        return fit(self._table, chunk.drop(named), self._partition)

    def _split(self, frame: pl.DataFrame) -> Iterator[tuple[tuple[str, ...], pl.DataFrame]]:
        """Rows by Hive folder, each in their order."""
        if frame.is_empty():
            return
        if not self._free:
            yield (), frame
            return
        starts = frame.select(
            pl.any_horizontal(
                pl.col(name).ne_missing(pl.col(name).shift()) for name in self._free
            ).arg_true()
        ).to_series()
        parts: dict[tuple[object, ...], pl.DataFrame] = {}
        if len(starts) * _FEW_RUNS <= frame.height:
            # whole vehicles lie together: joining their runs copies nothing
            keys = frame.select(self._free)[starts].rows()
            rows = frame.drop(self._free)
            ends = [*starts[1:], frame.height]
            runs: dict[tuple[object, ...], list[pl.DataFrame]] = {}
            for key, start, end in zip(keys, starts, ends, strict=True):
                runs.setdefault(key, []).append(rows.slice(start, end - start))
            parts = {key: pl.concat(pieces) for key, pieces in runs.items()}
        else:
            parts = frame.partition_by(
                self._free, maintain_order=True, include_key=False, as_dict=True
            )
        for values, part in parts.items():
            yield tuple(str(value) for value in values), part

    def _write(self, values: tuple[str, ...], frame: pl.DataFrame, number: int) -> Written:
        from deltalake.transaction import AddAction

        partition = checked(
            self._table, {**self._partition, **dict(zip(self._free, values, strict=True))}
        )
        content, footer = self._encoder.encode(frame)
        digest = hashlib.sha256(content).hexdigest()
        hive = [f"{name}={value}" for name, value in partition.items()]
        name = f"{number:05d}-{digest}-{self._write_id}.parquet"
        file = DataFile("/".join([*hive, name]), partition, frame.height, content.size)
        path = self._folder / file.path
        with writing(path):
            make_folder(path.parent)
            self._paths.append(path)
            _write_synced(path, content)
        action = AddAction(
            path=file.path,
            size=file.bytes,
            partition_values=file.partition,
            modification_time=int(time.time() * 1000),
            data_change=True,
            stats=json.dumps(statistics_of(footer)),
        )
        return file, action


def _detached(frame: pl.DataFrame) -> pl.DataFrame:
    """A copy: a slice would keep the whole chunk in memory for as long as it waits."""
    buffer = BytesIO()
    frame.write_ipc(buffer, compat_level=pl.CompatLevel.oldest())
    buffer.seek(0)
    return pl.read_ipc(buffer)


def _write_synced(path: Path, content: pa.Buffer) -> None:
    with path.open("wb") as file:
        file.write(memoryview(content))
        file.flush()
        os.fsync(file.fileno())
