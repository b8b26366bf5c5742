"""Versions of a recording's metrics: which there are, and what each was made with.

Belongs here: reading the lake's history. Does not belong here: comparing (comparison.py).

A version is a commit of `quality_metrics` about that recording. What it was made with is told by
the newest commit before it of each table it goes back to: stages write one after the other.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import polars as pl

from ngsim_assets.errors import NgsimAssetsError
from ngsim_assets.highway.keys import PartitionKey
from ngsim_assets.highway.model import (
    CLEANED_TRAJECTORIES,
    QUALITY_METRICS,
    RAW_TRAJECTORIES,
    VALIDATED_POINTS,
)
from ngsim_assets.highway.stages import Platform, identity
from ngsim_assets.storage.manifest import Version
from ngsim_assets.storage.schema import Table

_BEFORE = (RAW_TRAJECTORIES, VALIDATED_POINTS, CLEANED_TRAJECTORIES)


class NoSuchVersion(NgsimAssetsError):
    """A version of a recording's metrics that there is not."""

    def __init__(self, key: PartitionKey, wanted: str, known: Sequence[Version]) -> None:
        told = ", ".join(f"@{v.version} ({v.timestamp:%Y-%m-%d %H:%M:%S} UTC)" for v in known)
        super().__init__(
            f"{key} has no version {wanted} of its metrics",
            f"there are, newest first: {told}"
            if told
            else f"none yet; make one: ngsim build '{key}'",
        )


@dataclass(frozen=True)
class Measured:
    """One version of a recording's metrics and the commits it goes back to.

    Attributes:
        made_from: by table, the commit that was live when the metrics were written.
        current: whether no later version is.
    """

    key: PartitionKey
    version: Version
    made_from: Mapping[str, Version]
    current: bool

    def metrics(self, platform: Platform) -> pl.DataFrame:
        """Its rows of `quality_metrics`; UnknownVersion if its files were removed."""
        return platform.lake.scan(
            QUALITY_METRICS, identity(self.key), version=self.version.version
        ).collect()

    def points(self, platform: Platform, table: Table) -> pl.LazyFrame:
        """The points that were measured; UnknownVersion if their files were removed."""
        return platform.lake.scan(
            table, identity(self.key), version=self.made_from[table.name].version
        )


def versions(platform: Platform, key: PartitionKey) -> list[Version]:
    """Versions of a recording's metrics, newest first."""
    return _about(platform, QUALITY_METRICS, key)


def measured(platform: Platform, key: PartitionKey, wanted: str = "") -> Measured:
    """The version of a recording's metrics that `wanted` names; NoSuchVersion if there is none.

    Empty: the newest. `-1`: the one before it, and so on. A number: that version of the table.
    """
    known = versions(platform, key)
    try:
        number = int(wanted or 0)
    except ValueError:
        raise NoSuchVersion(key, f"@{wanted.lstrip('@')}", known) from None
    if not wanted or wanted.startswith("-"):
        place = -number
        found = known[place] if place < len(known) else None
    else:
        found = next((version for version in known if version.version == number), None)
    if found is None:
        raise NoSuchVersion(key, f"@{wanted}" if wanted else "at all", known)
    made_from: dict[str, Version] = {}
    for table in _BEFORE:
        earlier = (v for v in _about(platform, table, key) if v.timestamp <= found.timestamp)
        newest = next(earlier, None)
        if newest is not None:
            made_from[table.name] = newest
    return Measured(key, found, made_from, current=found is known[0])


def _about(platform: Platform, table: Table, key: PartitionKey) -> list[Version]:
    """Commits of a table about one recording, newest first."""
    return [
        version
        for version in platform.lake.history(table)
        if dict(version.partition) == identity(key)
    ]
