"""The whole platform on one page. Nothing is opened, created or read by importing it."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import replace

import dagster as dg

with warnings.catch_warnings():
    # Observable sources and partitioned checks are marked beta and preview in the pinned
    # Dagster; the suite drives both, so an incompatible change fails there and not for a user.
    warnings.simplefilter("ignore", dg.BetaWarning)
    warnings.simplefilter("ignore", dg.PreviewWarning)
    from ngsim_assets.f1 import assets as f1
    from ngsim_assets.f1 import sensors as f1_sensors
    from ngsim_assets.f1.automation import AUTOMATION as F1_AUTOMATION
    from ngsim_assets.f1.checks import build_checks as build_f1_checks
    from ngsim_assets.f1.resources import F1Resource
    from ngsim_assets.f1.tables import TABLES as F1_TABLES
    from ngsim_assets.highway import assets as highway
    from ngsim_assets.highway import downloads, sensors
    from ngsim_assets.highway.automation import AUTOMATION
    from ngsim_assets.highway.checks import build_checks
    from ngsim_assets.highway.resources import HighwayPlatform
    from ngsim_assets.highway.stages import Platform

    HIGHWAY_CHECKS = build_checks()
    F1_CHECKS = build_f1_checks()
    RAW_FILES = downloads.behind_downloads(highway.raw_files)

BUILD_RECORDING = "build_recording"
SUMMARISE_CORPUS = "summarise_corpus"
BUILD_SESSION = "build_session"


class WholeLake(HighwayPlatform):
    """The platform with the tables of every domain in its lake: catalog and upkeep take all."""

    def open(self, run_id: str) -> Platform:
        """As a run sees it."""
        return replace(super().open(run_id), others=F1_TABLES)


def build_definitions(*, resources: Mapping[str, object] | None = None) -> dg.Definitions:
    """Every asset, check, job, schedule, sensor and resource of the platform.

    `resources` replaces those of the same name, as in tests: a platform in a folder of its own.
    """
    return dg.Definitions(
        assets=[
            downloads.ngsim_downloads,
            RAW_FILES,
            *highway.BUILT,
            f1.f1_feeds,
            *f1.BUILT,
        ],
        asset_checks=[*HIGHWAY_CHECKS, *F1_CHECKS],
        jobs=[
            dg.define_asset_job(
                BUILD_RECORDING,
                selection=dg.AssetSelection.assets(*highway.PER_RECORDING),
                description="Every table and the report of one recording.",
                run_tags={"ngsim/kind": "build"},
            ),
            dg.define_asset_job(
                SUMMARISE_CORPUS,
                selection=dg.AssetSelection.assets(highway.corpus_summary),
                description="All recordings side by side.",
                run_tags={"ngsim/kind": "summary"},
            ),
            dg.define_asset_job(
                BUILD_SESSION,
                selection=dg.AssetSelection.assets(*f1.BUILT),
                description="Every table and the report of one session of Formula 1.",
                run_tags={"ngsim/kind": "build session"},
            ),
            downloads.download_job,
            *sensors.JOBS,
            *f1_sensors.JOBS,
        ],
        schedules=[downloads.daily_downloads, *sensors.SCHEDULES],
        sensors=[AUTOMATION, F1_AUTOMATION, *sensors.SENSORS, *f1_sensors.SENSORS],
        resources={"platform": WholeLake(), "f1": F1Resource(), **(resources or {})},
        # A step in a process of its own costs seconds of imports; partitions run in parallel
        # as runs instead (measured: 6 s against 41 s for five steps).
        executor=dg.in_process_executor,
    )


defs = build_definitions()
