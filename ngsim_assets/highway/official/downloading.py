"""A download from the first request to the incoming folder.

Belongs here: what a command and an asset do alike. Does not belong here: how either tells it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

from ngsim_assets.acquisition.events import Observer
from ngsim_assets.acquisition.observers.metrics import MetricsObserver
from ngsim_assets.acquisition.pipeline import AsyncETLPipeline
from ngsim_assets.acquisition.results import IngestionResult, Outcome
from ngsim_assets.errors import NgsimAssetsError
from ngsim_assets.highway.official.handing_over import Handed, hand_over
from ngsim_assets.highway.official.queries import fingerprint
from ngsim_assets.highway.official.source import NGSIMDataSource, Wanted
from ngsim_assets.observability.keeping import kept
from ngsim_assets.settings import Settings

STAGE = "download"
"""What metrics call it."""

_FRESH = {"fetched", "unchanged"}


class NotAllFresh(NgsimAssetsError):
    """Part of what was asked for was not had: nothing, or a copy of an earlier time."""

    def __init__(self, failed: Sequence[Outcome], total: int) -> None:
        self.failed = tuple(failed)
        copies = sum(outcome.status == "cached" for outcome in failed)
        kept = f", {copies} of these are held as fetched earlier" if copies else ""
        super().__init__(
            f"{len(failed)} of {total} downloads failed{kept}",
            "each is named above; run the same command again, it goes on with what is there",
        )


@dataclass(frozen=True, slots=True)
class Downloads:
    """What came of it. `handed`: every file of rows that there is, new in the folder or not."""

    result: IngestionResult
    handed: tuple[Handed, ...]

    @property
    def failed(self) -> list[Outcome]:
        """What could not be had as it is now."""
        return [outcome for outcome in self.result.outcomes if outcome.status not in _FRESH]

    @property
    def new(self) -> list[Handed]:
        """Files that were put into the incoming folder now."""
        return [handed for handed in self.handed if handed.new]

    @property
    def content(self) -> str:
        """Differs wherever any of the files that there are does."""
        files = sorted((item.resource.key, item.sha256) for item in self.result.artifacts)
        return fingerprint(files)

    def require_fresh(self) -> None:
        """Raise NotAllFresh, or what is wrong with the source as a whole, unless all is there."""
        if self.failed:
            raise NotAllFresh(self.failed, len(self.result.outcomes))
        if self.result.source_error is not None:
            raise self.result.source_error

    def rows(self) -> list[dict[str, object]]:
        """For people and tables: each file of rows, and each resource of which there is none."""
        found: list[dict[str, object]] = []
        for outcome in self.result.outcomes:
            files = [item for item in self.handed if item.artifact in outcome.artifacts]
            found.extend(
                {
                    "download": outcome.resource.key,
                    "status": outcome.status,
                    "file": item.artifact.name,
                    "rows": item.artifact.rows,
                    "bytes": item.artifact.bytes,
                    "handed over": "now" if item.new else "earlier",
                }
                for item in files
            )
            if not files:
                nothing = dict.fromkeys(("file", "rows", "bytes", "handed over"))
                found.append(
                    {"download": outcome.resource.key, "status": outcome.status, **nothing}
                )
        return found

    def summary(self) -> dict[str, object]:
        """For machines."""
        return {
            **self.result.summary(),
            "handed_over": [
                {"file": item.artifact.name, "path": str(item.path), "new": item.new}
                for item in self.handed
            ],
        }


def download(
    settings: Settings,
    wanted: Wanted,
    *,
    observers: Sequence[Observer] = (),
    again: bool = False,
) -> Downloads:
    """Fetch what is wanted where it is not held as it is now, and hand over what is new of it.

    What is held from an earlier time is handed over, too, if it was not yet. Raises
    IncomingMissing and what the disk refuses; failures of downloads are in the result.
    """
    with kept(settings) as counted:
        told = [*observers, MetricsObserver(counted)]
        pipeline = AsyncETLPipeline(settings, observers=told)
        (result,) = asyncio.run(pipeline.run([NGSIMDataSource(settings, wanted)]))
        for outcome in result.outcomes:
            if outcome.status in _FRESH:
                labels = (outcome.resource.labels["highway"], STAGE)
                counted.last_success_timestamp_seconds.labels(*labels).set_to_current_time()
    return Downloads(result, tuple(hand_over(settings, result.artifacts, again=again)))
