"""Acquisition in the graph: what NGSIM's publisher has, as an asset, and when it is looked for.

Belongs here: the asset, its job and schedule, what a run tells Dagster. Does not belong here: how
it is downloaded (official/), taking the files in (sensors.py), which goes on by itself.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import dagster as dg
from dagster._core.definitions.external_asset import create_external_asset_from_source_asset
from pydantic import Field

from ngsim_assets.acquisition.observers.to_logger import ToLogger
from ngsim_assets.acquisition.transfer.errors import TransferError
from ngsim_assets.errors import NgsimAssetsError
from ngsim_assets.highway.official.downloading import Downloads, download
from ngsim_assets.highway.official.source import Wanted, Way, known_highways, listed
from ngsim_assets.highway.resources import HighwayPlatform
from ngsim_assets.settings import Settings
from ngsim_assets.storage.errors import DiskFull

DOWNLOADS = "ngsim_downloads"
DOWNLOAD = "download"
_ROWS_SHOWN = 200

# Requests are tried again within a run already, for seconds to a minute. What is still down then
# may be back in some minutes; the next scheduled run makes up for what is not.
_RETRY = dg.RetryPolicy(
    max_retries=2, delay=120, backoff=dg.Backoff.EXPONENTIAL, jitter=dg.Jitter.PLUS_MINUS
)


class DownloadConfig(dg.Config):
    """What a run downloads. Without `highways` those of NGSIM_DOWNLOAD_HIGHWAYS; `way` is zip, api
    or export, without it NGSIM_DOWNLOAD_WAY."""

    highways: list[str] = Field([])
    way: str = ""

    def wanted(self, settings: Settings) -> Wanted | None:
        """As a source has it; None if nothing is wanted."""
        way = _way(self.way or settings.download_way)
        highways = known_highways(self.highways or listed(settings.download_highways))
        return Wanted(way, highways) if highways or (self.way and way == "export") else None


class NoSuchWay(NgsimAssetsError):
    """A way of downloading that there is not."""

    def __init__(self, way: str) -> None:
        super().__init__(f"no way {way!r} to download", "give zip, api or export")


@dg.asset(
    name=DOWNLOADS,
    group_name="highway",
    owners=["team:trajectories"],
    kinds={"file"},
    pool=DOWNLOADS,
    retry_policy=_RETRY,
    description="What NGSIM's publisher has: attached archives, rows by query or the export, "
    "fetched where it changed, kept by content, and put into the incoming folder.",
)
def ngsim_downloads(
    context: dg.AssetExecutionContext, config: DownloadConfig, platform: HighwayPlatform
) -> dg.MaterializeResult[Any]:
    """Download what is wanted; fails where any of it could not be had as it is now."""
    settings = platform.settings()
    try:
        wanted = config.wanted(settings)
        if wanted is None:
            context.log.info("no highway is wanted: NGSIM_DOWNLOAD_HIGHWAYS names none")
            return dg.MaterializeResult(metadata={"files": 0})
        done = download(settings, wanted, observers=[ToLogger(context.log)])
    except DiskFull:
        raise
    except NgsimAssetsError as error:
        raise dg.Failure(str(error), allow_retries=False) from error
    told = metadata_of(done)
    if done.failed or done.result.source_error is not None:
        raise failure_of(done, told)
    return dg.MaterializeResult(data_version=dg.DataVersion(done.content), metadata=told)


def metadata_of(done: Downloads) -> dict[str, Any]:
    """What the UI shows of a run."""
    result = done.result
    durations = result.durations
    resources = [
        {
            "download": outcome.resource.key,
            "status": outcome.status,
            "bytes received": outcome.received,
            "attempts": outcome.attempts,
            "seconds": round(outcome.seconds, 1),
            "error": "" if outcome.error is None else str(outcome.error),
        }
        for outcome in result.outcomes
    ]
    files = [
        {
            "file": artifact.name,
            "download": artifact.resource.key,
            "bytes": artifact.bytes,
            "rows": artifact.rows or 0,
            "sha256": artifact.sha256,
            "fetched": artifact.fetched_at.isoformat(timespec="seconds"),
            "schema version": artifact.schema_version,
        }
        for artifact in result.artifacts
    ]
    told: dict[str, Any] = {
        "status": result.status,
        "resources": _table(resources),
        "dagster/row_count": sum(handed.artifact.rows or 0 for handed in done.handed),
        "bytes received": result.bytes,
        "files": len(result.artifacts),
        "files handed over": len(done.new),
        "seconds describing": round(durations.describe, 1),
        "seconds fetching": round(durations.fetch, 1),
        "seconds": round(durations.total, 1),
    }
    if files:
        told["held"] = _table(files)
    if result.warnings:
        told["warnings"] = dg.MetadataValue.md("\n".join(f"- {text}" for text in result.warnings))
    return told


def failure_of(done: Downloads, told: Mapping[str, Any]) -> dg.Failure:
    """Why a run failed: every download that could not be had, by name.

    It is tried again only where some failure is one that passes.
    """
    errors = done.result.errors
    lines = [f"{outcome.resource.key}: {outcome.error}" for outcome in done.failed]
    if done.result.source_error is not None:
        lines.append(str(done.result.source_error))
    passing = any(isinstance(error, TransferError) and error.transient for error in errors)
    return dg.Failure("\n".join(lines), told, allow_retries=passing)


def behind_downloads(files: dg.SourceAsset) -> dg.AssetsDefinition:
    """`files` with an arrow from the downloads to it, which says where many of them come from.

    Nothing is built because of it: automation asks only whether what is delivered has changed.
    Dagster's decorator of observed assets knows no arrows, so this takes the way by which Dagster
    itself makes such assets part of the graph; the suite looks at the arrow.
    """
    drawn = create_external_asset_from_source_asset(files)
    return drawn.map_asset_specs(lambda spec: spec.merge_attributes(deps=[DOWNLOADS]))


download_job = dg.define_asset_job(
    DOWNLOAD,
    selection=dg.AssetSelection.assets(ngsim_downloads),
    description="What NGSIM's publisher has and is not held yet, into the incoming folder.",
    run_tags={"ngsim/kind": "download"},
)


@dg.schedule(
    name="daily_downloads",
    job=download_job,
    cron_schedule="30 1 * * *",
    execution_timezone="UTC",
    default_status=dg.DefaultScheduleStatus.RUNNING,
    description="Looks every night for what NGSIM's publisher has changed of the highways in "
    "NGSIM_DOWNLOAD_HIGHWAYS, before upkeep and the summary of the corpus.",
)
def daily_downloads(
    context: dg.ScheduleEvaluationContext, platform: HighwayPlatform
) -> dg.RunRequest | dg.SkipReason:
    """A run, where any highway is wanted."""
    wanted = listed(platform.settings().download_highways)
    if not wanted:
        return dg.SkipReason("NGSIM_DOWNLOAD_HIGHWAYS names no highway to download")
    return dg.RunRequest(tags={"ngsim/highways": ",".join(wanted)})


def _way(name: str) -> Way:
    if name == "zip" or name == "api" or name == "export":  # noqa: PLR1714  # narrows the type
        return name
    raise NoSuchWay(name)


def _table(rows: Iterable[Mapping[str, str | int | float]]) -> dg.TableMetadataValue:
    records: Sequence[dg.TableRecord] = [dg.TableRecord(row) for row in list(rows)[:_ROWS_SHOWN]]
    return dg.MetadataValue.table(records)
