"""Names of partitions and trajectories: the same on every machine, for ever.

Belongs here: how a recording's key is written and read, and the UUID of a trajectory. Does not
belong here: which rows belong to which recording (recordings.py).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date, datetime
from uuid import UUID, uuid5

import polars as pl

from ngsim_assets.highway.errors import BadPartitionKey
from ngsim_assets.highway.sites import SITES

_RECORDING = re.compile(r"\d{4}-\d\d-\d\dT\d{4}(\d\d)?", re.ASCII)

# UUIDv5 of the NGSIM data set's DOI (doi:10.21949/1504477) in the URL namespace. Changing it
# renames every trajectory ever stored.
TRAJECTORIES = UUID("54c45931-1d31-5053-8959-43658c6042fc")


@dataclass(frozen=True, slots=True, order=True)
class PartitionKey:
    """One recording of one highway, `us-101|2005-06-15T0750`.

    The text form is Dagster's for a multi-partition key: dimensions in alphabetical order of
    their names (highway, recording), joined by a bar. Both parts are safe as folder names.

    Raises BadPartitionKey for a highway that `sites.py` does not know or a recording that is
    not a local start.
    """

    highway_id: str
    recording: str

    def __post_init__(self) -> None:
        if self.highway_id not in SITES:
            raise BadPartitionKey(
                str(self), f"no highway {self.highway_id!r}, known are {', '.join(SITES)}"
            )
        check_recording(self.recording)

    def __str__(self) -> str:
        return f"{self.highway_id}|{self.recording}"

    @classmethod
    def parse(cls, text: str) -> PartitionKey:
        """Key written as `us-101|2005-06-15T0750`; BadPartitionKey for anything else."""
        highway_id, bar, recording = text.partition("|")
        if not bar:
            raise BadPartitionKey(text, "no bar between highway and recording")
        return cls(highway_id, recording)

    @property
    def date(self) -> date:
        """Local date of the recording."""
        return date.fromisoformat(self.recording[:10])


def check_recording(recording: str) -> str:
    """`recording` itself if it is a local start, `2005-06-15T0750` or `2005-06-15T075012`."""
    if _RECORDING.fullmatch(recording) is None:
        raise BadPartitionKey(recording, "not a local start such as 2005-06-15T0750")
    try:
        # a wall-clock label: its zone is the site's
        datetime.strptime(recording.ljust(17, "0"), "%Y-%m-%dT%H%M%S")  # noqa: DTZ007
    except ValueError as error:
        raise BadPartitionKey(recording, f"no such time: {error}") from None
    return recording


def trajectory_id(highway_id: str, recording: str, vehicle_id: int) -> str:
    """UUIDv5 of one vehicle in one recording."""
    return str(uuid5(TRAJECTORIES, f"{highway_id}|{recording}|{vehicle_id}"))


def trajectory_ids(highway_id: str, recording: str, vehicle_id: pl.Series) -> pl.Series:
    """`trajectory_id` of every row of an integer column, null where it is null.

    Each vehicle is hashed once, so it costs per vehicle and not per row. In a lazy plan:
    `pl.col("vehicle_id").map_batches(partial(trajectory_ids, highway, recording), pl.String)`.
    """
    vehicles = vehicle_id.drop_nulls().unique()
    names = pl.Series(
        [trajectory_id(highway_id, recording, vehicle) for vehicle in vehicles], dtype=pl.String
    )
    return vehicle_id.replace_strict(vehicles, names, default=None, return_dtype=pl.String).alias(
        "trajectory_id"
    )
