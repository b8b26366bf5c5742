"""What the highway assets get from Dagster: the platform's places, opened per run.

Belongs here: partitions, the resource, and the registration of recordings on an instance.
Does not belong here: what is done with them.
"""

from __future__ import annotations

from pathlib import Path

import dagster as dg

from ngsim_assets.highway.keys import PartitionKey
from ngsim_assets.highway.sites import SITES
from ngsim_assets.highway.stages import Platform, open_platform
from ngsim_assets.settings import Settings, load_settings

RECORDING_PARTITIONS = "recording"
RAW_FILES = dg.AssetKey("raw_files")

# Multi-partition keys join the dimensions in alphabetical order of their names, which is why
# highway stands before recording in `us-101|2005-06-15T0750`.
recordings = dg.MultiPartitionsDefinition(
    {
        "highway": dg.StaticPartitionsDefinition(list(SITES)),
        "recording": dg.DynamicPartitionsDefinition(name=RECORDING_PARTITIONS),
    }
)


class HighwayPlatform(dg.ConfigurableResource[Settings]):
    """Lake, landing zone and reports. `data` overrides `NGSIM_DATA`; the rest is `NGSIM_*`."""

    data: str | None = None

    def settings(self) -> Settings:
        """Settings in force: read when a run needs them, not when the code is loaded."""
        return load_settings(data=Path(self.data)) if self.data else load_settings()

    def open(self, run_id: str) -> Platform:
        """The platform as a run sees it; opening creates nothing on disk."""
        return open_platform(self.settings(), run_id)


def register(instance: dg.DagsterInstance, key: PartitionKey, data_version: str, rows: int) -> bool:
    """Make `key` a partition of `instance` and record what content it now has.

    The observation of `raw_files` carries the partition's content hash as its data version:
    automation compares it with the one its tables were built from. Returns whether the content
    is new to the instance; registering the same content again adds no event.
    """
    instance.add_dynamic_partitions(RECORDING_PARTITIONS, [key.recording])
    known = instance.get_latest_data_version_record(RAW_FILES, partition_key=str(key))
    if known is not None:
        event = known.asset_observation or known.asset_materialization
        if event is not None and (event.tags or {}).get("dagster/data_version") == data_version:
            return False
    instance.report_runless_asset_event(
        dg.AssetObservation(
            asset_key=RAW_FILES,
            partition=str(key),
            metadata={"dagster/row_count": rows},
            tags={"dagster/data_version": data_version},
        )
    )
    return True
