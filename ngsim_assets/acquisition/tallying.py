"""Rows that arrive in batches, hashed into the content of each group.

A null adds nothing to its row: a column that a file lacks and a column of nulls are the same,
and a column added to the tables later leaves old hashes as they are. Not a defence against
forgery, only against accidents.

Belongs here: hashes of rows and their sums. Does not belong here: what sums are compared for
(content.py).
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np
import polars as pl
from numba import njit
from numpy.typing import NDArray

from ngsim_assets.acquisition.content import Content

_BLOCK = 16_384  # rows whose running hashes stay in the processor's cache from column to column


class ContentTally:
    """Content per group of rows that arrive in batches.

    `columns` are integer columns; their names, not their places, enter the hash.
    """

    def __init__(self, columns: Sequence[str]) -> None:
        self._keys = [(name, *_keys_of(name)) for name in columns]
        self._rows = np.zeros(16, np.int64)
        self._sums = np.zeros((2, 16), np.uint64)

    def add(self, batch: pl.DataFrame, groups: NDArray[np.int32]) -> None:
        """Count the rows of `batch`, whose groups `groups` (int32, from 0) names row by row."""
        if batch.height == 0:
            return
        self._reserve(int(groups.max()) + 1)
        columns = [
            (_integers(batch[name]), _validity(batch[name]), *keys)
            for name, *keys in self._keys
            if batch[name].null_count() < batch.height
        ]
        first, second = np.empty(_BLOCK, np.uint64), np.empty(_BLOCK, np.uint64)
        for start in range(0, batch.height, _BLOCK):
            stop = min(start + _BLOCK, batch.height)
            first[:] = 0
            second[:] = 0
            for values, valid, key, left, right in columns:
                mask = valid if valid is None else valid[start:stop]
                _absorb(values[start:stop], mask, key, left, right, first, second)
            _tally(groups[start:stop], first, second, self._rows, self._sums)

    def content(self, groups: NDArray[np.integer]) -> Content:
        """Content of these groups together; a group that no row named is empty."""
        groups = groups[groups < self._rows.size]
        first, second = (int(sums[groups].sum(dtype=np.uint64)) for sums in self._sums)
        return Content(int(self._rows[groups].sum()), (first, second))

    def _reserve(self, groups: int) -> None:
        if groups > self._rows.size:
            room = max(groups, 2 * self._rows.size) - self._rows.size
            self._rows = np.pad(self._rows, (0, room))
            self._sums = np.pad(self._sums, ((0, 0), (0, room)))


def _keys_of(name: str) -> tuple[np.uint64, np.uint64, np.uint64]:
    digest = hashlib.sha256(name.encode()).digest()
    key, left, right = (int.from_bytes(digest[at : at + 8], "little") for at in (0, 8, 16))
    # odd multipliers lose no bit of what they multiply
    return np.uint64(key), np.uint64(left | 1), np.uint64(right | 1)


def _integers(column: pl.Series) -> NDArray[np.integer]:
    filled = column.fill_null(0) if column.null_count() else column
    return np.ascontiguousarray(filled.rechunk().to_numpy())


def _validity(column: pl.Series) -> NDArray[np.bool_] | None:
    return column.is_not_null().to_numpy() if column.null_count() else None


@njit(cache=True, nogil=True)
def _absorb(
    values: NDArray[np.integer],
    valid: NDArray[np.bool_] | None,
    key: np.uint64,
    left: np.uint64,
    right: np.uint64,
    first: NDArray[np.uint64],
    second: NDArray[np.uint64],
) -> None:
    """Add one column's cells to the running pair of hashes of each row."""
    odd = np.uint64(0x9E3779B97F4A7C15)  # 2^64 / golden ratio, the step of splitmix64
    for row in range(values.size):
        if valid is None or valid[row]:
            cell = (np.uint64(values[row]) ^ key) * odd
            cell ^= cell >> np.uint64(29)
            first[row] += cell * left
            second[row] += cell * right


@njit(cache=True, nogil=True)
def _splitmix(word: np.uint64) -> np.uint64:
    """Finaliser of splitmix64 (Steele, Lea, Flood 2014): every bit depends on every bit."""
    word = (word ^ (word >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    word = (word ^ (word >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return word ^ (word >> np.uint64(31))


@njit(cache=True, nogil=True)
def _tally(
    groups: NDArray[np.int32],
    first: NDArray[np.uint64],
    second: NDArray[np.uint64],
    rows: NDArray[np.int64],
    sums: NDArray[np.uint64],
) -> None:
    """Add finished row hashes to their groups."""
    seed = np.uint64(0xD1B54A32D192ED03)
    for row in range(groups.size):
        group = groups[row]
        rows[group] += 1
        sums[0, group] += _splitmix(first[row])
        sums[1, group] += _splitmix(second[row] + seed)
