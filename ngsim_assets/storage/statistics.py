"""Bounds of a data file's columns, from its Parquet footer to the Delta log.

With them a reader of the log knows which files cannot hold a value, without opening them.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pyarrow.parquet as pq

_LONGEST = 64
"""Strings longer than this get no bounds: a log is no place for whole lines."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def statistics_of(footer: pq.FileMetaData) -> dict[str, Any]:
    """Delta statistics: rows, and per plain column smallest, largest and number of nulls."""
    smallest: dict[str, Any] = {}
    largest: dict[str, Any] = {}
    nulls: dict[str, int] = {}
    for index in range(footer.num_columns):
        name = footer.schema.column(index).path
        groups = [
            footer.row_group(group).column(index).statistics
            for group in range(footer.num_row_groups)
        ]
        if "." in name or any(group is None or not group.has_null_count for group in groups):
            continue
        nulls[name] = sum(group.null_count for group in groups)
        filled = [group for group in groups if group.num_values]
        if not filled or not all(group.has_min_max for group in filled):
            continue
        low = _lower(min(_bounds(group)[0] for group in filled))
        high = _upper(max(_bounds(group)[1] for group in filled))
        if low is not None and high is not None:
            smallest[name] = low
            largest[name] = high
    return {
        "numRecords": footer.num_rows,
        "minValues": smallest,
        "maxValues": largest,
        "nullCount": nulls,
    }


def _bounds(group: pq.Statistics) -> tuple[Any, Any]:
    """Smallest and largest value of a row group; those of times are all stored as microseconds."""
    if group.logical_type.type == "TIMESTAMP":
        # Arrow's own conversion loads Pandas, 40 MB that nothing else in a write needs
        raw = (group.min_raw, group.max_raw)
        low, high = (_EPOCH + timedelta(microseconds=bound) for bound in raw)
        return low, high
    return group.min, group.max


def _lower(bound: Any) -> Any:
    """A bound as the log writes it, None for types without one; times in whole milliseconds."""
    if isinstance(bound, bool):
        return None
    if isinstance(bound, datetime):
        return bound.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z"
    if isinstance(bound, date):
        return bound.isoformat()
    if isinstance(bound, Decimal):
        return float(bound)
    if isinstance(bound, str):
        return bound if len(bound) <= _LONGEST else None
    return bound


def _upper(bound: Any) -> Any:
    if isinstance(bound, datetime):
        bound += timedelta(microseconds=999)
    return _lower(bound)
